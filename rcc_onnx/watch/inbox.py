"""What lies in an inbox: its entries, and whether one has changed since it was looked at.

Folders are looked through again and again, as network shares tell nobody of changes. Sizes and
dates are compared with those of the look before and with nothing else: clocks of shares are wrong.
"""

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rcc_onnx.errors import InboxGoneError

TEMPORARY_SUFFIXES = (
    ".part",
    ".partial",
    ".filepart",
    ".tmp",
    ".temp",
    ".crdownload",
    ".download",
    "~",
)
"""What programs that copy files end a name with until the file is whole."""
LITTER = frozenset({".ds_store", "thumbs.db", "desktop.ini"})
"""Files that systems leave where somebody looked at a folder."""


@dataclass(frozen=True)
class Snapshot:
    """A study as one look found it. Another look that finds the same is equal.

    Attributes:
        files: how many.
        half_written: how many of them have temporary names.
        digest: SHA-256 of their names, sizes and dates.
    """

    files: int
    half_written: int
    digest: str


@dataclass(frozen=True)
class Listing:
    """What lies directly in an inbox.

    Attributes:
        entries: names of folders and of files that are called archives, sorted.
        loose_files: how many other files there are, which are no studies.
        identity: of the folder itself, where the system has one: another, and another folder lies
            there, as when a share was mounted or is no more.
    """

    entries: tuple[str, ...]
    loose_files: int
    identity: tuple[int, int]


@dataclass(frozen=True)
class Inbox:
    """A folder of studies. `skip`: absolute paths in it, at any depth, that are none."""

    folder: Path
    skip: frozenset[Path] = frozenset()

    def path(self, name: str) -> Path:
        """Where an entry lies."""
        return self.folder / name

    def case_name(self, name: str) -> str:
        """What an entry's case is called: an archive without its suffix."""
        return Path(name).stem if self.is_file(name) else name

    def is_file(self, name: str) -> bool:
        """Whether an entry is an archive by its name; folders may be called anything."""
        return name.lower().endswith(".zip") and not self.path(name).is_dir()

    def listing(self) -> Listing:
        """The entries as they are now; hidden ones and those with temporary names are none.

        Raises:
            InboxGoneError: the folder is not there, or cannot be read.
        """
        try:
            found = self.folder.stat()
            with os.scandir(self.folder) as entries:
                kinds = {entry.name: entry.is_dir() for entry in entries}
        except OSError as error:
            raise InboxGoneError(
                f"{self.folder} cannot be read ({error.strerror}); is the share mounted, and may "
                "this user read it?"
            ) from error
        names = [
            name
            for name in sorted(kinds)
            if not name.startswith(".")
            and not is_temporary(name)
            and (self.folder / name).absolute() not in self.skip
        ]
        studies = [name for name in names if kinds[name] or name.lower().endswith(".zip")]
        loose = [name for name in names if name not in studies and name.lower() not in LITTER]
        return Listing(tuple(studies), len(loose), (found.st_dev, found.st_ino))

    def snapshot(self, name: str) -> Snapshot | None:
        """An entry as it is now; None if there is no file in it yet, or it is gone."""
        return snapshot(self.path(name), self.skip)

    def unreadable(self, name: str) -> int:
        """How many files of an entry cannot be opened now, as those that Windows has locked."""
        path = self.path(name)
        return sum(not _can_be_opened(file) for file in study_files(path, self.skip))


def is_temporary(name: str) -> bool:
    """Whether a file or folder is called as those that are still being written."""
    return name.lower().endswith(TEMPORARY_SUFFIXES) or name.startswith("~$")


def snapshot(study: Path, skip: frozenset[Path] = frozenset()) -> Snapshot | None:
    """A study as it is now; None if there is no file in it, or it is gone.

    A file that is removed while it is looked at is not in it: the next look will differ.
    """
    lines, half_written = [], 0
    for path in study_files(study, skip):
        try:
            found = path.stat()
        except OSError:
            # A dangling link, or gone since it was listed.
            lines.append((os.fsencode(path.relative_to(study)), b"?"))
            continue
        half_written += is_temporary(path.name)
        lines.append(
            (
                os.fsencode(path.relative_to(study)),
                b"%d %d" % (found.st_size, found.st_mtime_ns),
            )
        )
    if not lines:
        return None
    digest = hashlib.sha256()
    for name, facts in sorted(lines):
        digest.update(name + b"\0" + facts + b"\0")
    return Snapshot(len(lines), half_written, digest.hexdigest())


def study_files(study: Path, skip: frozenset[Path] = frozenset()) -> Iterator[Path]:
    """The files of a study, or itself if it is one; links to folders are not followed."""
    if study.is_file():
        yield study
        return
    for place, folders, names in os.walk(study, followlinks=False):
        if skip:
            folders[:] = [one for one in folders if Path(place, one).absolute() not in skip]
        yield from (Path(place, name) for name in names if name.lower() not in LITTER)


def _can_be_opened(path: Path) -> bool:
    try:
        if path.is_file():
            with path.open("rb"):
                pass
    except OSError:
        return False
    return True
