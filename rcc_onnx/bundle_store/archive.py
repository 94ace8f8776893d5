"""A bundle in a zip file, read without trusting it and written always the same way.

Only plain zip files are read: nothing before, behind or between what the directory lists, no
64-bit extensions, no comment. What is read is held in memory and checked before any of it is
written, and the names to write under come from the manifest, not from the archive.
"""

import stat
import struct
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from typing import BinaryIO

from rcc_onnx.bundles.bundle_files import largest_file
from rcc_onnx.bundles.manifest import MANIFEST_FILE
from rcc_onnx.bundles.manifest_fields import is_plain_file_name
from rcc_onnx.errors import BundleError

LARGEST_ARCHIVE = 2**31 - 2**20
"""Bytes, packed or unpacked; beyond that Python writes the 64-bit extensions."""
MOST_MEMBERS = 64
"""A bundle has two networks of up to four forms, and a handful of other files."""
LARGEST_DIRECTORY = 2**16
"""Bytes; an entry has about a hundred."""
LARGEST_RATIO = 200
"""Weights hardly shrink; even half of them zeros would not come to this. Bombs start at 1000."""
RATIO_FREE_BYTES = 2**24
"""Up to this much unpacked, the ratio does no harm and is not looked at."""

_START, _END, _LOCATOR_64 = b"PK\x03\x04", b"PK\x05\x06", b"PK\x06\x07"
_END_FORMAT, _LOCATOR_BYTES = "<4s4H2LH", 20
_ENCRYPTED = 0x1 | 0x40 | 0x2000
"""Flags: encrypted, strongly encrypted, directory encrypted."""
_ZIP_TIME = (1980, 1, 1, 0, 0, 0)

AGAIN = "Get the file again, or have it made by `rcc-onnx models export`."


@dataclass(frozen=True)
class ZipSource:
    """The files of a bundle in an open zip file that keeps to all the rules.

    Attributes:
        where: the archive's name for messages.
        members: by file name, without the folder that all of them may lie in.
    """

    where: str
    archive: zipfile.ZipFile
    members: Mapping[str, zipfile.ZipInfo]

    def files(self) -> frozenset[str]:
        """The names of all files in it."""
        return frozenset(self.members)

    def label(self, file: str) -> str:
        """How messages call one of the files."""
        return f"{self.where}: {file}"

    def read(self, file: str) -> bytes:
        """A file's bytes: as many as the directory says, with the checksum that it says.

        Raises:
            BundleError (bundle-file): there is no such file.
            BundleError (bundle-archive-damaged): it is not what the directory says.
            BundleError (bundle-archive-too-large): it is larger than such a file can be.
        """
        if file not in self.members:
            raise BundleError(
                f"{self.where} holds no {file}, which a bundle needs. {AGAIN}", code="bundle-file"
            )
        info = self.members[file]
        largest = largest_file(file)
        if info.file_size > largest:
            raise BundleError(
                f"{self.label(file)} is larger than {largest} bytes",
                code="bundle-archive-too-large",
            )
        try:
            with self.archive.open(info) as member:
                # zipfile stops at the size in the directory, and compares the checksum there.
                data = member.read(largest + 1)
        except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, ValueError, OSError) as e:
            raise BundleError(
                f"{self.label(file)} is damaged ({type(e).__name__}). {AGAIN}",
                code="bundle-archive-damaged",
            ) from e
        if len(data) != info.file_size:
            raise BundleError(
                f"{self.label(file)} is not as long as said. {AGAIN}", code="bundle-archive-damaged"
            )
        return data


def open_zip(stream: BinaryIO, where: str) -> ZipSource:
    """The bundle in a zip file. `stream` stays the caller's to close.

    Raises:
        BundleError: one of its leaves.
    """
    entries = _check_ends(stream, where)
    try:
        archive = zipfile.ZipFile(stream)
    except Exception as error:  # a damaged directory breaks zipfile in many ways
        raise BundleError(
            f"{where}: has no readable directory ({type(error).__name__}). {AGAIN}",
            code="bundle-archive-damaged",
        ) from error
    infos = archive.infolist()
    if len(infos) != entries:
        raise BundleError(
            f"{where}: lists {len(infos)} files, and says that it lists {entries}. {AGAIN}",
            code="bundle-archive-damaged",
        )
    for info in infos:
        _check_member(info, where)
    _check_sizes(infos, where)
    return ZipSource(where, archive, _by_name(infos, where))


def bundle_zip(folder: str, files: Mapping[str, bytes]) -> bytes:
    """A zip file with `files` (name to content) in a folder. The same input gives the same bytes.

    Nothing is compressed: weights hardly shrink, and compressors differ between releases.

    Raises:
        BundleError (bundle-archive-too-large): it would be larger than `open_zip` reads.
    """
    if sum(map(len, files.values())) > LARGEST_ARCHIVE - LARGEST_DIRECTORY:
        raise BundleError(
            f"{folder}: larger than {LARGEST_ARCHIVE} bytes in all", code="bundle-archive-too-large"
        )
    stream = BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(files, key=lambda name: (name != MANIFEST_FILE, name)):
            info = zipfile.ZipInfo(f"{folder}/{name}", _ZIP_TIME)
            info.create_system = 3  # Unix, whatever this machine is
            info.external_attr = (stat.S_IFREG | 0o644) << 16
            archive.writestr(info, files[name])
    return stream.getvalue()


def _check_ends(stream: BinaryIO, where: str) -> int:
    """That the file is one plain archive from its first byte to its last. How many entries it has.

    zipfile would find an archive behind or before other things, and would read a directory of any
    length into memory.
    """
    size = stream.seek(0, 2)
    if size > LARGEST_ARCHIVE:
        raise BundleError(
            f"{where}: is larger than {LARGEST_ARCHIVE} bytes", code="bundle-archive-too-large"
        )
    stream.seek(0)
    start = stream.read(4)
    tail = struct.calcsize(_END_FORMAT)
    stream.seek(max(0, size - tail - _LOCATOR_BYTES))
    locator, end = (last := stream.read())[:-tail], last[-tail:]
    if start not in {_START, _END} or len(end) < tail:
        raise BundleError(
            f"{where}: is no zip file. {_other_kind(start)}{AGAIN}", code="bundle-archive-damaged"
        )
    mark, *_, here, entries, length, offset, comment = struct.unpack(_END_FORMAT, end)
    if mark != _END or comment:
        raise BundleError(
            f"{where}: is cut short, or something is appended to it. {AGAIN}",
            code="bundle-archive-damaged",
        )
    if locator.startswith(_LOCATOR_64) or offset + length + tail != size or here != entries:
        raise BundleError(
            f"{where}: its directory is not where a plain zip file has it. {AGAIN}",
            code="bundle-archive-damaged",
        )
    if entries > MOST_MEMBERS or length > LARGEST_DIRECTORY:
        raise BundleError(
            f"{where}: holds {entries} files; a bundle has at most {MOST_MEMBERS}",
            code="bundle-archive-too-large",
        )
    return int(entries)


def _other_kind(start: bytes) -> str:
    if start == b"\x89HDF":
        return "It is a Keras file: python -m convert makes a bundle of it. "
    return "It looks like a web page. " if start.lstrip().startswith(b"<") else ""


def _check_member(info: zipfile.ZipInfo, where: str) -> None:
    name = f"{where}: {ascii(info.orig_filename)[:80]}"
    if info.flag_bits & _ENCRYPTED:
        raise BundleError(
            f"{name} is encrypted. Unpack the archive with its password and install the folder.",
            code="bundle-archive-member",
        )
    if info.compress_type not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
        raise BundleError(
            f"{name} is packed in an unusual way. {AGAIN}", code="bundle-archive-member"
        )
    is_folder = info.orig_filename.endswith("/")
    kind = stat.S_IFMT(info.external_attr >> 16)
    if kind not in {0, stat.S_IFDIR if is_folder else stat.S_IFREG}:
        raise BundleError(
            f"{name} is a link or a device, not a file. {AGAIN}", code="bundle-archive-member"
        )
    if is_folder and info.file_size:
        raise BundleError(
            f"{name} is a folder with content of its own. {AGAIN}", code="bundle-archive-member"
        )


def _check_sizes(infos: list[zipfile.ZipInfo], where: str) -> None:
    total = sum(info.file_size for info in infos)
    packed = sum(info.compress_size for info in infos)
    if total > LARGEST_ARCHIVE:
        raise BundleError(
            f"{where}: unpacks to {total} bytes, more than the {LARGEST_ARCHIVE} of a bundle",
            code="bundle-archive-too-large",
        )
    if total > RATIO_FREE_BYTES and total > LARGEST_RATIO * packed:
        raise BundleError(
            f"{where}: unpacks to more than {LARGEST_RATIO} times its size, as bombs do. {AGAIN}",
            code="bundle-archive-too-large",
        )


def _by_name(infos: list[zipfile.ZipInfo], where: str) -> dict[str, zipfile.ZipInfo]:
    """Members by file name. All may lie in one folder, whose entry may be there too."""
    tops = {info.orig_filename.partition("/")[0] for info in infos if "/" in info.orig_filename}
    top = f"{min(tops)}/" if len(tops) == 1 else ""
    seen: set[str] = set()
    members = {}
    for info in infos:
        # The name as it is in the archive: zipfile cleans `filename`, after its own ideas.
        name = info.orig_filename
        shown = f"{where}: {ascii(name)[:80]}"
        if name.lower() in seen:
            raise BundleError(
                f"{shown} is there twice, as systems see it that ignore case. {AGAIN}",
                code="bundle-archive-name",
            )
        seen.add(name.lower())
        folder, file = (top, name.removeprefix(top)) if name.startswith(top) else ("", name)
        if not is_plain_file_name(file or folder[:-1]) or (
            folder and not is_plain_file_name(folder[:-1])
        ):
            raise BundleError(
                f"{shown} is no plain file name in one folder, as the files of a bundle have. "
                f"{AGAIN}",
                code="bundle-archive-name",
            )
        if file:
            members[file] = info
    if top and any("/" not in info.orig_filename for info in infos):
        raise BundleError(
            f"{where}: holds files beside the folder {top} {AGAIN}", code="bundle-archive-name"
        )
    return members
