"""Uncompressed pixels, read from where the header ended.

For the pixels pydicom reads a file's header again and looks at every attribute once more, which
takes several times as long as reading them. A file as plain as nearly all are leaves nothing to
look at. Any other is not read here, and goes to pydicom and its checks.
"""

import os
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from rcc_onnx.dicom.headers import SliceHeader

_WORD_BITS = 16
_LENGTH_BYTES = 4
_ELEMENT_STARTS = {
    str(ExplicitVRLittleEndian): b"\xe0\x7f\x10\x00OW\x00\x00",
    str(ImplicitVRLittleEndian): b"\xe0\x7f\x10\x00",
}
"""Pixel Data (7FE0,0010) up to its length (PS3.5 section 7.1), by transfer syntax."""


def read_native(header: SliceHeader) -> NDArray[Any] | None:
    """Stored values as pydicom would give them, int16 or uint16, not to be written to.

    None unless the file is plain: little endian, grey, one value in each word of 16 bits with no
    other bit in use, and the pixels its last element, as long as frames of the header's size are.

    Raises:
        OSError: the file cannot be read.
    """
    start = _ELEMENT_STARTS.get(header.transfer_syntax_uid)
    if start is None or header.pixels_at is None or not _is_plain(header):
        return None
    with header.source.open() as file:
        words = _read_frame(file, header, start)
    return words if words is not None and _fits(words, header) else None


def _is_plain(header: SliceHeader) -> bool:
    bits = header.bits
    return (
        header.photometric_interpretation == "MONOCHROME2"
        and header.samples_per_pixel == header.frames == 1
        and bits.allocated == _WORD_BITS
        and 0 < bits.stored <= bits.allocated
        and bits.high == bits.stored - 1
        and header.rows > 0
        and header.columns > 0
    )


def _read_frame(file: BinaryIO, header: SliceHeader, start: bytes) -> NDArray[Any] | None:
    """The words of the header's image; None if the element is not what it must be."""
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
    """Whether no word needs more than the stored bits, so that there is nothing to correct."""
    bits, padding = header.bits, header.padding
    if bits.stored == bits.allocated:
        return True
    if padding is not None and padding[0] != padding[1]:
        return False
    low, high = (-(1 << bits.high), 1 << bits.high) if bits.signed else (0, 1 << bits.stored)
    return low <= int(words.min()) and int(words.max()) < high
