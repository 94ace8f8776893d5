"""Where a study's bytes lie: files at any depth of a folder, or members of a zip archive.

Nothing is ever unpacked to disk, so no name in an archive can lead outside of anything.
"""

import io
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import BinaryIO, NamedTuple

from rcc_onnx.errors import FolderNotFoundError, TooManyFilesError
from rcc_onnx.file_lock import LOCK_NAME
from rcc_onnx.intake.archives import Archive, open_archive

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
        ArchiveError: an archive breaks a limit, or is no archive.
        TooManyFilesError: more than a study can have.
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
            raise TooManyFilesError(
                f"{shown_as or root}: more than {MAX_FILES} files; give the folder of one study"
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
