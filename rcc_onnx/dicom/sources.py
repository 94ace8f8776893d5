"""The files of a study: at any depth of a folder, or members of a zip archive.

Nothing is unpacked to disk, so no name in an archive can lead outside of anything. Members are read
into memory one at a time, from archives whose directory keeps to the limits below.
"""

import io
import os
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from rcc_onnx.errors import FolderNotFoundError, IntakeError
from rcc_onnx.system.files import LOCK_NAME
from rcc_onnx.types import SkippedFile

MAX_FILES = 100_000
"""More files than any study has; a whole disk given by mistake is refused at once, not in an hour.
"""
HEADER_BYTES = 64 * 1024
"""Longer than the headers of CT slices: bytes that are read before more are asked for."""
MAX_MEMBERS = MAX_FILES
MAX_MEMBER_BYTES = 512 * 1024**2
"""One file is held in memory at a time. A multi-frame CT of 1,000 slices of 512x512 just fits."""
MAX_TOTAL_BYTES = 32 * 1024**3
"""A study of 60,000 slices."""
MAX_RATIO = 200
"""CT pixels shrink to a half or a fifth; even blank ones with their headers hardly a
hundredfold. A bomb of plain zip layers starts at a thousandfold."""
RATIO_FREE_BYTES = 64 * 1024**2
"""Below this much unpacked, the ratio does no harm and is not looked at."""
_ARCHIVE_STARTS = (b"PK\x03\x04", b"PK\x05\x06")


@dataclass(frozen=True)
class Source:
    """One file, on disk or in an archive.

    Attributes:
        name: path below the study's folder, with `/`; for a member of an archive, the archive's
            name comes first. A number where names must not be shown (`without_names`).
        path: the file on disk: the archive, for a member.
        size: bytes, unpacked.
        archive, member: the open archive and the name in it; None and "" for a file on disk.
    """

    name: str
    path: Path
    size: int
    archive: zipfile.ZipFile | None = field(default=None, compare=False, repr=False)
    member: str = ""

    def start(self) -> bytes:
        """Return the first bytes: as a rule, the whole header.

        Raises:
            OSError: the file cannot be read, or the archive is damaged here.
        """
        if self.archive is not None:
            return _read_member(self.archive, self.member, HEADER_BYTES)
        with self.path.open("rb") as file:
            return file.read(HEADER_BYTES)

    def open(self) -> BinaryIO:
        """Open the file for reading; the caller closes it. Raises OSError as `start` does."""
        if self.archive is not None:
            return io.BytesIO(_read_member(self.archive, self.member, MAX_MEMBER_BYTES))
        return self.path.open("rb")


Found = tuple[list[Source], list[SkippedFile]]
"""Files to be read, and files that are not."""


def list_files(folder: Path, shown_as: str | None = None) -> list[Path]:
    """Return the files of the folder itself, not of folders in it, sorted by name as text.

    Raises:
        FolderNotFoundError: no such folder.
    """
    if not folder.is_dir():
        raise FolderNotFoundError(
            f"{shown_as or folder}: no such folder; give the folder of one CT study"
        )
    return sorted((path for path in folder.iterdir() if path.is_file()), key=lambda p: p.name)


def find_sources(root: Path, shown_as: str | None = None) -> Found:
    """Return every file of a study, at any depth and inside zip archives, sorted by name; and the
    files that cannot be read.

    Links to folders are not followed, hidden folders are searched, a folder into which a run writes
    its results is passed over.

    Args:
        root: a folder or a zip archive.
        shown_as: the study's name in messages, where no name of a folder or file may be shown.

    Raises:
        FolderNotFoundError: neither; other files are not looked into.
        IntakeError (archive-...): an archive breaks a limit, or is not one.
        IntakeError (too-many-files): more than a study can have.
    """
    shown_root = shown_as or str(root)
    if root.is_dir():
        found = _files(root, shown_as)
    elif not root.is_file():
        raise FolderNotFoundError(f"{shown_root}: no such folder; give the folder of one CT study")
    elif root.suffix.lower() != ".zip":
        raise FolderNotFoundError(
            f"{shown_root}: not a folder and not a zip archive; give the folder that it is in"
        )
    else:
        found = _members(root, "", shown_as or root.name)
    return found if shown_as is None else without_names(*found)


def without_names(sources: Sequence[Source], skipped: Sequence[SkippedFile]) -> Found:
    """Replace names by `file-000001`, `file-000002` ..., in the order of the names."""
    names = sorted({*(source.name for source in sources), *(file.file for file in skipped)})
    number = {name: f"file-{index:06}" for index, name in enumerate(names, start=1)}
    return (
        [replace(source, name=number[source.name]) for source in sources],
        [SkippedFile(number[file.file], file.reason) for file in skipped],
    )


def is_archive(path: Path) -> bool:
    """Return whether the file is named `.zip` and starts as archives do.

    An office document starts so too, and is not searched. Only a plain file is opened: a pipe would
    wait for ever.
    """
    try:
        if path.suffix.lower() != ".zip" or not path.is_file():
            return False
        with path.open("rb") as file:
            return file.read(4) in _ARCHIVE_STARTS
    except OSError:
        return False


def open_archive(path: Path, shown_as: str) -> zipfile.ZipFile:
    """Open an archive, called `shown_as` in messages, whose directory keeps to every limit.

    Raises:
        IntakeError: code archive-damaged, -too-large, -unsafe-name or -encrypted.
    """
    try:
        archive = zipfile.ZipFile(path)
    except Exception as error:  # a damaged directory breaks zipfile in many ways
        raise IntakeError(
            f"{shown_as}: not a readable zip archive ({type(error).__name__}); copy it again from "
            "its source, or unpack it and give the folder",
            code="archive-damaged",
        ) from error
    try:
        _check_sizes(shown_as, _files_in(archive), path.stat().st_size)
        _check_members(shown_as, _files_in(archive))
    except Exception:
        archive.close()
        raise
    return archive


def _check_sizes(shown_as: str, members: Sequence[zipfile.ZipInfo], size: int) -> None:
    total = sum(member.file_size for member in members)
    packed = sum(member.compress_size for member in members)
    if len(members) > MAX_MEMBERS:
        problem = f"more than {MAX_MEMBERS} members"
    elif total > MAX_TOTAL_BYTES or any(item.file_size > MAX_MEMBER_BYTES for item in members):
        problem = (
            f"unpacked it holds {total / 1024**2:.0f} MB, more than "
            f"{MAX_TOTAL_BYTES / 1024**2:.0f} MB in all or {MAX_MEMBER_BYTES / 1024**2:.0f} MB in "
            "one file"
        )
    # Packed members that are longer together than the archive overlap.
    elif packed > size or (total > RATIO_FREE_BYTES and total > MAX_RATIO * max(packed, 1)):
        problem = f"it unpacks to more than {MAX_RATIO} times its size, as decompression bombs do"
    else:
        return
    raise IntakeError(
        f"{shown_as}: {problem}; unpack it yourself if you trust it, and give the folder",
        code="archive-too-large",
    )


def _check_members(shown_as: str, members: Sequence[zipfile.ZipInfo]) -> None:
    for member in members:
        path = PurePosixPath(member.filename.replace("\\", "/"))
        if path.is_absolute() or ".." in path.parts or ":" in member.filename[:2]:
            raise IntakeError(
                f"{shown_as}: it holds a name that leads outside of it, which a proper export does "
                "not; make the archive again from its source",
                code="archive-unsafe-name",
            )
        if member.flag_bits & 0x1:
            raise IntakeError(
                f"{shown_as}: it is encrypted; unpack it with its password and give the folder",
                code="archive-encrypted",
            )


def _files_in(archive: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    return [member for member in archive.infolist() if not member.is_dir()]


def _read_member(archive: zipfile.ZipFile, member: str, at_most: int) -> bytes:
    """Return the first bytes of a member; no more than its entry promises, whatever it unpacks to.

    Raises:
        OSError: it is damaged.
    """
    try:
        with archive.open(member) as file:
            return file.read(at_most)
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, ValueError) as error:
        raise OSError(f"damaged archive member: {type(error).__name__}") from error


def _files(root: Path, shown_as: str | None) -> Found:
    sources: list[Source] = []
    skipped: list[SkippedFile] = []
    for path in _walk(root):
        name = path.relative_to(root).as_posix()
        try:
            size = path.stat().st_size
        except OSError as error:
            skipped.append(SkippedFile(name, f"cannot be read ({error.strerror})"))
            continue
        if not path.is_file():
            skipped.append(SkippedFile(name, "not a plain file"))
        elif is_archive(path):
            shown_archive = name if shown_as is None else f"an archive in {shown_as}"
            members, not_opened = _members(path, f"{name}/", shown_archive)
            sources += members
            skipped += not_opened
        else:
            sources.append(Source(name, path, size))
        if len(sources) + len(skipped) > MAX_FILES:
            raise IntakeError(
                f"{shown_as or root}: more than {MAX_FILES} files; give the folder of one study",
                code="too-many-files",
            )
    return sorted(sources, key=lambda source: source.name), skipped


def _walk(root: Path) -> Iterator[Path]:
    for folder, folders, names in os.walk(root, followlinks=False):
        if LOCK_NAME in names and Path(folder) != root:
            folders.clear()  # the results of this run, or of another
            continue
        for name in names:
            yield Path(folder, name)


def _members(path: Path, prefix: str, shown_as: str) -> Found:
    archive = open_archive(path, shown_as)
    sources, skipped = [], []
    for member in _files_in(archive):
        name = prefix + member.filename
        if member.filename.lower().endswith(".zip"):
            skipped.append(SkippedFile(name, "archive inside an archive, not opened"))
        else:
            sources.append(Source(name, path, member.file_size, archive, member.filename))
    return sources, skipped
