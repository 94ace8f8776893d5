"""Access to single values of a pydicom dataset: fast, and without trust in the file.

pydicom turns a value into rich objects when it is asked for, which costs more than reading the
file. Headers of thousands of files need a few plain strings and numbers each, so these are taken
from the bytes (PS3.5 section 6.2) where pydicom still holds bytes.
"""

import math
import struct
import zlib
from collections.abc import Sequence
from functools import cache
from typing import BinaryIO

import pydicom
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import BaseTag, Tag
from pydicom.uid import DeflatedExplicitVRLittleEndian

Vector = tuple[float, ...]

EMPTY = Dataset()
"""A data set without elements, to be read only."""
MAX_INFLATED_BYTES = 256 * 1024**2
"""A multi-frame CT of 500 slices of 512x512. pydicom inflates in memory, and holds it twice."""
_BINARY = {"US": "H", "SS": "h", "UL": "I", "SL": "i", "FD": "d", "FL": "f"}
"""struct codes of the VRs that hold numbers as bytes."""
_UNSIGNED_SHORTS = {
    "SamplesPerPixel",
    "Rows",
    "Columns",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
    "PixelPaddingValue",
    "PixelPaddingRangeLimit",
}
"""Attributes whose VR (US) implicit VR does not write. Padding may be SS too; its sign is settled
later."""
_MAX_VALUE_BYTES = 4096
"""Longer than any value that is read here."""
_META_START = 132
"""Offset of the file meta information: after the preamble and the letters DICM."""


class DeflatedTooLargeError(Exception):
    """A deflated data set inflates to more than `MAX_INFLATED_BYTES`."""


@cache
def _tag(keyword: str) -> BaseTag:
    """Return the tag of a keyword of DICOM's dictionary. Looking it up costs more than reading."""
    return Tag(keyword)


def has(dataset: Dataset, keyword: str) -> bool:
    return _tag(keyword) in dataset


def values(dataset: Dataset, keyword: str) -> Sequence[str]:
    """Return the values of an attribute as texts without padding; none if absent or empty."""
    tag = _tag(keyword)
    if tag not in dataset:
        return ()
    element = dataset.get_item(tag)
    if not isinstance(element, RawDataElement):
        return _converted(element)
    raw = element.value
    if not raw or len(raw) > _MAX_VALUE_BYTES:
        return ()
    vr = element.VR
    if vr in (None, "UN") and keyword in _UNSIGNED_SHORTS:
        vr = "US"
    if vr in _BINARY:
        return _unpacked(raw, _BINARY[vr], element.is_little_endian)
    parts = [part.strip(" \0\t\r\n") for part in raw.decode("latin-1").split("\\")]
    return () if parts == [""] else parts


def text(dataset: Dataset, keyword: str) -> str:
    """Return the values as one text, without control characters: a terminal would obey them."""
    found = "\\".join(values(dataset, keyword)).strip()
    return found if found.isprintable() else "".join(c for c in found if c.isprintable())


def human_text(dataset: Dataset, keyword: str) -> str:
    """Return a text in the file's character set, on one line; "" if it cannot be read."""
    tag = _tag(keyword)
    if tag not in dataset:
        return ""
    try:
        found = str(dataset[tag].value or "")
    except Exception:  # broken character sets raise many errors; the text is only for display
        return ""
    return " ".join("".join(c if c.isprintable() else " " for c in found).split())[:64]


def count(dataset: Dataset, keyword: str, default: int) -> int:
    """Return a whole number of zero or more.

    Raises:
        ValueError: there is something else.
    """
    found = values(dataset, keyword)
    if not found or not found[0]:
        return default
    number = int(float(found[0]))
    if number < 0:
        raise ValueError(f"{keyword} is negative")
    return number


def numbers(dataset: Dataset, keyword: str, length: int) -> Vector | None:
    """Return exactly `length` finite numbers; None if absent or empty, () if something else."""
    try:
        found = tuple(float(value) for value in values(dataset, keyword) if value or length > 1)
    except ValueError:
        return ()
    if not found:
        return None
    return found if len(found) == length and all(map(math.isfinite, found)) else ()


def items(dataset: Dataset, keyword: str) -> list[Dataset]:
    """Return the items of a sequence; none if it is absent or not a sequence."""
    tag = _tag(keyword)
    if tag not in dataset:
        return []
    found = dataset[tag].value
    return list(found) if found and all(isinstance(item, Dataset) for item in found) else []


def item(dataset: Dataset, keyword: str) -> Dataset:
    """Return the first item of a sequence; an empty one without items."""
    return next(iter(items(dataset, keyword)), EMPTY)


def _unpacked(raw: bytes, code: str, little_endian: bool) -> Sequence[str]:
    size = struct.calcsize(code)
    order = "<" if little_endian else ">"
    whole = len(raw) // size
    return [str(number) for number in struct.unpack(f"{order}{whole}{code}", raw[: whole * size])]


def _converted(element: DataElement | None) -> Sequence[str]:
    """Return the values of an element that pydicom has converted already."""
    value = None if element is None else element.value
    if value is None or value == "" or isinstance(value, bytes):
        return ()
    several = isinstance(value, Sequence) and not isinstance(value, str)
    return [str(part).strip() for part in (value if several else [value])]


def is_deflated(start: bytes) -> bool:
    """Return whether a file's first bytes name the deflated transfer syntax.

    The letters of its UID are looked for in the meta group, whose length comes first (PS3.10
    section 7.1).
    """
    return DeflatedExplicitVRLittleEndian.encode() in start[_META_START : _meta_end(start) or 2048]


def open_dataset(file: BinaryIO, *, stop_before_pixels: bool = False) -> Dataset:
    """Read a data set from an open file.

    Raises:
        DeflatedTooLargeError: it is deflated and larger inside than a limit.
        Exception: whatever pydicom raises for a damaged file.
    """
    start = file.read(4096)
    if is_deflated(start):
        if not _meta_end(start):
            raise ValueError("the meta group does not say how long it is")
        _check_inflated_size(start[_meta_end(start) :] + file.read())
    file.seek(0)
    return pydicom.dcmread(file, stop_before_pixels=stop_before_pixels, force=True)


def _check_inflated_size(deflated: bytes) -> None:
    # Raw deflate, no zlib header (PS3.5 A.5). What is inflated is thrown away at once.
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    size = 0
    while deflated and not inflater.eof:
        size += len(inflater.decompress(deflated, 16 * 1024**2))
        deflated = inflater.unconsumed_tail
        if size > MAX_INFLATED_BYTES:
            raise DeflatedTooLargeError


def _meta_end(start: bytes) -> int:
    """Return where the meta group ends; 0 if its length is not where it must be."""
    head = start[_META_START : _META_START + 12]
    if len(head) < 12 or head[:8] != b"\x02\x00\x00\x00UL\x04\x00":
        return 0
    return int(_META_START + 12 + struct.unpack("<I", head[8:])[0])
