"""The inbox of a watcher: which studies are in it, what their cases are called, and how studies
that are done leave it."""

import errno
import logging
import os
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from rcc_onnx.batch.arrivals import SYSTEM_FILES, is_temporary
from rcc_onnx.batch.cases import Case
from rcc_onnx.batch.pseudonyms import check_out, gives_away, pseudonym_of, read_pseudonyms
from rcc_onnx.batch.resume import inputs_sha256
from rcc_onnx.errors import (
    InboxGoneError,
    InputFolderError,
    MoveError,
    NameTakenError,
    PseudonymsError,
)
from rcc_onnx.output.document import check_case_name, same_everywhere
from rcc_onnx.types import counted

_log = logging.getLogger(__name__)

COPYING = ".rcc-onnx-copying-"
MOVED = ".rcc-onnx-moved-"
"""Start of hidden names while a study goes to another file system. Hidden entries of an inbox are
no studies, so one that is half removed is never taken for a study that has changed."""


@dataclass(frozen=True)
class Scan:
    """An inbox as it is now.

    Attributes:
        cases: by the name of their entry.
        notices: what a person should know: by entry, why it cannot be analysed; and others, by
            subjects that start with a slash.
    """

    cases: Mapping[str, Case]
    notices: Mapping[str, str]


class Scanner:
    """Lists the studies of an inbox: folders and zip archives directly in it.

    Args:
        inbox: the folder.
        out: the folder of results.
        not_studies: folders that may be in the inbox, at any depth, and hold no new studies.
        pseudonyms: a CSV file with names for the cases, read again for each scan.

    Raises:
        InboxGoneError: the inbox is not there.
        PseudonymsError: the file cannot be used.
    """

    def __init__(
        self,
        inbox: Path,
        out: Path,
        not_studies: Iterable[Path] = (),
        pseudonyms: Path | None = None,
    ) -> None:
        self.inbox = inbox.absolute()
        self._out = out
        # As paths are written, and as they really are.
        self._skip = frozenset(
            path.relative_to(root).parts[0]
            for folder in (out, *not_studies)
            for path in (folder.absolute(), folder.resolve())
            for root in (self.inbox, self.inbox.resolve())
            if path != root and path.is_relative_to(root)
        )
        self._file = pseudonyms
        self._pseudonyms: Mapping[str, str] = {}
        self._names: dict[str, str] = {}
        """Of cases, by entry, as the last scan found them."""
        self._identity: tuple[int, int] | None = None
        self._entries()
        self._read_pseudonyms()

    def scan(self) -> Scan:
        """Return the studies as they are now.

        Hidden entries and those with temporary names are skipped. Of several entries whose cases
        would have one name, that which has had it keeps it, or else the first gets it.

        Raises:
            InboxGoneError: the folder is not there, or cannot be read.
        """
        entries, loose_files = self._entries()
        notices: dict[str, str] = {}
        try:
            self._read_pseudonyms()
        except PseudonymsError as error:
            notices["/pseudonyms"] = f"earlier pseudonyms stay in use [{error.code}]: {error}"
        own = {entry: self._own_name(entry) for entry in entries}
        names: dict[str, str | None] = {
            entry: name if self._file is None else pseudonym_of(name, self._pseudonyms)
            for entry, name in own.items()
        }
        taken: set[str] = set()
        cases: dict[str, Case] = {}
        # Stable: entries that have their name already first, then in order.
        for entry in sorted(entries, key=lambda entry: self._names.get(entry) != names[entry]):
            name = names[entry]
            if name is None:
                continue
            try:
                if same_everywhere(name) in taken:
                    raise NameTakenError(
                        "another entry of the inbox has results of this name; rename one of them"
                    )
                if self._names.get(entry) != name:
                    self._check_name(entry, name, own)
            except (InputFolderError, NameTakenError, PseudonymsError) as error:
                shown = "a study" if self._file else entry
                notices[entry] = f"{shown}: refused [{error.code}]: {error}"
            else:
                taken.add(same_everywhere(name))
                cases[entry] = Case(name, self.inbox / entry, hide_names=self._file is not None)
        self._names = {entry: case.name for entry, case in cases.items()}
        unnamed = list(names.values()).count(None)
        if unnamed:
            waiting = counted(unnamed, "study", "studies")
            notices["/unnamed"] = f"waiting for a line in the file of pseudonyms: {waiting}"
        if loose_files:
            notices["/loose"] = (
                f"ignored: {counted(loose_files, 'file')} directly in the inbox; a study is a "
                "folder or a zip archive"
            )
        return Scan(cases, notices)

    def _entries(self) -> tuple[list[str], int]:
        """Return the names of folders and archives, sorted, and how many other files there are."""
        try:
            found = self.inbox.stat()
            with os.scandir(self.inbox) as entries:
                is_folder = {entry.name: entry.is_dir() for entry in entries}
        except OSError as error:
            raise InboxGoneError(
                f"{self.inbox} cannot be read ({error.strerror}); is the share mounted, and may "
                "this user read it?"
            ) from error
        names = [
            name
            for name in sorted(is_folder)
            if not name.startswith(".") and not is_temporary(name) and name not in self._skip
        ]
        studies = [name for name in names if is_folder[name] or _is_archive(name)]
        others = {name for name in names if name.lower() not in SYSTEM_FILES}.difference(studies)
        identity = (found.st_dev, found.st_ino)
        if self._identity not in (None, identity) and self._names and not studies:
            raise InboxGoneError(
                f"{self.inbox} is empty, and another folder than before; is the share mounted?"
            )
        self._identity = identity
        return studies, len(others)

    def _own_name(self, entry: str) -> str:
        """Return the name of an entry, that of an archive without its suffix."""
        is_file = _is_archive(entry) and not (self.inbox / entry).is_dir()
        return Path(entry).stem if is_file else entry

    def _read_pseudonyms(self) -> None:
        """Read the file, if there is one. Raises PseudonymsError; earlier names stay."""
        if self._file is not None:
            self._pseudonyms = read_pseudonyms(self._file)

    def _check_name(self, entry: str, name: str, own: Mapping[str, str]) -> None:
        """Raise the error for a case that cannot have results of this name."""
        if self._file is None:
            check_case_name(name, self.inbox)
            return
        check_out([own[entry]], self._out)
        if gives_away(name, own.values()):
            raise PseudonymsError(
                f"{self._file}: a pseudonym is or holds a case's own name; choose one that does "
                "not reveal it",
                code="pseudonym-unsafe",
            )


def move_study(study: Path, to: Path) -> Path:
    """Move a study's folder or archive into a folder, which is made if missing; return its path.

    On one file system it is renamed. To another it is copied, compared, and then removed. Where
    something has its name already, a number is added.

    Raises:
        MoveError: it cannot be moved and stays where it is. The message names `to` only.
    """
    try:
        to.mkdir(parents=True, exist_ok=True)
        target = _free_name(study, to)
        try:
            study.rename(target)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            _move_across(study, target)
    except OSError as error:
        raise MoveError(
            f"cannot be moved to {to} ({error.strerror or error}); it stays in the inbox"
        ) from error
    return target


def finish_moves(inbox: Path, targets: Iterable[Path]) -> None:
    """Remove what a killed watcher had copied in part, or had moved and not yet removed."""
    for pattern, folders in ((COPYING, targets), (MOVED, [inbox])):
        for folder in folders:
            for path in folder.glob(f"{pattern}*"):
                _remove(path)


def _move_across(study: Path, target: Path) -> None:
    """Move to another file system. Raises OSError, and then nothing has happened.

    At every moment the whole study is in one of the two folders, under a name that stays.
    """
    copy = target.with_name(f"{COPYING}{target.name}")
    _remove(copy)
    try:
        if study.is_dir():
            shutil.copytree(study, copy, symlinks=True)
        else:
            shutil.copy2(study, copy)
        if inputs_sha256(copy) != inputs_sha256(study):
            raise OSError(errno.EIO, "the copy is not the same")
        copy.rename(target)
        try:
            # Hidden in one step: a half removed study would look like a changed one.
            moved = study.rename(study.with_name(f"{MOVED}{study.name}"))
        except OSError:
            target.rename(copy)
            raise
    except OSError:
        _remove(copy)
        raise
    _remove(moved)


def _free_name(study: Path, to: Path) -> Path:
    """Return a path that does not exist, as near to the study's name as can be."""
    stem, suffix = (study.stem, study.suffix) if study.is_file() else (study.name, "")
    number = 1
    target = to / study.name
    while os.path.lexists(target):
        number += 1
        target = to / f"{stem}-{number}{suffix}"
    return target


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
        return
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        _log.warning("a file that was moved cannot be removed: %s", error.strerror)


def _is_archive(name: str) -> bool:
    return name.lower().endswith(".zip")
