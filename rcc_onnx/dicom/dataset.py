"""Single values out of a pydicom dataset, fast and without trust.

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

_BINARY = {"US": "H", "SS": "h", "UL": "I", "SL": "i", "FD": "d", "FL": "f"}
"""struct codes of the VRs that hold numbers as bytes."""
_BINARY_KEYWORDS = {
    "SamplesPerPixel": "US",
    "Rows": "US",
    "Columns": "US",
    "BitsAllocated": "US",
    "BitsStored": "US",
    "HighBit": "US",
    "PixelRepresentation": "US",
    "PixelPaddingValue": "US",
    "PixelPaddingRangeLimit": "US",
}
"""VRs that implicit VR does not write. Padding may be SS too; its sign is settled later."""
_MAX_VALUE_BYTES = 4096
"""No value that is read here is longer."""


EMPTY = Dataset()
"""A data set without anything in it, to be read only."""


@cache
def _tag(keyword: str) -> BaseTag:
    """The tag of a keyword that DICOM's dictionary has. Looking it up costs more than reading."""
    return Tag(keyword)


def has(dataset: Dataset, keyword: str) -> bool:
    return _tag(keyword) in dataset


def values(dataset: Dataset, keyword: str) -> Sequence[str]:
    """The values of an attribute as texts, without padding; absent or empty is no value."""
    tag = _tag(keyword)
    if tag not in dataset:
        return ()
    element = dataset.get_item(tag)
    if isinstance(element, RawDataElement):
        raw = element.value
        if not raw or len(raw) > _MAX_VALUE_BYTES:
            return ()
        binary = _BINARY_KEYWORDS.get(keyword) if element.VR in (None, "UN") else element.VR
        if binary in _BINARY:
            return _unpacked(raw, _BINARY[binary], element.is_little_endian)
        return _split(raw.decode("latin-1"))
    return _of_element(element)


def text(dataset: Dataset, keyword: str) -> str:
    """The values as one text. What is no letter or sign is taken out: these texts are shown, and a
    terminal would obey it."""
    found = "\\".join(values(dataset, keyword)).strip()
    return found if found.isprintable() else "".join(c for c in found if c.isprintable())


def human_text(dataset: Dataset, keyword: str) -> str:
    """A text in the file's character set, on one line; "" if it cannot be read."""
    tag = _tag(keyword)
    if tag not in dataset:
        return ""
    try:
        found = str(dataset[tag].value or "")
    except Exception:  # broken character sets raise what they like; the text is only for display
        return ""
    return " ".join("".join(c if c.isprintable() else " " for c in found).split())[:64]


def count(dataset: Dataset, keyword: str, default: int) -> int:
    """A whole number of zero or more.

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
    """Exactly `length` finite numbers; None: absent or empty; (): there, but not that."""
    try:
        found = tuple(float(value) for value in values(dataset, keyword) if value or length > 1)
    except ValueError:
        return ()
    if not found:
        return None
    return found if len(found) == length and all(map(math.isfinite, found)) else ()


def items(dataset: Dataset, keyword: str) -> list[Dataset]:
    """The items of a sequence; none if it is absent or no sequence."""
    tag = _tag(keyword)
    if tag not in dataset:
        return []
    found = dataset[tag].value
    return list(found) if found and all(isinstance(item, Dataset) for item in found) else []


def item(dataset: Dataset, keyword: str) -> Dataset:
    """The first item of a sequence, empty if there is none."""
    return next(iter(items(dataset, keyword)), EMPTY)


def _unpacked(raw: bytes, code: str, little_endian: bool) -> Sequence[str]:
    size = struct.calcsize(code)
    order = "<" if little_endian else ">"
    whole = len(raw) // size
    return [str(number) for number in struct.unpack(f"{order}{whole}{code}", raw[: whole * size])]


def _split(words: str) -> Sequence[str]:
    parts = [word.strip(" \0\t\r\n") for word in words.split("\\")]
    return () if parts == [""] else parts


def _of_element(element: DataElement | None) -> Sequence[str]:
    value = None if element is None else element.value
    if value is None or value == "" or isinstance(value, bytes):
        return ()
    many = isinstance(value, Sequence) and not isinstance(value, str)
    return [str(one).strip() for one in value] if many else [str(value).strip()]


# Opens data sets, deflated ones within a limit: they are small on disk and may be huge inside.

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
