"""What an input is: one study, or a folder of studies. Told from a few files of each folder.

1. A zip archive is one study.
2. A folder in which DICOM files lie (a DICOMDIR is one) is one study, with everything below it.
3. Else its entries (folders, and zip archives) count. All of one StudyInstanceUID: one study, whose
   series lie in folders of their own. All of different ones, or unknown, or copies of each other: a
   study each. Anything in between is ambiguous.

A link among the entries is followed, unless it leads to the input itself or to a folder above it.
"""

import os
import unicodedata
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from rcc_onnx.dicom.headers import SliceHeader, read_headers
from rcc_onnx.dicom.sources import Source, find_sources, is_archive
from rcc_onnx.errors import AmbiguousInputError, InputFolderError, IntakeError
from rcc_onnx.types import InputIs

LOOKED_AT = 50
"""Files of an entry that are looked at for a DICOM one: read-me files come first at times."""
_GIVE = "give a study folder, a zip archive, or a folder of study folders"
CONTAINERS = {"dicom", "dcm", "images", "image", "scans"}
"""Folder names that say nothing about the study: then the input's own name is taken."""


class StudyPlace(NamedTuple):
    """A study and the name of its results."""

    name: str
    path: Path


class _Peek(NamedTuple):
    """The first DICOM file of an entry; "" what is not known."""

    path: Path
    is_dicom: bool
    study_uid: str = ""
    instance_uid: str = ""


def find_studies(
    root: Path, skip: Path | None = None, input_is: InputIs = InputIs.AUTO
) -> tuple[StudyPlace, ...]:
    """The studies of an input, sorted by name. Hidden entries, those without any file, and `skip`
    (the results of an earlier run, at any depth) are passed over; an entry with files but no DICOM
    is a study, which will be refused.

    Raises:
        InputFolderError: there is no such folder or archive, or nothing in it could be a study.
        AmbiguousInputError: it may be one study or several.
    """
    _see_that_it_can_be_opened(root)
    whole = StudyPlace(
        root.resolve().stem if root.is_file() else root.resolve().name or "study", root
    )
    if is_archive(root):
        return (whole,)
    if not root.is_dir():
        raise InputFolderError(f"{root} is no folder and no zip archive; {_GIVE}")
    if input_is is InputIs.STUDY:
        return (whole,)
    if input_is is InputIs.AUTO and _holds_dicom(root):
        return (whole,)
    files = {entry: _files(entry, skip) for entry in _entries(root, skip)}
    peeks = [_peek(entry, some) for entry, some in files.items() if some]
    if not peeks:
        raise InputFolderError(f"{root} holds no DICOM files and no study folders; {_GIVE}")
    if input_is is InputIs.AUTO and _is_one_study(root, [peek for peek in peeks if peek.is_dicom]):
        return (whole,)
    places = tuple(StudyPlace(_name(peek.path), peek.path) for peek in peeks)
    if len(places) == 1 and places[0].name.lower() in CONTAINERS:
        return (StudyPlace(whole.name, places[0].path),)
    return _distinct(root, places)


def _see_that_it_can_be_opened(root: Path) -> None:
    try:
        root.stat()
    except (FileNotFoundError, NotADirectoryError):
        raise InputFolderError(f"{root} does not exist; {_GIVE}") from None
    except OSError as error:
        # No right to look, a name that is too long, links that lead in a circle.
        raise InputFolderError(f"{root} cannot be opened ({error.strerror}); {_GIVE}") from error


def _holds_dicom(root: Path) -> bool:
    """Whether DICOM files lie in the folder itself; archives in it are entries, not files."""
    files = [one for one in _entries(root) if one.is_file() and not is_archive(one)]
    return _peek(root, files[:LOOKED_AT]).is_dicom


def _is_one_study(root: Path, peeks: list[_Peek]) -> bool:
    """Whether several entries are parts of one study.

    Raises:
        AmbiguousInputError: some are, some are not.
    """
    by_study: dict[str, list[_Peek]] = {}
    for peek in peeks:
        if peek.study_uid:
            by_study.setdefault(peek.study_uid, []).append(peek)
    shared = {
        uid: members
        for uid, members in by_study.items()
        # The same first file twice is a copy of the study, no second part of it.
        if len({peek.instance_uid for peek in members}) > 1
    }
    if not shared:
        return False
    if len(by_study) == 1 and sum(map(len, by_study.values())) == len(peeks):
        return True
    one, other = next(iter(shared.values()))[:2]
    raise AmbiguousInputError(
        f"{root}: {one.path.name} and {other.path.name} are parts of one study, other entries are "
        "not; say --input-is studies to analyse each entry by itself, or --input-is study to take "
        "them all for one study"
    )


def _entries(root: Path, skip: Path | None = None) -> list[Path]:
    """Folders, and files, of a folder by name; of the files, archives are what counts later."""
    skipped, top = _resolved(skip), root.resolve()
    try:
        found = sorted(root.iterdir())
    except OSError as error:
        raise InputFolderError(f"{root} cannot be listed ({error.strerror})") from error
    entries = []
    for one in found:
        target = _resolved(one)
        if target is None or one.name.startswith("."):
            continue
        # A link to a folder above would bring all of this again, and to / the whole disk.
        if target != skipped and not top.is_relative_to(target):
            entries.append(one)
    return entries


def _resolved(path: Path | None) -> Path | None:
    """Where a path leads; None if in a circle of links."""
    try:
        return None if path is None else path.resolve()
    except (OSError, RuntimeError):  # which one hangs on Python's version
        return None


def _files(entry: Path, skip: Path | None) -> list[Path]:
    """Some files of a folder, or the archive that the entry is; none if it is another file.

    What is called an archive is one, also where nothing of it has arrived but its name: passed
    over, the study would be missing and nobody told.
    """
    if entry.is_dir():
        return list(islice(_files_below(entry, skip), LOOKED_AT))
    return [entry] if entry.suffix.lower() == ".zip" and entry.is_file() else []


def _files_below(folder: Path, skip: Path | None) -> Iterator[Path]:
    skipped = _resolved(skip)
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(
            name for name in folders if skipped is None or _resolved(Path(place, name)) != skipped
        )
        yield from (Path(place, name) for name in sorted(names))


def _peek(entry: Path, files: list[Path]) -> _Peek:
    """The first DICOM file of known study among a few files; else whether any is DICOM."""
    is_dicom = False
    for header in _first_headers(files):
        is_dicom = True
        if header.study_uid:
            return _Peek(entry, True, header.study_uid, header.sop_instance_uid)
    return _Peek(entry, is_dicom)


def _first_headers(files: list[Path]) -> Iterator[SliceHeader]:
    """The first image of each file, of each member if it is an archive."""
    for path in files:
        for source in _inside(path):
            headers, _ = read_headers([source])
            yield from headers[:1]


def _inside(path: Path) -> list[Source]:
    """The file itself, or the first members of an archive; nothing if it cannot be opened."""
    try:
        if not path.is_file():
            return []
        if is_archive(path):
            return find_sources(path)[0][:LOOKED_AT]
        return [Source(path.name, path, 0)]
    except (IntakeError, OSError):
        return []


def _name(path: Path) -> str:
    return path.stem if path.is_file() else path.name


def _distinct(root: Path, places: tuple[StudyPlace, ...]) -> tuple[StudyPlace, ...]:
    """The places, if their names differ; a folder and an archive may have the same.

    Names that differ in upper and lower case only are one file on Windows, macOS and most network
    drives, where one case's result would replace the other's.

    Raises:
        AmbiguousInputError: two results would have one name.
    """
    first: dict[str, StudyPlace] = {}
    for place in places:
        other = first.setdefault(unicodedata.normalize("NFC", place.name).casefold(), place)
        if other is not place:
            raise AmbiguousInputError(
                f"{root}: the results of {other.path.name} and {place.path.name} would have one "
                "name; rename one of them"
            )
    return places
