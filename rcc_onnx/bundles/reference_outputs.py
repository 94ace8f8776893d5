"""Stored answers: a few inputs, and what the source networks of a bundle answered to them.

A machine that gives these answers computes what the networks were certified for. The file is a zip
of four arrays, as `numpy.savez` writes it; it comes with a bundle, so it is read without trust.
"""

import ast
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rcc_onnx.errors import BundleError
from rcc_onnx.types import CROP_SHAPE_ZYX, SLICE_SHAPE

LARGEST_REFERENCE_OUTPUTS = 2**20
"""Bytes of the file, and of all that it unpacks to; it has about a hundred thousand."""
MOST_SLICES = 4

STEPS = 65535
"""Probabilities are stored as sixteen bits, in so many steps from 0 to 1: rounded by at most 8e-6,
a thirteenth of what networks may differ by. In float32 the file would be eight times as large."""

_ARRAYS = {"slices": "|u1", "crop": "|u1", "kidney": "<u2", "lesion": "<u2"}
_MAGIC = b"\x93NUMPY\x01\x00"
_SAME_TIME = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True)
class ReferenceOutputs:
    """Inputs, and what was answered to them.

    Attributes:
        slices: uint8 (n, 160, 160), 1 to 4 slices: what the kidney network sees, times 255.
        crop: uint8 (40, 64, 64): what the lesion network sees, times 255.
        kidney: float32 (n, 160, 160), probabilities, within half a step of what was answered.
        lesion: float32 (40, 64, 64), the same.
    """

    slices: NDArray[np.uint8]
    crop: NDArray[np.uint8]
    kidney: NDArray[np.float32]
    lesion: NDArray[np.float32]

    def __post_init__(self) -> None:
        count = len(self.slices)
        if not 1 <= count <= MOST_SLICES or self.slices.shape != (count, *SLICE_SHAPE):
            raise ValueError(f"1 to {MOST_SLICES} slices of 160x160, not {self.slices.shape}")
        if self.kidney.shape != self.slices.shape:
            raise ValueError(f"an answer for each pixel, not {self.kidney.shape}")
        if (self.crop.shape, self.lesion.shape) != (CROP_SHAPE_ZYX, CROP_SHAPE_ZYX):
            raise ValueError(f"a crop of 40x64x64 with its answer, not {self.crop.shape}")


def write_reference_outputs(answers: ReferenceOutputs) -> bytes:
    """The file; always the same for the same answers and release of zlib."""
    arrays: dict[str, NDArray[np.generic]] = {
        "slices": answers.slices,
        "crop": answers.crop,
        "kidney": _in_steps(answers.kidney),
        "lesion": _in_steps(answers.lesion),
    }
    stream = BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, array in arrays.items():
            member = BytesIO()
            np.lib.format.write_array(
                member, np.ascontiguousarray(array, _ARRAYS[name]), (1, 0), allow_pickle=False
            )
            info = zipfile.ZipInfo(f"{name}.npy", _SAME_TIME)
            info.compress_type = zipfile.ZIP_DEFLATED
            info.create_system = 3  # Unix, whatever this machine is
            archive.writestr(info, member.getvalue())
    return stream.getvalue()


def read_reference_outputs(data: bytes, where: str) -> ReferenceOutputs:
    """The answers in a file. `where` names it in messages.

    Raises:
        BundleError (bundle-reference-outputs): not what `write_reference_outputs` writes.
    """
    try:
        members = _members(data)
        arrays = {name: _array(members[name], kind) for name, kind in _ARRAYS.items()}
        return ReferenceOutputs(
            arrays["slices"],
            arrays["crop"],
            _probabilities(arrays["kidney"]),
            _probabilities(arrays["lesion"]),
        )
    except Exception as error:  # a damaged directory breaks zipfile in many ways
        raise BundleError(
            f"{where}: holds no stored answers ({error or type(error).__name__}). Get the bundle "
            "again, or have the answers made again: python -m convert reference-outputs",
            code="bundle-reference-outputs",
        ) from error


def _members(data: bytes) -> Mapping[str, bytes]:
    """What the zip file holds: just the arrays, each as large as it says. Raises ValueError."""
    with zipfile.ZipFile(BytesIO(data)) as archive:
        infos = archive.infolist()
        expected = sorted(f"{name}.npy" for name in _ARRAYS)
        if sorted(info.filename for info in infos) != expected:
            raise ValueError("other arrays than " + ", ".join(_ARRAYS))
        if sum(info.file_size for info in infos) > LARGEST_REFERENCE_OUTPUTS:
            raise ValueError(f"unpacks to more than {LARGEST_REFERENCE_OUTPUTS} bytes")
        # zipfile reads no more than the size in the directory, and compares the checksum there.
        return {info.filename.removesuffix(".npy"): archive.read(info) for info in infos}


def _array(data: bytes, kind: str) -> NDArray[Any]:
    """An array in numpy's format 1.0, without numpy's reader.

    That makes room for whatever shape the header names before it sees how much there is.

    Raises:
        ValueError: the bytes are not just one array of this kind.
    """
    if not data.startswith(_MAGIC) or len(data) < len(_MAGIC) + 2:
        raise ValueError("an array in another format")
    start = len(_MAGIC) + 2 + int.from_bytes(data[len(_MAGIC) : len(_MAGIC) + 2], "little")
    if start > min(len(data), 256):
        raise ValueError("an array with a long header")
    try:
        header = ast.literal_eval(data[len(_MAGIC) + 2 : start].decode("ascii").strip())
    except (SyntaxError, TypeError, ValueError, RecursionError, MemoryError):
        raise ValueError("an array with a broken header") from None
    if not isinstance(header, dict) or set(header) != {"descr", "fortran_order", "shape"}:
        raise ValueError("an array with another header")
    shape = header["shape"]
    if header["descr"] != kind or header["fortran_order"] is not False:
        raise ValueError(f"an array of another type than {kind}")
    if not isinstance(shape, tuple) or not all(
        type(size) is int and 0 < size <= LARGEST_REFERENCE_OUTPUTS for size in shape
    ):
        raise ValueError("an array of an impossible shape")
    # Raises ValueError where the shape wants more or fewer bytes than there are.
    return np.frombuffer(data, np.dtype(kind), offset=start).reshape(shape)


def _in_steps(probability: NDArray[np.float32]) -> NDArray[np.uint16]:
    clipped = np.clip(probability.astype(np.float64), 0.0, 1.0)
    return np.rint(clipped * STEPS).astype(np.uint16)


def _probabilities(steps: NDArray[np.uint16]) -> NDArray[np.float32]:
    return (steps.astype(np.float64) / STEPS).astype(np.float32)
