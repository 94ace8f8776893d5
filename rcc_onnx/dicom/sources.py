"""Where a study's bytes lie: files at any depth of a folder, or members of a zip archive.

Nothing is ever unpacked to disk, so no name in an archive can lead outside of anything.
"""

import io
import os
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import BinaryIO, NamedTuple

from rcc_onnx.errors import FolderNotFoundError, IntakeError
from rcc_onnx.system.files import LOCK_NAME

# Zip archives as sources of DICOM files, with limits: an archive is somebody else's word.
#
# Members are read into memory one at a time, never written anywhere.

MAX_MEMBERS = 100_000
"""As many as a folder may hold files."""
MAX_MEMBER_BYTES = 512 * 1024**2
"""One file is held in memory at a time. A multi-frame CT of 1,000 slices of 512x512 just fits."""
MAX_TOTAL_BYTES = 32 * 1024**3
"""A study of 60,000 slices."""
MAX_RATIO = 200
"""CT pixels shrink to a half or a fifth; even blank ones with their headers hardly a
hundredfold. A bomb of plain zip layers starts at a thousandfold."""
RATIO_FREE_BYTES = 64 * 1024**2
"""Below this much unpacked, the ratio does no harm and is not looked at."""


class Archive:
    """An open zip archive whose directory keeps to the limits."""

    def __init__(self, file: zipfile.ZipFile, members: tuple[zipfile.ZipInfo, ...]) -> None:
        self._file = file
        self.members = members

    def read(self, member: str, at_most: int = MAX_MEMBER_BYTES) -> bytes:
        """The first bytes of a member; no more than its entry promises, whatever it unpacks to.

        Raises:
            OSError: it is damaged.
        """
        try:
            with self._file.open(member) as file:
                return file.read(at_most)
        except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, ValueError) as error:
            raise OSError(f"damaged archive member: {type(error).__name__}") from error


def open_archive(path: Path, name: str) -> Archive:
    """The archive at `path`, called `name` in messages, once its directory passed every limit.

    Raises:
        IntakeError: one of its leaves.
    """
    try:
        file = zipfile.ZipFile(path)
    except Exception as error:  # a damaged directory breaks zipfile in many ways
        raise IntakeError(
            f"{name}: no readable zip archive ({type(error).__name__}); copy it again from its "
            "source, or unpack it and give the folder",
            code="archive-damaged",
        ) from error
    members = tuple(info for info in file.infolist() if not info.is_dir())
    try:
        _check(name, members, path.stat().st_size)
    except Exception:
        file.close()
        raise
    return Archive(file, members)


def _check(name: str, members: tuple[zipfile.ZipInfo, ...], size: int) -> None:
    total = sum(info.file_size for info in members)
    packed = sum(info.compress_size for info in members)
    advice = "unpack it yourself if you trust it, and give the folder"
    if len(members) > MAX_MEMBERS:
        raise IntakeError(
            f"{name}: more than {MAX_MEMBERS} members; {advice}", code="archive-too-large"
        )
    if total > MAX_TOTAL_BYTES or any(one.file_size > MAX_MEMBER_BYTES for one in members):
        raise IntakeError(
            f"{name}: unpacked it holds {total / 1024**2:.0f} MB, more than "
            f"{MAX_TOTAL_BYTES / 1024**2:.0f} MB in all or {MAX_MEMBER_BYTES / 1024**2:.0f} MB in "
            f"one file; {advice}",
            code="archive-too-large",
        )
    # Packed members that are longer together than the archive lie on top of one another.
    if packed > size or (total > RATIO_FREE_BYTES and total > MAX_RATIO * max(packed, 1)):
        raise IntakeError(
            f"{name}: it unpacks to more than {MAX_RATIO} times its size, as decompression bombs "
            f"do; {advice}",
            code="archive-too-large",
        )
    for info in members:
        parts = PurePosixPath(info.filename.replace("\\", "/"))
        if parts.is_absolute() or ".." in parts.parts or ":" in info.filename[:2]:
            raise IntakeError(
                f"{name}: it holds a name that leads outside of it; a proper export does not, "
                "so make the archive again from its source",
                code="archive-unsafe-name",
            )
        if info.flag_bits & 0x1:
            raise IntakeError(
                f"{name}: it is encrypted; unpack it with its password and give the folder",
                code="archive-encrypted",
            )


MAX_FILES = 100_000
"""More files than any study has; a whole disk given by mistake ends here, not in an hour."""
HEADER_BYTES = 64 * 1024
"""Headers of CT slices are shorter than this; so much is read before more is asked for."""


class LeftOut(NamedTuple):
    """A file that is not used, and why, in a few words."""

    file_name: str
    reason: str


@dataclass(frozen=True)
class Source:
    """One file, on disk or in an archive.

    Attributes:
        name: path below the study's folder, with `/`; for a member of an archive, the archive's
            name comes first. Or a number, where names are not to be told (`without_names`).
        path: the file on disk: the archive, for a member.
        size: bytes, unpacked.
    """

    name: str
    path: Path
    size: int
    archive: Archive | None = field(default=None, compare=False, repr=False)
    member: str = ""

    def start(self) -> bytes:
        """The first bytes: as a rule, the whole header.

        Raises:
            OSError: the file cannot be read, or the archive is damaged here.
        """
        if self.archive is not None:
            return self.archive.read(self.member, HEADER_BYTES)
        with self.path.open("rb") as file:
            return file.read(HEADER_BYTES)

    def open(self) -> BinaryIO:
        """All of it, for reading; the caller closes it. Raises OSError as `start` does."""
        if self.archive is not None:
            return io.BytesIO(self.archive.read(self.member))
        return self.path.open("rb")


def list_files(folder: Path, shown_as: str | None = None) -> list[Path]:
    """The files of the folder itself, not of folders in it, sorted by name as text.

    Raises:
        FolderNotFoundError: no such folder.
    """
    if not folder.is_dir():
        raise FolderNotFoundError(
            f"{shown_as or folder}: no such folder; give the folder of one CT study"
        )
    return sorted((path for path in folder.iterdir() if path.is_file()), key=lambda p: p.name)


def find_sources(root: Path, shown_as: str | None = None) -> tuple[list[Source], list[LeftOut]]:
    """Every file of a study, at any depth and inside zip archives, sorted by name; and what is no
    file to be read. Links to folders are not followed, hidden folders are searched; a folder into
    which a run writes its results is passed over.

    Args:
        root: a folder or a zip archive.
        shown_as: what messages call it, where no name of a folder or file may be told.

    Raises:
        FolderNotFoundError: neither; other files are not looked into.
        IntakeError: an archive breaks a limit, or is no archive.
        IntakeError (too-many-files): more than a study can have.
    """
    called = shown_as or str(root)
    if root.is_file():
        if root.suffix.lower() != ".zip":
            raise FolderNotFoundError(
                f"{called}: is no folder and no zip archive; give the folder that it lies in"
            )
        found = _members(root, "", shown_as or root.name)
        return found if shown_as is None else without_names(*found)
    if not root.is_dir():
        raise FolderNotFoundError(f"{called}: no such folder; give the folder of one CT study")
    found = _files(root, shown_as)
    return found if shown_as is None else without_names(*found)


def without_names(
    sources: Sequence[Source], left_out: Sequence[LeftOut]
) -> tuple[list[Source], list[LeftOut]]:
    """The same with `file-000001`, `file-000002` ... in the order of their names for names."""
    names = sorted({*(one.name for one in sources), *(one.file_name for one in left_out)})
    number = {name: f"file-{place:06}" for place, name in enumerate(names, start=1)}
    return (
        [replace(one, name=number[one.name]) for one in sources],
        [LeftOut(number[one.file_name], one.reason) for one in left_out],
    )


def _files(root: Path, shown_as: str | None) -> tuple[list[Source], list[LeftOut]]:
    sources: list[Source] = []
    left_out: list[LeftOut] = []
    for path in _walk(root):
        name = path.relative_to(root).as_posix()
        try:
            size = path.stat().st_size
        except OSError as error:
            left_out.append(LeftOut(name, f"cannot be read ({error.strerror})"))
            continue
        if not path.is_file():
            left_out.append(LeftOut(name, "not a plain file"))
        elif is_archive(path):
            inside, passed_over = _members(
                path, f"{name}/", name if shown_as is None else f"an archive in {shown_as}"
            )
            sources += inside
            left_out += passed_over
        else:
            sources.append(Source(name, path, size))
        if len(sources) + len(left_out) > MAX_FILES:
            raise IntakeError(
                f"{shown_as or root}: more than {MAX_FILES} files; give the folder of one study",
                code="too-many-files",
            )
    return sorted(sources, key=lambda one: one.name), left_out


def is_archive(path: Path) -> bool:
    """Whether the file is named `.zip` and starts as archives do.

    An office document starts so too, and is none of ours. What is no plain file is never opened: a
    pipe would wait for ever.
    """
    try:
        if path.suffix.lower() != ".zip" or not path.is_file():
            return False
        with path.open("rb") as file:
            return file.read(4) in (b"PK\x03\x04", b"PK\x05\x06")
    except OSError:
        return False


def _walk(root: Path) -> Iterator[Path]:
    for folder, folders, names in os.walk(root, followlinks=False):
        if LOCK_NAME in names and Path(folder) != root:
            folders.clear()  # the results of this very run, or of another
            continue
        for name in names:
            yield Path(folder, name)


def _members(path: Path, prefix: str, called: str) -> tuple[list[Source], list[LeftOut]]:
    archive = open_archive(path, called)
    sources, left_out = [], []
    for info in archive.members:
        name = prefix + info.filename
        if info.filename.lower().endswith(".zip"):
            left_out.append(LeftOut(name, "archive inside an archive, not opened"))
        else:
            sources.append(Source(name, path, info.file_size, archive, info.filename))
    return sources, left_out
