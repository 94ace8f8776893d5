"""Zip files of bundles for tests: plain ones, and ones that no zip program would write."""

import struct
import warnings
import zipfile
from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path

from tests.support.reference_outputs import bundle_with_reference_outputs

Member = tuple[str | zipfile.ZipInfo, bytes]

_CENTRAL = b"PK\x01\x02"
CENTRAL_FIELDS = {
    "flags": (8, "<H"),
    "method": (10, "<H"),
    "crc": (16, "<L"),
    "packed": (20, "<L"),
    "size": (24, "<L"),
    "attributes": (38, "<L"),
    "offset": (42, "<L"),
}
"""Where a field lies in an entry of the directory, and how it is written."""
_END_BYTES = 22
_NAME_LENGTH, _NAME = 28, 46


def bundle_files(folder: Path) -> dict[str, bytes]:
    """Return the files of a bundle, which is written to `folder` on the way."""
    bundle_with_reference_outputs(folder)
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def zip_of(members: Mapping[str, bytes] | Sequence[Member], **options: int) -> bytes:
    """A zip file; a sequence may hold a name twice."""
    stream = BytesIO()
    pairs = list(members.items()) if isinstance(members, Mapping) else members
    with warnings.catch_warnings(), zipfile.ZipFile(stream, "w", **options) as archive:  # type: ignore[call-overload]
        warnings.simplefilter("ignore", UserWarning)  # of names that are there twice
        for name, data in pairs:
            archive.writestr(name, data)
    return stream.getvalue()


def member(name: str, mode: int) -> zipfile.ZipInfo:
    """A member with the Unix mode of a link, a device ..."""
    info = zipfile.ZipInfo(name)
    info.create_system = 3
    info.external_attr = mode << 16
    return info


def with_entry(data: bytes, name: str, **fields: int) -> bytes:
    """The zip file with fields of one entry in its directory changed, see CENTRAL_FIELDS."""
    changed = bytearray(data)
    start = _entry(data, name.encode())
    for field, value in fields.items():
        place, layout = CENTRAL_FIELDS[field]
        struct.pack_into(layout, changed, start + place, value)
    return bytes(changed)


def renamed(data: bytes, old: str, new: bytes) -> bytes:
    """The zip file with a name changed, in the directory and before the member, to any bytes."""
    assert len(old) == len(new), "lengths are part of the format"
    return data.replace(old.encode(), new)


def with_end(data: bytes, *, entries: int | None = None, length: int | None = None) -> bytes:
    """The zip file with other figures in the record at its end."""
    changed = bytearray(data)
    end = len(data) - _END_BYTES
    if entries is not None:
        struct.pack_into("<2H", changed, end + 8, entries, entries)
    if length is not None:
        struct.pack_into("<L", changed, end + 12, length)
    return bytes(changed)


def _entry(data: bytes, name: bytes) -> int:
    """Where the directory's entry of that name starts."""
    place = data.find(_CENTRAL)
    while place >= 0:
        (length,) = struct.unpack_from("<H", data, place + _NAME_LENGTH)
        if data[place + _NAME : place + _NAME + length] == name:
            return place
        place = data.find(_CENTRAL, place + 1)
    raise AssertionError(f"no entry {name!r}")
