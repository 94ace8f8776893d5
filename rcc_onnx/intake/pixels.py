"""The stored pixel values of one file."""

import warnings
from typing import Any

import pydicom
from numpy.typing import NDArray
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import UID

from rcc_onnx.errors import PixelPluginError, PixelsError, TransferSyntaxError
from rcc_onnx.intake.headers import SliceHeader


def read_stored_values(header: SliceHeader) -> NDArray[Any]:
    """Stored values before slope and intercept: integers, shape (rows, columns) of the file.

    Raises:
        TransferSyntaxError: nothing decodes this transfer syntax.
        PixelPluginError: the package that would decode it is missing.
        PixelsError: no pixels, cut short, damaged, or another shape than the header says.
    """
    _check_decodable(header)
    name = header.file_name
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            stored = pydicom.dcmread(header.path).pixel_array
    except Exception as error:  # decoders are many, and so are their exceptions
        raise PixelsError(
            f"{name}: the pixels cannot be decoded ({_first_line(error)}); the file is cut short "
            "or damaged, so copy it again from its source"
        ) from error
    if stored.shape != (header.rows, header.columns):
        raise PixelsError(
            f"{name}: the pixels have the shape {stored.shape}, not one grey image of "
            f"{header.rows} rows and {header.columns} columns"
        )
    return stored


def _check_decodable(header: SliceHeader) -> None:
    name, uid = header.file_name, UID(header.transfer_syntax_uid)
    try:
        decoder = get_decoder(uid)
    except NotImplementedError as error:
        raise TransferSyntaxError(
            f"{name}: images in the transfer syntax {uid.name or 'that is not named'} cannot be "
            "decoded; export the series uncompressed (Explicit VR Little Endian)"
        ) from error
    if not decoder.is_available:
        missing = "; ".join(decoder.missing_dependencies)
        raise PixelPluginError(
            f"{name}: a package to decode {uid.name} is missing ({missing}); install it, or "
            "export the series uncompressed (Explicit VR Little Endian)"
        )


def _first_line(error: Exception) -> str:
    """Enough of a decoder's message to tell what broke."""
    lines = str(error).splitlines()
    return lines[0][:200] if lines else type(error).__name__
