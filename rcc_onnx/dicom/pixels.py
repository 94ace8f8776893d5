"""The pixel values of one image: stored ones, Hounsfield units, and a hash over them.

Nearly all files are uncompressed and plain. Their pixels are read from where the header ended:
pydicom would read the header again and look at every attribute once more, which takes several
times as long as reading the pixels. Every other file goes to pydicom and its checks.
"""

import hashlib
import os
import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import generate_frames
from pydicom.errors import InvalidDicomError
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.processing import apply_modality_lut
from pydicom.pixels.utils import pixel_array
from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from rcc_onnx.dicom.dataset import EMPTY, DeflatedTooLargeError, open_dataset
from rcc_onnx.dicom.header_privacy import error_text
from rcc_onnx.dicom.headers import SliceHeader
from rcc_onnx.errors import IntakeError, PixelsError
from rcc_onnx.imaging.body_mask import Mask, fill_holes
from rcc_onnx.imaging.hounsfield import HuImage

PixelObserver = Callable[[SliceHeader, NDArray[Any]], object]
"""Called with the stored values of an image, as the file has them, when they are decoded."""

LUT_NEGATIVE_FROM = 0x8000
TISSUE_ABOVE_HU = -300
"""Padding below this is air already. Above, the same value may also occur inside the patient."""
_UNSUPPORTED = "does not support"
"""In the messages of pydicom's decoders: as JPEG with 12 bits is not supported."""
_WORD_BITS = 16
_LENGTH_BYTES = 4
_ELEMENT_STARTS = {
    str(ExplicitVRLittleEndian): b"\xe0\x7f\x10\x00OW\x00\x00",
    str(ImplicitVRLittleEndian): b"\xe0\x7f\x10\x00",
}
"""Pixel Data (7FE0,0010) up to its length (PS3.5 section 7.1), by transfer syntax."""
_J2K_START = b"\xff\x4f\xff\x51"
"""Start of codestream, then the size segment (ISO/IEC 15444-1 A.5.1)."""
_JPEG_START = b"\xff\xd8"
_FRAME_MARKERS = {*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC}
"""Start of frame of JPEG (ITU-T T.81 B.2.2) and JPEG-LS (T.87 C.2.2)."""


class ImagesHash:
    """SHA-256 over images, added in the order in which they are analysed (docs/outputs.md).

    Of each: the line `UID frame rows columns type` and the stored values as the file has them, row
    after row, neither reoriented nor rescaled. So files of other names, in another order, or with
    other lossless encoding have the same hash, and whatever changes a pixel another one.
    """

    def __init__(self) -> None:
        self._digest = hashlib.sha256()

    def add(self, header: SliceHeader, stored: NDArray[Any]) -> None:
        """Add one image, with its stored values: integers (rows, columns)."""
        kind = "int" if header.bits.signed else "uint"
        bits = _WORD_BITS if header.bits.allocated <= _WORD_BITS else 2 * _WORD_BITS
        # Decoders return types of their own; where a value does not fit, as padding beyond the
        # stored bits may not, its low bits count.
        words = stored.astype(np.dtype(f"{kind}{bits}").newbyteorder("<"), copy=False)
        frame = 0 if header.frame is None else header.frame + 1
        rows, columns = stored.shape
        line = f"{header.sop_instance_uid} {frame} {rows} {columns} {kind}{bits}\n"
        self._digest.update(line.encode("utf-8", "surrogateescape"))
        # Large updates are done without Python's lock: the networks go on meanwhile.
        self._digest.update(np.ascontiguousarray(words).data)

    def hexdigest(self) -> str:
        """Return the hash of all images so far."""
        return self._digest.hexdigest()


def read_stored_values(header: SliceHeader, observer: PixelObserver | None = None) -> NDArray[Any]:
    """Return stored values before slope and intercept: integers, shape (rows, columns) of the file.

    Raises:
        PixelsError (transfer-syntax): no package decodes this transfer syntax.
        PixelsError (pixel-plugin-missing): the package that would decode it is missing.
        PixelsError (stored-bits): they do not fit the bits that the header names.
        PixelsError: no pixels, cut short, damaged, or another shape than the header's.
    """
    stored, _ = _read(header, observer)
    return stored


def read_hu(header: SliceHeader, observer: PixelObserver | None = None) -> HuImage:
    """Return HU of a header that passed the intake, as the file has them (not reoriented).

    Slope and intercept, or the Modality LUT in their place; padding becomes air.

    Raises:
        PixelsError: as `read_stored_values` does.
    """
    stored, dataset = _read(header, observer)
    if header.modality_lut:
        image = HuImage(_apply_lut(header, stored, dataset), 1.0, 0.0, None)
    else:
        slope, intercept = header.required("RescaleSlope"), header.required("RescaleIntercept")
        image = HuImage(stored, slope[0], intercept[0], None)
    padded = _has_padding_value(header, stored)
    return image if padded is None else replace(image, padded=_padding_mask(image, padded))


def read_dataset(header: SliceHeader) -> Dataset:
    """Return the file's data set without pixels.

    Raises:
        PixelsError: the file cannot be read any more.
    """
    try:
        with warnings.catch_warnings(), header.source.open() as file:
            warnings.simplefilter("ignore")
            dataset = open_dataset(file, stop_before_pixels=True)
    except (OSError, EOFError, ValueError, InvalidDicomError, DeflatedTooLargeError) as error:
        raise PixelsError(
            f"{header.file_name}: the file cannot be read a second time ({error_text(error)}); "
            "has it been moved or changed since?"
        ) from error
    return _with_syntax(dataset, header)


def _apply_lut(header: SliceHeader, stored: NDArray[Any], dataset: Dataset) -> NDArray[np.float64]:
    try:
        hu: NDArray[np.float64] = np.asarray(apply_modality_lut(stored, dataset), np.float64)
    except Exception as error:
        raise PixelsError(
            f"{header.file_name}: the Modality LUT cannot be used ({error_text(error)}); "
            "export the series again with rescale slope and intercept"
        ) from error
    # LUTs hold unsigned words (PS3.3 C.11.1.1); in HU, what is beyond 15 bits is below zero.
    hu[hu >= LUT_NEGATIVE_FROM] -= 2 * LUT_NEGATIVE_FROM
    return hu


def _has_padding_value(header: SliceHeader, stored: NDArray[Any]) -> Mask | None:
    """Return where the stored values are those of padding; None if nowhere."""
    if header.padding is None:
        return None
    low, high = header.padding
    padded = stored == low if low == high else (stored >= low) & (stored <= high)
    return padded if padded.any() else None


def _padding_mask(image: HuImage, padded: Mask) -> Mask:
    """Return which pixels with a value of padding are padding, not tissue of the same value.

    Where tissue may have the value too, padding surrounds the picture: only pixels that are
    connected with the image's border are padding.
    """
    if not (image.above(TISSUE_ABOVE_HU) & padded).any():
        return padded
    # Everything else, and the padding values that it encloses, is not padding.
    return ~fill_holes(~padded)


def _read(header: SliceHeader, observer: PixelObserver | None) -> tuple[NDArray[Any], Dataset]:
    """Return stored values, checked, and the data set where a Modality LUT may need it."""
    _check_decodable(header)
    name = header.file_name
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            stored, dataset = _load(header)
    except IntakeError:
        raise
    except (MemoryError, DeflatedTooLargeError) as error:
        raise PixelsError(f"{name}: the pixels need more memory than any CT image") from error
    except (KeyboardInterrupt, SystemExit):
        raise
    # There are many decoders, and some of their exceptions, as a panic in Rust, are not an
    # Exception.
    except BaseException as error:
        if _UNSUPPORTED in str(error):
            raise PixelsError(
                f"{name}: no installed decoder supports this kind of "
                f"{UID(header.transfer_syntax_uid).name}; export the series uncompressed (Explicit "
                "VR Little Endian)",
                code="transfer-syntax",
            ) from error
        raise PixelsError(
            f"{name}: the pixels cannot be decoded ({error_text(error)}); the file is cut short "
            "or damaged, so copy it again from its source"
        ) from error
    if stored.shape != (header.rows, header.columns) or stored.dtype.kind not in "iu":
        raise PixelsError(
            f"{name}: the pixels have the shape {stored.shape}, not one grey image of "
            f"{header.rows} rows and {header.columns} columns"
        )
    if observer is not None:
        observer(header, stored)
    return stored, dataset


def _check_decodable(header: SliceHeader) -> None:
    name, uid = header.file_name, UID(header.transfer_syntax_uid)
    try:
        decoder = get_decoder(uid)
    except NotImplementedError as error:
        # A UID that is not known may hold anything and is not shown.
        is_known = uid.is_transfer_syntax and not uid.is_private
        raise PixelsError(
            f"{name}: images in {uid.name if is_known else 'an unknown transfer syntax'} cannot be "
            "decoded; export the series uncompressed (Explicit VR Little Endian)",
            code="transfer-syntax",
        ) from error
    if not decoder.is_available:
        missing = "; ".join(decoder.missing_dependencies)
        raise PixelsError(
            f"{name}: a package to decode {uid.name} is missing ({missing}); install it, or "
            "export the series uncompressed (Explicit VR Little Endian)",
            code="pixel-plugin-missing",
        )


def _load(header: SliceHeader) -> tuple[NDArray[Any], Dataset]:
    syntax = UID(header.transfer_syntax_uid)
    if not header.modality_lut:
        words = read_native(header)
        if words is not None:
            return words, EMPTY
        if header.frame is not None and not syntax.is_encapsulated and not syntax.is_deflated:
            # pydicom reads the frame's own bytes only: files of many frames are large.
            with header.source.open() as file:
                return _decode(file, header), EMPTY
    with header.source.open() as file:
        dataset = _with_syntax(open_dataset(file), header)
    if dataset.file_meta.TransferSyntaxUID.is_encapsulated:
        frames = dataset.get("NumberOfFrames", 1)
        claimed = claimed_size(next(generate_frames(dataset.PixelData, number_of_frames=frames)))
        # Before a decoder sets aside memory for it.
        if claimed is not None and claimed != (header.rows, header.columns):
            raise ValueError(f"the compressed image is {claimed[0]} x {claimed[1]}")
    return _decode(dataset, header), dataset


def _with_syntax(dataset: Dataset, header: SliceHeader) -> Dataset:
    """Add the transfer syntax in which a file without meta information was read."""
    if not hasattr(dataset, "file_meta"):
        dataset.file_meta = FileMetaDataset()
    if "TransferSyntaxUID" not in dataset.file_meta:
        dataset.file_meta.TransferSyntaxUID = UID(header.transfer_syntax_uid)
    return dataset


def claimed_size(frame: bytes) -> tuple[int, int] | None:
    """Return rows and columns that a compressed frame claims; None for an unknown encoding."""

    def number(at: int, size: int) -> int:
        return int.from_bytes(frame[at : at + size], "big")

    if frame[:4] == _J2K_START and len(frame) >= 24:
        return number(12, 4) - number(20, 4), number(8, 4) - number(16, 4)
    at = 2
    while frame[:2] == _JPEG_START and at + 9 <= len(frame) and frame[at] == 0xFF:
        marker = frame[at + 1]
        if marker in _FRAME_MARKERS:
            return number(at + 5, 2), number(at + 7, 2)
        at += 1 if marker == 0xFF else 2 + max(number(at + 2, 2), 2)
    return None


def _decode(source: Dataset | BinaryIO, header: SliceHeader) -> NDArray[Any]:
    """Return values with the sign that the header names, from a data set or an open file.

    Raises:
        PixelsError (stored-bits): bits above BitsStored are in use and have no known meaning.
    """
    index = 0 if header.frame is None else header.frame
    bits = header.bits
    if bits.stored and bits.high != bits.stored - 1:
        raise PixelsError(
            f"{header.file_name}: HighBit {bits.high} does not fit BitsStored {bits.stored}; "
            "export the series again from its source",
            code="stored-bits",
        )
    if UID(header.transfer_syntax_uid).is_compressed or bits.stored in (0, bits.allocated):
        values: NDArray[Any] = pixel_array(source, index=index)
        return values
    # Uncompressed, with bits to spare. Scanners put padding there that needs them all.
    words: NDArray[Any] = pixel_array(source, index=index, raw=True, correct_unused_bits=False)
    words = words.astype(np.int32)
    spare = words >> bits.stored
    proper, corrected = spare == 0, words
    if bits.signed:
        # Sign extended (-1), or the sign bit alone with zeros above it (0).
        proper |= spare == -1
        half = 1 << (bits.stored - 1)
        corrected = ((words + half) & ((1 << bits.stored) - 1)) - half
    if header.padding is not None:
        low, high = header.padding
        # Both taken as 16 bits of either sign.
        is_padding = ((words - low) & 0xFFFF) <= high - low
        corrected = np.where(is_padding, low, corrected)
        proper |= is_padding
    if not proper.all():
        raise PixelsError(
            f"{header.file_name}: values need more than the {bits.stored} bits of BitsStored, or "
            "another sign than PixelRepresentation names; export the series again from its source",
            code="stored-bits",
        )
    return corrected


def read_native(header: SliceHeader) -> NDArray[Any] | None:
    """Return stored values as pydicom would, int16 or uint16, read-only.

    None unless the file is plain: little endian, grey, one value in each word of 16 bits with no
    other bit in use, and the pixels its last element, as long as frames of the header's size are.

    Raises:
        OSError: the file cannot be read.
    """
    start, bits = _ELEMENT_STARTS.get(header.transfer_syntax_uid), header.bits
    is_plain = (
        header.photometric_interpretation == "MONOCHROME2"
        and header.samples_per_pixel == header.frames == 1
        and bits.allocated == _WORD_BITS
        and 0 < bits.stored <= bits.allocated
        and bits.high == bits.stored - 1
        and header.rows > 0
        and header.columns > 0
    )
    if start is None or header.pixels_at is None or not is_plain:
        return None
    with header.source.open() as file:
        words = _read_frame(file, header, start)
    return words if words is not None and _fits(words, header) else None


def _read_frame(file: BinaryIO, header: SliceHeader, start: bytes) -> NDArray[Any] | None:
    """Return the words of the header's image; None if the element is not what it must be."""
    file.seek(header.pixels_at or 0)
    head = file.read(len(start) + _LENGTH_BYTES)
    first = file.tell()
    length = int.from_bytes(head[-_LENGTH_BYTES:], "little")
    size = header.rows * header.columns * _WORD_BITS // 8
    index = header.frame or 0
    frames = 1 if header.frame is None else length // size
    if (
        head[:-_LENGTH_BYTES] != start
        or length != frames * size
        or index >= frames
        or file.seek(0, os.SEEK_END) != first + length
    ):
        return None
    file.seek(first + index * size)
    words = np.frombuffer(file.read(size), "<i2" if header.bits.signed else "<u2")
    return words.reshape(header.rows, header.columns)


def _fits(words: NDArray[Any], header: SliceHeader) -> bool:
    """Return whether no word needs more than the stored bits, so that none needs correction."""
    bits, padding = header.bits, header.padding
    if bits.stored == bits.allocated:
        return True
    if padding is not None and padding[0] != padding[1]:
        return False
    low, high = (-(1 << bits.high), 1 << bits.high) if bits.signed else (0, 1 << bits.stored)
    return low <= int(words.min()) and int(words.max()) < high
