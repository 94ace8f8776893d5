"""The studies of an input: one or several, decided from a few files of each folder.

1. A zip archive is one study.
2. A folder in which DICOM files lie (a DICOMDIR is one) is one study, with everything below it.
3. Else its entries (folders, and zip archives) count. All of one StudyInstanceUID: one study, whose
   series are in folders of their own. All of different ones, or unknown, or copies of each other: a
   study each. Anything in between is ambiguous.

A link among the entries is followed, unless it leads to the input itself or to a folder above it.
"""

import os
import unicodedata
from collections.abc import Iterator
from itertools import chain, islice
from pathlib import Path
from typing import NamedTuple

from rcc_onnx.dicom.headers import read_headers
from rcc_onnx.dicom.sources import Source, find_sources, is_archive
from rcc_onnx.errors import AmbiguousInputError, InputFolderError, IntakeError
from rcc_onnx.types import InputIs

MAX_FILES_TRIED = 50
"""Files of an entry that are searched for a DICOM file: some folders start with read-me files."""
GENERIC_NAMES = {"dicom", "dcm", "images", "image", "scans"}
"""Folder names that say nothing about the study: the case is then named after the input."""
_ADVICE = "give a study folder, a zip archive, or a folder of study folders"


class StudyPlace(NamedTuple):
    """A study and the name of its results."""

    name: str
    path: Path


class _Entry(NamedTuple):
    """An entry of the input, with the UIDs of its first DICOM file; "" where not known."""

    path: Path
    is_dicom: bool
    study_uid: str = ""
    instance_uid: str = ""


def find_studies(
    root: Path, skip: Path | None = None, input_is: InputIs = InputIs.AUTO
) -> tuple[StudyPlace, ...]:
    """Return the studies of an input, sorted by name.

    Hidden entries, those without any file, and `skip` (the results of an earlier run, at any depth)
    are passed over; an entry with files but no DICOM is a study, which will be refused.

    Raises:
        InputFolderError: there is no such folder or archive, or nothing in it could be a study.
        AmbiguousInputError: it may be one study or several.
    """
    _check_access(root)
    name = root.resolve().stem if root.is_file() else root.resolve().name or "study"
    whole = StudyPlace(name, root)
    if is_archive(root):
        return (whole,)
    if not root.is_dir():
        raise InputFolderError(f"{root} is not a folder and not a zip archive; {_ADVICE}")
    is_auto = input_is is InputIs.AUTO
    if input_is is InputIs.STUDY or (is_auto and _holds_dicom(root)):
        return (whole,)
    files = {path: _files(path, skip) for path in _list_entries(root, skip)}
    entries = [_identify(path, some) for path, some in files.items() if some]
    if not entries:
        raise InputFolderError(f"{root} holds no DICOM files and no study folders; {_ADVICE}")
    if is_auto and _is_one_study(root, [entry for entry in entries if entry.is_dicom]):
        return (whole,)
    places = tuple(
        StudyPlace(entry.path.stem if entry.path.is_file() else entry.path.name, entry.path)
        for entry in entries
    )
    if len(places) == 1 and places[0].name.lower() in GENERIC_NAMES:
        return (StudyPlace(whole.name, places[0].path),)
    _check_names(root, places)
    return places


def _check_access(root: Path) -> None:
    try:
        root.stat()
    except (FileNotFoundError, NotADirectoryError):
        raise InputFolderError(f"{root} does not exist; {_ADVICE}") from None
    except OSError as error:
        # No permission, a name that is too long, links that lead in a circle.
        raise InputFolderError(f"{root} cannot be opened ({error.strerror}); {_ADVICE}") from error


def _holds_dicom(root: Path) -> bool:
    """Return whether DICOM files lie in the folder itself, archives apart."""
    files = [path for path in _list_entries(root) if path.is_file() and not is_archive(path)]
    return _identify(root, files[:MAX_FILES_TRIED]).is_dicom


def _is_one_study(root: Path, entries: list[_Entry]) -> bool:
    """Return whether several entries are parts of one study.

    Raises:
        AmbiguousInputError: some are, some are not.
    """
    by_study: dict[str, list[_Entry]] = {}
    for entry in entries:
        if entry.study_uid:
            by_study.setdefault(entry.study_uid, []).append(entry)
    # The same first file twice is a copy of the study, not a second part of it.
    shared = [
        members
        for members in by_study.values()
        if len({member.instance_uid for member in members}) > 1
    ]
    if not shared:
        return False
    if len(by_study) == 1 and len(shared[0]) == len(entries):
        return True
    first, second = shared[0][:2]
    raise AmbiguousInputError(
        f"{root}: {first.path.name} and {second.path.name} are parts of one study, other entries "
        "are not; use --input-is studies to analyse each entry by itself, or --input-is study to "
        "take them all for one study"
    )


def _list_entries(root: Path, skip: Path | None = None) -> list[Path]:
    """Return the folders and files of a folder by name."""
    skipped, top = _resolve(skip), root.resolve()
    try:
        found = sorted(root.iterdir())
    except OSError as error:
        raise InputFolderError(f"{root} cannot be listed ({error.strerror})") from error
    targets = {path: _resolve(path) for path in found if not path.name.startswith(".")}
    return [
        path
        for path, target in targets.items()
        # A link to a folder above would bring all of this again, and to / the whole disk.
        if target is not None and target != skipped and not top.is_relative_to(target)
    ]


def _resolve(path: Path | None) -> Path | None:
    """Return where a path leads; None if in a circle of links."""
    try:
        return None if path is None else path.resolve()
    except (OSError, RuntimeError):  # which of them depends on Python's version
        return None


def _files(entry: Path, skip: Path | None) -> list[Path]:
    """Return some files of a folder, or the archive that the entry is; nothing for another file.

    A file named `.zip` counts as an archive even if only its name has arrived so far: passed over,
    the study would be missing without a message.
    """
    if entry.is_dir():
        return list(islice(_files_below(entry, skip), MAX_FILES_TRIED))
    return [entry] if entry.suffix.lower() == ".zip" and entry.is_file() else []


def _files_below(root: Path, skip: Path | None) -> Iterator[Path]:
    skipped = _resolve(skip)
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(
            name for name in folders if skipped is None or _resolve(Path(folder, name)) != skipped
        )
        yield from (Path(folder, name) for name in sorted(names))


def _identify(entry: Path, files: list[Path]) -> _Entry:
    """Take the first DICOM file that names its study; else only whether any is DICOM."""
    is_dicom = False
    for source in chain.from_iterable(map(_sources, files)):
        headers, _ = read_headers([source])
        is_dicom |= bool(headers)
        if headers and headers[0].study_uid:
            return _Entry(entry, True, headers[0].study_uid, headers[0].sop_instance_uid)
    return _Entry(entry, is_dicom)


def _sources(path: Path) -> list[Source]:
    """Return the file, or the first members of an archive; nothing if it cannot be opened."""
    try:
        if not path.is_file():
            return []
        if is_archive(path):
            return find_sources(path)[0][:MAX_FILES_TRIED]
        return [Source(path.name, path, 0)]
    except (IntakeError, OSError):
        return []


def _check_names(root: Path, places: tuple[StudyPlace, ...]) -> None:
    """Raise AmbiguousInputError if two results would have one name, as of a folder and an archive.

    Names that differ in upper and lower case only are one file on Windows, macOS and most network
    drives, where the result of one case would replace that of another.
    """
    first: dict[str, StudyPlace] = {}
    for place in places:
        other = first.setdefault(unicodedata.normalize("NFC", place.name).casefold(), place)
        if other is not place:
            raise AmbiguousInputError(
                f"{root}: the results of {other.path.name} and {place.path.name} would have one "
                "name; rename one of them"
            )
