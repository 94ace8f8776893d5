"""Every series of a study as a candidate with a verdict, and every other file with a reason."""

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rcc_onnx.errors import DuplicatePositionsError, IntakeError, NoCtError, NoDicomError
from rcc_onnx.header_text import agent_words, kernel_words, protocol_words, terms, uid, whole_number
from rcc_onnx.intake.classify import why_no_slice
from rcc_onnx.intake.duplicates import drop_copies
from rcc_onnx.intake.grouping import Group, group_slices, split_by_marks, split_by_turns
from rcc_onnx.intake.headers import SliceHeader
from rcc_onnx.intake.reading import read_headers
from rcc_onnx.intake.series import Stack, judge
from rcc_onnx.intake.sources import LeftOut, find_sources
from rcc_onnx.intake_record import SeriesRow
from rcc_onnx.vocabulary import IMAGE_TYPES

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Candidate:
    """A series, or a part of one, and what became of it.

    Attributes:
        row: what tells it apart.
        stack: None if it was refused.
        error: the refusal; None if it is suitable.
        copies: slices that were the same as others, and were dropped.
    """

    row: SeriesRow
    headers: tuple[SliceHeader, ...]
    stack: Stack | None
    error: IntakeError | None
    copies: tuple[LeftOut, ...] = ()


@dataclass(frozen=True)
class Contents:
    """All that a study folder holds.

    Attributes:
        root: what messages call it.
        candidates: sorted by series number and name; at least one.
        left_out: files that are no CT slices.
        files_found: files at any depth.
    """

    root: str
    candidates: tuple[Candidate, ...]
    left_out: tuple[LeftOut, ...]
    files_found: int


def read_contents(root: Path, shown_as: str | None = None) -> Contents:
    """Read all headers of a folder or archive, group the slices, and judge each group.

    Args:
        root: the folder or archive.
        shown_as: what messages call it, where no name of a folder or file may be told.

    Raises:
        FolderNotFoundError, TooManyFilesError, ArchiveError: the folder or archive itself.
        NoDicomError: no DICOM file in it.
        NoCtError: DICOM files, but none is a CT slice.
    """
    sources, left_out = find_sources(root, shown_as)
    found = len(sources) + len(left_out)
    headers, unread = read_headers(sources)
    left_out += unread
    slices: list[SliceHeader] = []
    no_slices: dict[LeftOut, None] = {}
    for header in headers:
        reason = why_no_slice(header)
        if reason is None:
            slices.append(header)
        else:
            # By the file's name: frames of one file that are left out alike are said once.
            no_slices[LeftOut(header.source.name, reason)] = None
    left_out += no_slices
    if not slices:
        raise _nothing_to_read(shown_as or str(root), len(headers), left_out)
    judged = [one for group in group_slices(slices) for one in _judge_group(group)]
    _log.info("%s: %d files, %d CT slices", shown_as or root.name, found, len(slices))
    return Contents(shown_as or str(root), _labelled(judged), tuple(left_out), found)


@dataclass(frozen=True)
class _Judged:
    headers: tuple[SliceHeader, ...]
    stack: Stack | None
    error: IntakeError | None
    copies: tuple[LeftOut, ...]


def _judge_group(group: Group) -> list[_Judged]:
    """Usually one verdict; more where one UID hides several stacks that lie on one another."""
    if group.error is not None:
        return [_Judged(group.headers, None, group.error, ())]
    headers, copies = drop_copies(group.headers, same_instance=True)
    try:
        stack = judge(headers)
        return _taking_turns(stack, tuple(copies)) or [
            _Judged(tuple(headers), stack, None, tuple(copies))
        ]
    except DuplicatePositionsError:
        parts = split_by_marks(headers)
    except IntakeError as error:
        return [_Judged(tuple(headers), None, error, tuple(copies))]
    if len(parts) == 1:
        headers, more = drop_copies(headers, same_instance=False)
        parts, copies = [Group(tuple(headers))], copies + more
    return [_verdict(part.headers, tuple(copies)) for part in parts]


def _taking_turns(stack: Stack, copies: tuple[LeftOut, ...]) -> list[_Judged]:
    """The stacks that take turns in one; none unless each is a stack that could be analysed."""
    parts = split_by_turns([one.header for one in stack.slices])
    judged = [_verdict(part.headers, copies) for part in parts] if len(parts) > 1 else []
    return judged if all(one.stack for one in judged) else []


def _verdict(headers: tuple[SliceHeader, ...], copies: tuple[LeftOut, ...]) -> _Judged:
    try:
        return _Judged(headers, judge(headers), None, copies)
    except IntakeError as error:
        return _Judged(headers, None, error, copies)


def _labelled(judged: Sequence[_Judged]) -> tuple[Candidate, ...]:
    """Candidates in a stable order, each with a label of its own."""

    def key(one: _Judged) -> tuple[float, str, str]:
        first = one.headers[0]
        number = first.series_number
        return (
            int(number) if number.isascii() and number.isdigit() else float("inf"),
            first.series_uid,
            min(header.file_name for header in one.headers),
        )

    ordered = sorted(judged, key=key)
    numbers = [whole_number(one.headers[0].series_number) or "none" for one in ordered]
    shared = {number for number, times in Counter(numbers).items() if times > 1}
    seen: Counter[str] = Counter()
    candidates = []
    for number, one in zip(numbers, ordered, strict=True):
        seen[number] += 1
        label = f"{number}.{seen[number]}" if number in shared else number
        candidates.append(
            Candidate(_row(label, one), one.headers, one.stack, one.error, one.copies)
        )
    return tuple(candidates)


def _row(label: str, one: _Judged) -> SeriesRow:
    first, stack = one.headers[0], one.stack
    thickness, contrast = first.slice_thickness, _contrast(one.headers)
    return SeriesRow(
        label=label,
        uid=uid(first.series_uid),
        study_uid=uid(first.study_uid),
        number=whole_number(first.series_number),
        description=protocol_words(first.series_description),
        image_type=terms(first.image_type, IMAGE_TYPES),
        contrast=agent_words(contrast),
        kernel=kernel_words(first.kernel),
        slices=len(one.headers),
        rows=first.rows,
        columns=first.columns,
        thickness_mm=thickness[0] if thickness else None,
        spacing_mm=stack.order.spacing_mm if stack else None,
        extent_mm=stack.order.extent_mm if stack else 0.0,
        verdict=one.error.code if one.error else "suitable",
        reason=str(one.error) if one.error else "",
    )


def as_recorded(one: Candidate) -> SeriesRow:
    """The row with its texts as the files have them: they may hold a patient's name."""
    first = one.headers[0]
    return replace(
        one.row,
        description=first.series_description,
        image_type="\\".join(first.image_type),
        contrast=_contrast(one.headers),
        kernel=first.kernel,
    )


def _contrast(headers: Sequence[SliceHeader]) -> str:
    return next((header.contrast for header in headers if header.contrast), "")


def _nothing_to_read(
    root: str, dicom_files: int, left_out: Sequence[LeftOut]
) -> NoDicomError | NoCtError:
    counts = Counter(file.reason for file in left_out)
    listed = ", ".join(f"{count} x {reason}" for reason, count in counts.most_common(10))
    if dicom_files:
        return NoCtError(f"{root}: none of its DICOM files is a CT slice ({listed})")
    return NoDicomError(
        f"{root}: no DICOM file in it, at any depth ({listed or 'no files at all'}); give the "
        "folder or zip archive of one CT study"
    )
