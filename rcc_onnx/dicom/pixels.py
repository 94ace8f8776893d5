"""The pixel values of one image: stored ones, and Hounsfield units."""

import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import Any, BinaryIO

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.processing import apply_modality_lut
from pydicom.pixels.utils import pixel_array
from pydicom.uid import UID

from rcc_onnx.dicom.codestream import check_size
from rcc_onnx.dicom.dataset import EMPTY, DeflatedTooLargeError, open_dataset
from rcc_onnx.dicom.header_privacy import without_quotes
from rcc_onnx.dicom.headers import SliceHeader
from rcc_onnx.dicom.native import read_native
from rcc_onnx.errors import IntakeError, PixelsError
from rcc_onnx.imaging.body_mask import fill_holes
from rcc_onnx.imaging.hounsfield import HuImage, Mask

PixelObserver = Callable[[SliceHeader, NDArray[Any]], object]
"""Told the stored values of an image, as the file has them, when they are decoded."""

LUT_NEGATIVE_FROM = 0x8000
UNSUPPORTED = "does not support"
"""In the words of pydicom's decoders: as JPEG with 12 bits is not supported."""
TISSUE_ABOVE_HU = -300
"""Padding below this is air already. Above, the same value may also occur inside the patient."""


def read_stored_values(header: SliceHeader, seen: PixelObserver | None = None) -> NDArray[Any]:
    """Stored values before slope and intercept: integers, shape (rows, columns) of the file.

    `seen` is told them too.

    Raises:
        PixelsError (transfer-syntax): nothing decodes this transfer syntax.
        PixelsError (pixel-plugin-missing): the package that would decode it is missing.
        PixelsError (stored-bits): they do not fit the bits that the header names.
        PixelsError: no pixels, cut short, damaged, or another shape than the header says.
    """
    stored = _read(header)[0]
    if seen is not None:
        seen(header, stored)
    return stored


def read_hu(header: SliceHeader, seen: PixelObserver | None = None) -> HuImage:
    """HU of a header that passed the intake, as the file has them (not turned).

    Slope and intercept, or the Modality LUT in their place; padding becomes air. `seen` is told the
    stored values.

    Raises:
        PixelsError: as `read_stored_values` does.
    """
    stored, dataset = _read(header)
    if seen is not None:
        seen(header, stored)
    padded = _is_padding(header, stored)
    if header.modality_lut:
        try:
            hu = np.asarray(apply_modality_lut(stored, dataset), np.float64)
        except Exception as error:
            raise PixelsError(
                f"{header.file_name}: the Modality LUT cannot be used ({_first_line(error)}); "
                "export the series again with rescale slope and intercept"
            ) from error
        # LUTs hold unsigned words (PS3.3 C.11.1.1); in HU, what is beyond 15 bits is below zero.
        hu[hu >= LUT_NEGATIVE_FROM] -= 2 * LUT_NEGATIVE_FROM
        image = HuImage(hu, 1.0, 0.0, None)
    else:
        slope, intercept = (
            header.required("RescaleSlope")[0],
            header.required("RescaleIntercept")[0],
        )
        image = HuImage(stored, slope, intercept, None)
    return image if padded is None else replace(image, padded=_real_padding(image, padded))


def read_dataset(header: SliceHeader) -> Dataset:
    """The file's data set without pixels.

    Raises:
        PixelsError: the file cannot be read any more.
    """
    try:
        with warnings.catch_warnings(), header.source.open() as file:
            warnings.simplefilter("ignore")
            dataset = open_dataset(file, stop_before_pixels=True)
    except (OSError, EOFError, ValueError, InvalidDicomError, DeflatedTooLargeError) as error:
        raise PixelsError(
            f"{header.file_name}: the file cannot be read a second time ({_first_line(error)}); "
            "has it been moved or changed since?"
        ) from error
    _name_syntax(dataset, header)
    return dataset


def _is_padding(header: SliceHeader, stored: NDArray[Any]) -> Mask | None:
    """Where the stored values are those of padding; None if nowhere."""
    if header.padding is None:
        return None
    low, high = header.padding
    padded = stored == low if low == high else (stored >= low) & (stored <= high)
    return padded if padded.any() else None


def _real_padding(image: HuImage, padded: Mask) -> Mask:
    """Of pixels with a value of padding, those that are padding and no tissue of the same value.

    Where tissue may have it too, padding is what surrounds the picture: only what reaches the
    image's border is.
    """
    if not (image.above(TISSUE_ABOVE_HU) & padded).any():
        return padded
    # What is not padding, and the padding that it encloses.
    return ~fill_holes(~padded)


def _read(header: SliceHeader) -> tuple[NDArray[Any], Dataset]:
    """Stored values, checked, and the data set without them."""
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
    # Decoders are many, and so are their exceptions: one that is written in Rust has a panic that
    # is no Exception.
    except BaseException as error:
        if UNSUPPORTED in str(error):
            raise PixelsError(
                f"{name}: no decoder that is installed can do this kind of "
                f"{UID(header.transfer_syntax_uid).name}; export the series uncompressed (Explicit "
                "VR Little Endian)",
                code="transfer-syntax",
            ) from error
        raise PixelsError(
            f"{name}: the pixels cannot be decoded ({_first_line(error)}); the file is cut short "
            "or damaged, so copy it again from its source"
        ) from error
    if stored.shape != (header.rows, header.columns) or stored.dtype.kind not in "iu":
        raise PixelsError(
            f"{name}: the pixels have the shape {stored.shape}, not one grey image of "
            f"{header.rows} rows and {header.columns} columns"
        )
    return stored, dataset


def _load(header: SliceHeader) -> tuple[NDArray[Any], Dataset]:
    if not header.modality_lut:
        words = read_native(header)
        if words is not None:
            return words, EMPTY
    if _is_plain_frame(header):
        # Only the frame's own bytes are read: files of many frames are large.
        with header.source.open() as file:
            return _decode(file, header), EMPTY
    with header.source.open() as file:
        dataset = open_dataset(file)
    _name_syntax(dataset, header)
    check_size(dataset, header.rows, header.columns)
    return _decode(dataset, header), dataset


def _is_plain_frame(header: SliceHeader) -> bool:
    """Whether pydicom can pick the frame out of the open file without reading the rest."""
    syntax = UID(header.transfer_syntax_uid)
    return (
        header.frame is not None
        and not header.modality_lut
        and not syntax.is_encapsulated
        and not syntax.is_deflated
    )


def _name_syntax(dataset: Dataset, header: SliceHeader) -> None:
    """A file without meta information gets the transfer syntax that it was read in."""
    if not hasattr(dataset, "file_meta"):
        dataset.file_meta = pydicom.dataset.FileMetaDataset()
    if "TransferSyntaxUID" not in dataset.file_meta:
        dataset.file_meta.TransferSyntaxUID = UID(header.transfer_syntax_uid)


def _decode(source: Dataset | BinaryIO, header: SliceHeader) -> NDArray[Any]:
    """Values with the sign that the header names, from a data set or an open file.

    Raises:
        PixelsError (stored-bits): bits above BitsStored are in use and mean nothing that is known.
    """
    index = 0 if header.frame is None else header.frame
    syntax, bits = UID(header.transfer_syntax_uid), header.bits
    if bits.stored and bits.high != bits.stored - 1:
        raise PixelsError(
            f"{header.file_name}: HighBit {bits.high} does not go with BitsStored {bits.stored}; "
            "export the series again from its source",
            code="stored-bits",
        )
    if syntax.is_compressed or bits.stored in (0, bits.allocated):
        values: NDArray[Any] = pixel_array(source, index=index)
        return values
    # Uncompressed, with bits to spare. Scanners put padding there that needs them all.
    words: NDArray[Any] = pixel_array(source, index=index, raw=True, correct_unused_bits=False)
    words = words.astype(np.int32)
    spare = words >> bits.stored
    if bits.signed:
        # Sign extended (-1), or the sign bit alone with zeros above it (0).
        proper = (spare == 0) | (spare == -1)
        corrected = _signed(words, bits.stored)
    else:
        proper, corrected = spare == 0, words
    if header.padding is not None:
        low, high = header.padding
        is_padding = _same_bits(words, low, high)
        corrected = np.where(is_padding, low, corrected)
        proper |= is_padding
    if not proper.all():
        raise PixelsError(
            f"{header.file_name}: values need more than the {bits.stored} bits that BitsStored "
            "names, or another sign than PixelRepresentation says; export the series again from "
            "its source",
            code="stored-bits",
        )
    return corrected


def _signed(words: NDArray[np.int32], stored: int) -> NDArray[np.int32]:
    half = 1 << (stored - 1)
    return ((words + half) & ((1 << stored) - 1)) - half


def _same_bits(words: NDArray[np.int32], low: int, high: int) -> NDArray[np.bool_]:
    """Words within a range, both taken as 16 bits of either sign."""
    span = high - low
    found: NDArray[np.bool_] = ((words - low) & 0xFFFF) <= span
    return found


def _check_decodable(header: SliceHeader) -> None:
    name, uid = header.file_name, UID(header.transfer_syntax_uid)
    try:
        decoder = get_decoder(uid)
    except NotImplementedError as error:
        raise PixelsError(
            f"{name}: images in the transfer syntax {_shown(uid)} cannot be "
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


def _shown(uid: UID) -> str:
    """The syntax's name; a UID that is not known may hold anything and is not shown."""
    return uid.name if uid.is_transfer_syntax and not uid.is_private else "that is not known"


def _first_line(error: BaseException) -> str:
    """Enough of a decoder's message to tell what broke."""
    return without_quotes(str(error)) or type(error).__name__
