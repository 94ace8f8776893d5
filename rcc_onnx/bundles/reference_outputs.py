"""Reference outputs: a few inputs, and what the source networks of a bundle gave for them.

A machine that gives the same computes what the networks were certified for. The file is a zip of
four arrays, as `numpy.savez` writes it; it comes with a bundle, so it is read without trust.
"""

import zipfile
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rcc_onnx.errors import BundleError
from rcc_onnx.types import CROP_SHAPE_ZYX, SLICE_SHAPE

LARGEST_REFERENCE_OUTPUTS = 2**20
"""Bytes of the file, and of all that it unpacks to; it has about a hundred thousand."""
MAX_SLICES = 4

STEPS = 65535
"""Probabilities are stored as sixteen bits, in so many steps from 0 to 1: rounded by at most 8e-6,
a thirteenth of what networks may differ by. In float32 the file would be eight times as large."""

_ARRAYS = {"slices": "|u1", "crop": "|u1", "kidney": "<u2", "lesion": "<u2"}
_LONGEST_HEADER = 256
"""Bytes of an array's header, which is text for Python's parser; it has some hundred."""
_ZIP_TIME = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True)
class ReferenceOutputs:
    """Inputs, and the outputs for them.

    Attributes:
        slices: uint8 (n, 160, 160), 1 to 4 slices: inputs of the kidney network, times 255.
        crop: uint8 (40, 64, 64): input of the lesion network, times 255.
        kidney: float32 (n, 160, 160), probabilities, within half a step of the output.
        lesion: float32 (40, 64, 64), the same.
    """

    slices: NDArray[np.uint8]
    crop: NDArray[np.uint8]
    kidney: NDArray[np.float32]
    lesion: NDArray[np.float32]

    def __post_init__(self) -> None:
        count = len(self.slices)
        if not 1 <= count <= MAX_SLICES or self.slices.shape != (count, *SLICE_SHAPE):
            raise ValueError(f"1 to {MAX_SLICES} slices of 160x160, not {self.slices.shape}")
        if self.kidney.shape != self.slices.shape:
            raise ValueError(f"a probability for each pixel, not {self.kidney.shape}")
        if (self.crop.shape, self.lesion.shape) != (CROP_SHAPE_ZYX, CROP_SHAPE_ZYX):
            raise ValueError(f"a crop of 40x64x64 with its probabilities, not {self.crop.shape}")


def write_reference_outputs(outputs: ReferenceOutputs) -> bytes:
    """Return the file; always the same for the same outputs and release of zlib."""
    arrays: dict[str, NDArray[np.generic]] = {
        "slices": outputs.slices,
        "crop": outputs.crop,
        "kidney": _in_steps(outputs.kidney),
        "lesion": _in_steps(outputs.lesion),
    }
    stream = BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, array in arrays.items():
            member = BytesIO()
            np.lib.format.write_array(
                member, np.ascontiguousarray(array, _ARRAYS[name]), (1, 0), allow_pickle=False
            )
            info = zipfile.ZipInfo(f"{name}.npy", _ZIP_TIME)
            info.compress_type = zipfile.ZIP_DEFLATED
            info.create_system = 3  # Unix, whatever this machine is
            archive.writestr(info, member.getvalue())
    return stream.getvalue()


def read_reference_outputs(data: bytes, where: str) -> ReferenceOutputs:
    """Return the reference outputs in a file. `where` names it in messages.

    Raises:
        BundleError (bundle-reference-outputs): it differs from what is written here.
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
            f"{where}: does not hold reference outputs ({error or type(error).__name__}). Get the "
            "bundle again, or have them made again: python -m convert reference-outputs",
            code="bundle-reference-outputs",
        ) from error


def _members(data: bytes) -> dict[str, bytes]:
    """Return the files in the zip: just the arrays, each as large as it says. Raises ValueError."""
    with zipfile.ZipFile(BytesIO(data)) as archive:
        infos = archive.infolist()
        if sorted(info.filename for info in infos) != sorted(f"{name}.npy" for name in _ARRAYS):
            raise ValueError("other arrays than " + ", ".join(_ARRAYS))
        if sum(info.file_size for info in infos) > LARGEST_REFERENCE_OUTPUTS:
            raise ValueError(f"unpacks to more than {LARGEST_REFERENCE_OUTPUTS} bytes")
        # zipfile reads no more than the size in the directory, and compares the checksum there.
        return {info.filename.removesuffix(".npy"): archive.read(info) for info in infos}


def _array(data: bytes, kind: str) -> NDArray[Any]:
    """Return an array in numpy's format 1.0.

    Only the header goes through numpy's reader, which allocates whatever shape a header names.

    Raises:
        ValueError: the bytes are not just one array of this kind.
    """
    stream = BytesIO(data)
    if np.lib.format.read_magic(stream) != (1, 0):
        raise ValueError("an array in another format")
    header = np.lib.format.read_array_header_1_0(stream, max_header_size=_LONGEST_HEADER)
    shape, fortran_order, dtype = header
    if dtype.str != kind or fortran_order or not all(size > 0 for size in shape):
        raise ValueError(f"an array of another type than {kind}")
    # Raises ValueError where the shape wants more or fewer bytes than there are.
    return np.frombuffer(data, dtype, offset=stream.tell()).reshape(shape)


def _in_steps(probability: NDArray[np.float32]) -> NDArray[np.uint16]:
    clipped = np.clip(probability.astype(np.float64), 0.0, 1.0)
    return np.rint(clipped * STEPS).astype(np.uint16)


def _probabilities(steps: NDArray[np.uint16]) -> NDArray[np.float32]:
    return (steps.astype(np.float64) / STEPS).astype(np.float32)
