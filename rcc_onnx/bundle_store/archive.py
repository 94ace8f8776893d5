"""The files of a bundle in memory, read without trust from a folder or a zip file, and as a zip.

Everything is checked before any of it is written, and the names to write under come from the
manifest, not from the archive. Only plain zip files are read: nothing before, behind or between
what the directory lists, no 64-bit extensions, no comment.
"""

import hashlib
import os
import stat
import struct
import zipfile
import zlib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from rcc_onnx.bundles.bundle import (
    check_network_bytes,
    check_reference_outputs,
    largest_file,
    network_entries,
    read_bundle_file,
)
from rcc_onnx.bundles.manifest import (
    DOCUMENTS,
    MANIFEST_FILE,
    Manifest,
    is_plain_file_name,
    read_manifest,
)
from rcc_onnx.errors import BundleError, BundleFolderError

LARGEST_ARCHIVE = 2**31 - 2**20
"""Bytes, packed or unpacked; beyond that Python writes the 64-bit extensions."""
MAX_MEMBERS = 64
"""A bundle has two networks of up to four variants, and a handful of other files."""
LARGEST_DIRECTORY = 2**16
"""Bytes; an entry has about a hundred."""
LARGEST_RATIO = 200
"""Weights hardly shrink; even half of them zeros would not come to this. Bombs start at 1000."""
RATIO_FREE_BYTES = 2**24
"""Up to this much unpacked, the ratio does no harm and is not checked."""

_START, _END, _LOCATOR_64 = b"PK\x03\x04", b"PK\x05\x06", b"PK\x06\x07"
_END_FORMAT, _LOCATOR_BYTES = "<4s4H2LH", 20
_ENCRYPTED = 0x1 | 0x40 | 0x2000
"""Flags: encrypted, strongly encrypted, directory encrypted."""
_ZIP_TIME = (1980, 1, 1, 0, 0, 0)

_REMEDY = "Get the file again, or have it made by `rcc-onnx models export`."


@dataclass(frozen=True)
class BundleContent:
    """The files of a bundle whose networks are what its manifest says.

    Attributes:
        files: name to bytes: the manifest, the networks, the reference outputs if it has some, and
            those documents that are there.
        others: names of what else the folder or zip file holds.
    """

    manifest: Manifest
    files: Mapping[str, bytes]
    others: tuple[str, ...]

    def as_zip(self) -> bytes:
        """Return the zip file of the bundle: the same bytes for the same bundle, everywhere.

        Nothing is compressed: weights hardly shrink, and compressors differ between releases.

        Raises:
            BundleError (bundle-archive-too-large): it would be larger than `read_zip` reads.
        """
        folder = self.manifest.name
        if sum(map(len, self.files.values())) > LARGEST_ARCHIVE - LARGEST_DIRECTORY:
            problem = f"{folder}: larger than {LARGEST_ARCHIVE} bytes in all"
            raise BundleError(problem, code="bundle-archive-too-large")
        stream = BytesIO()
        with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
            for name in sorted(self.files, key=lambda name: (name != MANIFEST_FILE, name)):
                info = zipfile.ZipInfo(f"{folder}/{name}", _ZIP_TIME)
                info.create_system = 3  # Unix, whatever this machine is
                info.external_attr = (stat.S_IFREG | 0o644) << 16
                archive.writestr(info, self.files[name])
        return stream.getvalue()

    def sha256(self) -> str:
        """Return the hash of that zip file: a number for the whole bundle."""
        return hashlib.sha256(self.as_zip()).hexdigest()


def read_folder(folder: Path) -> BundleContent:
    """Read and check the bundle in a folder. Links that lead out of it are refused.

    Raises:
        BundleFolderError: the folder cannot be listed.
        BundleError: a file is missing, or not what the manifest says.
    """
    try:
        names = os.listdir(folder)  # noqa: PTH208  names only
    except OSError as error:
        raise BundleFolderError(f"{folder}: {error.strerror or 'cannot be listed'}") from error
    return _check_content(names, partial(read_bundle_file, folder), f"{folder}{os.sep}")


def read_zip(path: Path, sha256: str | None = None) -> BundleContent:
    """Read and check the bundle in a zip file.

    Args:
        path: of the file.
        sha256: that it must have; compared before anything in the file is looked at.

    Raises:
        BundleError (bundle-sha256): the file has another hash.
        BundleError (bundle-archive-...): it is not a plain zip file of one bundle.
        BundleError: a file is missing or undeclared, or not what the manifest says.
        BundleFolderError (bundle-source): it cannot be read.
    """
    try:
        # Hash and content come from one open file, so that the file cannot change in between.
        with path.open("rb") as stream:
            size = os.fstat(stream.fileno()).st_size
            if size > LARGEST_ARCHIVE:
                problem = f"{path}: is larger than {LARGEST_ARCHIVE} bytes"
                raise BundleError(problem, code="bundle-archive-too-large")
            if sha256 is not None:
                compare_sha256(hashlib.file_digest(stream, "sha256").hexdigest(), sha256, path)
            archive, members = _open_zip(stream, size, str(path))
            read = partial(_read_member, archive, members, str(path))
            content = _check_content(members, read, f"{path}: ")
    except OSError as error:
        if isinstance(error, BundleError):
            raise
        problem = f"{path}: {error.strerror or 'cannot be read'}"
        raise BundleFolderError(problem, code="bundle-source") from error
    if content.others:
        raise BundleError(
            f"{path}: holds {content.others[0]!a}, which manifest.json does not name. {_REMEDY}",
            code="bundle-undeclared-file",
        )
    return content


def compare_sha256(found: str, expected: str, where: Path | str) -> None:
    """Raise BundleError (bundle-sha256) if a hash is not the expected one."""
    if found != expected:
        raise BundleError(
            f"{where}: has SHA-256 {found}, not {expected}. It is another file than the one that "
            "was meant, or damaged: compare the number with its source, or get the file again.",
            code="bundle-sha256",
        )


def _check_content(
    names: Collection[str], read: Callable[[str], bytes], prefix: str
) -> BundleContent:
    """Read the files of a bundle and check them. `prefix` and a name call a file in messages."""
    files = {MANIFEST_FILE: read(MANIFEST_FILE)}
    manifest = read_manifest(files[MANIFEST_FILE])
    for entry in network_entries(manifest):
        files[entry.file] = read(entry.file)
        check_network_bytes(files[entry.file], entry, prefix + entry.file)
    outputs = manifest.reference_outputs
    if outputs is not None:
        files[outputs.file] = read(outputs.file)
        check_reference_outputs(files[outputs.file], outputs, prefix + outputs.file)
    files |= {file: read(file) for file in DOCUMENTS if file in names}
    return BundleContent(manifest, files, tuple(sorted(set(names) - set(files))))


def _open_zip(
    stream: BinaryIO, size: int, where: str
) -> tuple[zipfile.ZipFile, dict[str, zipfile.ZipInfo]]:
    """Return an archive that keeps to all the rules, and its members by file name."""
    entries = _check_ends(stream, size, where)
    try:
        archive = zipfile.ZipFile(stream)
    except Exception as error:  # a damaged directory breaks zipfile in many ways
        problem = f"has no readable directory ({type(error).__name__})"
        raise _damaged(where, problem) from error
    infos = archive.infolist()
    if len(infos) != entries:
        raise _damaged(where, f"lists {len(infos)} files, and says that it lists {entries}")
    for info in infos:
        _check_member(info, where)
    _check_sizes(infos, where)
    return archive, _by_name(infos, where)


def _read_member(
    archive: zipfile.ZipFile, members: Mapping[str, zipfile.ZipInfo], where: str, file: str
) -> bytes:
    """Return a file's bytes: as many as the directory says, with the checksum that it says."""
    if file not in members:
        problem = f"{where} holds no {file}, which a bundle needs. {_REMEDY}"
        raise BundleError(problem, code="bundle-file")
    info, largest = members[file], largest_file(file)
    if info.file_size > largest:
        problem = f"{where}: {file} is larger than {largest} bytes"
        raise BundleError(problem, code="bundle-archive-too-large")
    try:
        with archive.open(info) as member:
            # zipfile stops at the size in the directory, and compares the checksum there.
            data = member.read(largest + 1)
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, ValueError, OSError) as error:
        raise _damaged(where, f"{file} is damaged ({type(error).__name__})") from error
    if len(data) != info.file_size:
        raise _damaged(where, f"{file} is not as long as the directory says")
    return data


def _check_ends(stream: BinaryIO, size: int, where: str) -> int:
    """Check that the file is one plain archive from end to end; return its number of entries.

    zipfile would find an archive behind or before other things, and would read a directory of any
    length into memory.
    """
    stream.seek(0)
    start = stream.read(4)
    tail = struct.calcsize(_END_FORMAT)
    stream.seek(max(0, size - tail - _LOCATOR_BYTES))
    locator, end = (last := stream.read())[:-tail], last[-tail:]
    if start not in {_START, _END} or len(end) < tail:
        raise _damaged(where, f"is not a zip file{_other_kind(start)}")
    mark, *_, here, entries, length, offset, comment = struct.unpack(_END_FORMAT, end)
    if mark != _END or comment:
        raise _damaged(where, "is truncated, or something is appended to it")
    if locator.startswith(_LOCATOR_64) or offset + length + tail != size or here != entries:
        raise _damaged(where, "its directory is not where a plain zip file has it")
    if entries > MAX_MEMBERS or length > LARGEST_DIRECTORY:
        problem = f"{where}: holds {entries} files; a bundle has at most {MAX_MEMBERS}"
        raise BundleError(problem, code="bundle-archive-too-large")
    return int(entries)


def _other_kind(start: bytes) -> str:
    if start == b"\x89HDF":
        return ", but a Keras file: python -m convert makes a bundle of it"
    return ", but looks like a web page" if start.lstrip().startswith(b"<") else ""


def _check_member(info: zipfile.ZipInfo, where: str) -> None:
    is_folder = info.orig_filename.endswith("/")
    kind = stat.S_IFMT(info.external_attr >> 16)
    if info.flag_bits & _ENCRYPTED:
        problem = "is encrypted. Unpack the archive with its password and install the folder."
    elif info.compress_type not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
        problem = f"is packed in an unusual way. {_REMEDY}"
    elif kind not in {0, stat.S_IFDIR if is_folder else stat.S_IFREG}:
        problem = f"is a link or a device, not a file. {_REMEDY}"
    elif is_folder and info.file_size:
        problem = f"is a folder with content of its own. {_REMEDY}"
    else:
        return
    raise BundleError(f"{where}: {_shown(info)} {problem}", code="bundle-archive-member")


def _check_sizes(infos: list[zipfile.ZipInfo], where: str) -> None:
    total = sum(info.file_size for info in infos)
    packed = sum(info.compress_size for info in infos)
    if total > LARGEST_ARCHIVE:
        problem = f"{total} bytes, more than the {LARGEST_ARCHIVE} of a bundle"
    elif total > RATIO_FREE_BYTES and total > LARGEST_RATIO * packed:
        problem = f"more than {LARGEST_RATIO} times its size, as zip bombs do"
    else:
        return
    problem = f"{where}: unpacks to {problem}. {_REMEDY}"
    raise BundleError(problem, code="bundle-archive-too-large")


def _by_name(infos: list[zipfile.ZipInfo], where: str) -> dict[str, zipfile.ZipInfo]:
    """Return members by file name. All may lie in one folder, whose entry may be there too."""
    tops = {info.orig_filename.partition("/")[0] for info in infos if "/" in info.orig_filename}
    top = f"{min(tops)}/" if len(tops) == 1 else ""
    seen: set[str] = set()
    members = {}
    for info in infos:
        # The name as it is in the archive: zipfile cleans `filename`, after its own ideas.
        name = info.orig_filename
        if name.lower() in seen:
            raise _bad_name(where, f"{_shown(info)} is there twice where case is ignored")
        seen.add(name.lower())
        folder, file = (top, name.removeprefix(top)) if name.startswith(top) else ("", name)
        parts = [folder[:-1]] * bool(folder) + [file] * bool(file)
        if not parts or not all(map(is_plain_file_name, parts)):
            raise _bad_name(where, f"{_shown(info)} is not a plain file name in one folder")
        if file:
            members[file] = info
    if top and any("/" not in info.orig_filename for info in infos):
        raise _bad_name(where, f"holds files beside the folder {top}")
    return members


def _shown(info: zipfile.ZipInfo) -> str:
    """A name out of the archive, safe to print."""
    return ascii(info.orig_filename)[:80]


def _damaged(where: str, problem: str) -> BundleError:
    return BundleError(f"{where}: {problem}. {_REMEDY}", code="bundle-archive-damaged")


def _bad_name(where: str, problem: str) -> BundleError:
    return BundleError(f"{where}: {problem}. {_REMEDY}", code="bundle-archive-name")
