"""Opens data sets, deflated ones within a limit: they are small on disk and may be huge inside."""

import struct
import zlib
from typing import BinaryIO

import pydicom
from pydicom.dataset import Dataset
from pydicom.uid import DeflatedExplicitVRLittleEndian

MAX_INFLATED_BYTES = 256 * 1024**2
"""A multi-frame CT of 500 slices of 512x512. pydicom inflates in memory, and holds it twice."""
_META = 132
"""Where the file meta information starts: preamble and the letters DICM."""


class DeflatedTooLargeError(Exception):
    """A deflated data set would not stop growing."""


def transfer_syntax(start: bytes) -> str:
    """The transfer syntax that a file's first bytes name, "" if they name none that matters here.

    Only whether it is the deflated one is asked, so the UID's letters are looked for in the meta
    group, whose length comes first (PS3.10 section 7.1).
    """
    end = _meta_end(start)
    packed = DeflatedExplicitVRLittleEndian.encode() in start[_META : end or 2048]
    return str(DeflatedExplicitVRLittleEndian) if packed else ""


def open_dataset(file: BinaryIO, *, stop_before_pixels: bool = False) -> Dataset:
    """A data set from an open file.

    Raises:
        DeflatedTooLargeError: it is deflated and larger inside than a limit.
        Exception: whatever pydicom raises for a damaged file.
    """
    start = file.read(4096)
    if transfer_syntax(start):
        if not _meta_end(start):
            raise ValueError("the meta group does not say how long it is")
        packed = start[_meta_end(start) :] + file.read()
        # Raw deflate, no zlib header (PS3.5 A.5). What is inflated is thrown away at once.
        inflater = zlib.decompressobj(-zlib.MAX_WBITS)
        inflated, rest = 0, packed
        while rest and not inflater.eof:
            inflated += len(inflater.decompress(rest, 16 * 1024**2))
            rest = inflater.unconsumed_tail
            if inflated > MAX_INFLATED_BYTES:
                raise DeflatedTooLargeError
        del packed
    file.seek(0)
    return pydicom.dcmread(file, stop_before_pixels=stop_before_pixels, force=True)


def _meta_end(start: bytes) -> int:
    """Where the meta group ends; 0 if its length is not where it must be."""
    head = start[_META : _META + 12]
    if len(head) < 12 or head[:8] != b"\x02\x00\x00\x00UL\x04\x00":
        return 0
    return int(_META + 12 + struct.unpack("<I", head[8:])[0])
