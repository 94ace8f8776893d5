"""Every series of a study as a candidate with a verdict, and the choice of the one to analyse."""

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from rcc_onnx.dicom.grouping import (
    Group,
    drop_copies,
    group_slices,
    split_duplicates,
    split_interleaved,
    why_not_ct_slice,
)
from rcc_onnx.dicom.header_privacy import (
    IMAGE_TYPES,
    agent_words,
    kernel_words,
    protocol_words,
    terms,
    uid,
    whole_number,
)
from rcc_onnx.dicom.headers import SliceHeader, read_headers
from rcc_onnx.dicom.sources import find_sources
from rcc_onnx.dicom.stack import Stack, build_stack
from rcc_onnx.errors import DuplicatePositionsError, IntakeError, SeveralSeriesError
from rcc_onnx.types import SeriesPolicy, SeriesRow, SkippedFile

_log = logging.getLogger(__name__)

TOO_SHORT_MM = 40.0
"""A series that covers less, beside one that covers more, is a test slice or a bolus tracking run:
no kidney fits into it."""
TEST_SLICES = 5
"""A series of fewer slices is a scout or a test shot."""
MAX_LISTED = 8
"""Series that a message lists; `rcc-onnx series` lists all."""
SAME_SPACING_MM = 0.01
"""Spacings that differ by less are the same for `thinnest`: positions are rounded in files."""


@dataclass(frozen=True)
class SeriesSelection:
    """The user's choice of a series.

    Attributes:
        series: a label of the table, a SeriesNumber or a SeriesInstanceUID.
        policy: how to choose where several are suitable.
    """

    series: str | None = None
    policy: SeriesPolicy | None = None


@dataclass(frozen=True)
class Candidate:
    """A series, or a part of one.

    Attributes:
        headers: its slices.
        stack: None if it was refused.
        error: the refusal; None if it is suitable.
        copies: slices that were the same as others, and were dropped.
        label: unique in its study; what `--series` takes.
    """

    headers: tuple[SliceHeader, ...]
    stack: Stack | None
    error: IntakeError | None
    copies: tuple[SkippedFile, ...]
    label: str = ""

    @cached_property
    def row(self) -> SeriesRow:
        """The row of the table, with those words of its texts that are known to be harmless."""
        first, stack = self.headers[0], self.stack
        return SeriesRow(
            label=self.label,
            series_instance_uid=uid(first.series_uid),
            study_instance_uid=uid(first.study_uid),
            number=whole_number(first.series_number),
            description=protocol_words(first.series_description),
            image_type=terms(first.image_type, IMAGE_TYPES),
            contrast=agent_words(self._contrast),
            kernel=kernel_words(first.kernel),
            slices=len(self.headers),
            matrix=(first.rows, first.columns),
            thickness_mm=first.slice_thickness[0] if first.slice_thickness else None,
            spacing_mm=stack.spacing_mm if stack else None,
            extent_mm=stack.extent_mm if stack else 0.0,
            verdict=self.error.code if self.error else "suitable",
            reason=str(self.error) if self.error else "",
        )

    @property
    def free_text_row(self) -> SeriesRow:
        """The row with its texts as the files have them: they may hold a patient's name."""
        first = self.headers[0]
        return replace(
            self.row,
            description=first.series_description,
            image_type="\\".join(first.image_type),
            contrast=self._contrast,
            kernel=first.kernel,
        )

    @property
    def _contrast(self) -> str:
        return next((header.contrast for header in self.headers if header.contrast), "")


@dataclass(frozen=True)
class Contents:
    """The contents of a study folder.

    Attributes:
        root: its name in messages.
        candidates: sorted by series number and name; at least one.
        skipped_files: files that are not CT slices.
        files_found: files at any depth.
    """

    root: str
    candidates: tuple[Candidate, ...]
    skipped_files: tuple[SkippedFile, ...]
    files_found: int

    @property
    def rows(self) -> tuple[SeriesRow, ...]:
        return tuple(candidate.row for candidate in self.candidates)

    def refusal(self, problem: str, code: str | None = None) -> SeveralSeriesError:
        return SeveralSeriesError(f"{self.root}: {problem}", self.rows, code)


def read_contents(root: Path, shown_as: str | None = None) -> Contents:
    """Read all headers of a folder or archive, group the slices, and build a stack of each group.

    Args:
        root: the folder or archive.
        shown_as: its name in messages, where no name of a folder or file may be shown.

    Raises:
        FolderNotFoundError, IntakeError (too-many-files, archive-...): as `find_sources`.
        IntakeError (no-dicom): no DICOM file in it.
        IntakeError (no-ct): DICOM files, but none is a CT slice.
    """
    sources, skipped = find_sources(root, shown_as)
    found = len(sources) + len(skipped)
    headers, unread = read_headers(sources)
    skipped += unread
    slices: list[SliceHeader] = []
    # By the file's name: a reason that many frames of one file share is listed once.
    other_images: dict[SkippedFile, None] = {}
    for header in headers:
        reason = why_not_ct_slice(header)
        if reason is None:
            slices.append(header)
        else:
            other_images[SkippedFile(header.source.name, reason)] = None
    skipped += other_images
    if not slices:
        raise _no_slices(shown_as or str(root), len(headers), skipped)
    candidates = [part for group in group_slices(slices) for part in _candidates(group)]
    _log.info("%s: %d files, %d CT slices", shown_as or root.name, found, len(slices))
    return Contents(shown_as or str(root), _labelled(candidates), tuple(skipped), found)


def series_table(root: Path, *, free_text: bool = False) -> tuple[SeriesRow, ...]:
    """Return every series of a study with its verdict, by series number.

    Args:
        root: the folder or archive.
        free_text: give texts as the files have them, which may hold a patient's name, instead of
            the words that are known to be harmless.

    Raises:
        IntakeError: no CT slice in it.
    """
    contents = read_contents(root)
    if not free_text:
        return contents.rows
    return tuple(candidate.free_text_row for candidate in contents.candidates)


def choose(contents: Contents, selection: SeriesSelection) -> tuple[Candidate, str]:
    """Return the candidate to analyse, which is suitable, and why it was chosen, in a sentence.

    Raises:
        IntakeError: the refusal of the only candidate, or of the one that was asked for.
        SeveralSeriesError: none or more than one is suitable, or the requested one does not exist.
    """
    if selection.series is not None:
        named = _named(contents, selection.series)
        return named, f"it was asked for as {selection.series!r}"
    suitable = [candidate for candidate in contents.candidates if candidate.stack is not None]
    if not suitable:
        raise _no_suitable_series(contents)
    long = [candidate for candidate in suitable if candidate.row.extent_mm >= TOO_SHORT_MM]
    contenders = long or suitable
    if len(contenders) == 1:
        return contenders[0], "it is the only suitable series"
    if selection.policy is None:
        raise contents.refusal(
            f"{len(contenders)} suitable series: {_listed(contenders)}; choose "
            "with --series or --series-policy",
        )
    return _by_policy(contents, contenders, selection.policy)


def _candidates(group: Group) -> list[Candidate]:
    """Usually return one; more where one UID hides several stacks that overlap."""
    if group.error is not None:
        return [Candidate(group.headers, None, group.error, ())]
    headers, copies = drop_copies(group.headers, same_instance=True)
    whole = _candidate(headers, copies)
    if whole.stack is not None:
        parts = split_interleaved([item.header for item in whole.stack.slices])
        found = [_candidate(part, copies) for part in parts]
        return found if len(found) > 1 and all(part.stack for part in found) else [whole]
    if not isinstance(whole.error, DuplicatePositionsError):
        return [whole]
    parts = split_duplicates(headers)
    if len(parts) > 1:
        return [_candidate(part, copies) for part in parts]
    headers, more = drop_copies(headers, same_instance=False)
    return [_candidate(headers, copies + more)]


def _candidate(headers: Sequence[SliceHeader], copies: Sequence[SkippedFile]) -> Candidate:
    try:
        return Candidate(tuple(headers), build_stack(headers), None, tuple(copies))
    except IntakeError as error:
        return Candidate(tuple(headers), None, error, tuple(copies))


def _labelled(candidates: Sequence[Candidate]) -> tuple[Candidate, ...]:
    """Put candidates in a stable order, each with a label of its own."""

    def key(candidate: Candidate) -> tuple[float, str, str]:
        first = candidate.headers[0]
        number = first.series_number
        return (
            int(number) if number.isascii() and number.isdigit() else float("inf"),
            first.series_uid,
            min(header.file_name for header in candidate.headers),
        )

    ordered = sorted(candidates, key=key)
    numbers = [whole_number(found.headers[0].series_number) or "none" for found in ordered]
    times, seen = Counter(numbers), Counter[str]()
    labelled = []
    for number, candidate in zip(numbers, ordered, strict=True):
        seen[number] += 1
        label = f"{number}.{seen[number]}" if times[number] > 1 else number
        labelled.append(replace(candidate, label=label))
    return tuple(labelled)


def _no_slices(root: str, dicom_files: int, skipped: Sequence[SkippedFile]) -> IntakeError:
    counts = Counter(file.reason for file in skipped)
    listed = ", ".join(f"{count} x {reason}" for reason, count in counts.most_common(10))
    if dicom_files:
        return IntakeError(
            f"{root}: none of its DICOM files is a CT slice ({listed})", code="no-ct"
        )
    return IntakeError(
        f"{root}: no DICOM file in it, at any depth ({listed or 'no files at all'}); give the "
        "folder or zip archive of one CT study",
        code="no-dicom",
    )


def _named(contents: Contents, name: str) -> Candidate:
    found: list[Candidate] = []
    for field in ("label", "series_instance_uid", "number"):
        found = found or [some for some in contents.candidates if getattr(some.row, field) == name]
    found = [candidate for candidate in found if candidate.stack is not None] or found
    if not found:
        raise contents.refusal(
            f"no series {name!r}; there are: {_listed(contents.candidates)}",
            "unknown-series",
        )
    if len(found) > 1:
        raise contents.refusal(
            f"{name!r} names {len(found)} series: {_listed(found)}; give the label of one",
        )
    if found[0].error is not None:
        raise found[0].error
    return found[0]


def _by_policy(
    contents: Contents, contenders: Sequence[Candidate], policy: SeriesPolicy
) -> tuple[Candidate, str]:
    rows = [candidate.row for candidate in contenders]
    if len({row.study_instance_uid for row in rows}) > 1:
        raise contents.refusal(
            f"the suitable series belong to several studies: "
            f"{_listed(contenders)}; a policy chooses within one study only, so give one study "
            "at a time, or --series",
            "several-studies",
        )
    thinnest = min(row.spacing_mm or 0.0 for row in rows) + SAME_SPACING_MM
    most = max(row.slices for row in rows)
    fits: dict[SeriesPolicy, Callable[[SeriesRow], bool]] = {
        SeriesPolicy.THINNEST: lambda row: (row.spacing_mm or 0.0) <= thinnest,
        SeriesPolicy.MOST_SLICES: lambda row: row.slices == most,
        SeriesPolicy.CONTRAST: lambda row: bool(row.contrast),
    }
    best = [candidate for candidate in contenders if fits[policy](candidate.row)]
    if len(best) == 1:
        return best[0], f"of {len(contenders)} suitable series it is the one for policy {policy}"
    how_many = f"{len(best)} equally" if best else "none"
    raise contents.refusal(
        f"of {len(contenders)} suitable series the policy {policy} fits "
        f"{how_many}: {_listed(best or contenders)}; choose with --series",
    )


def _no_suitable_series(contents: Contents) -> IntakeError:
    """Return the only candidate's own refusal, or a list of all of them."""
    errors = [candidate.error for candidate in contents.candidates if candidate.error is not None]
    if len(errors) == 1:
        return errors[0]
    # A scout beside the one real series is not a second series to choose from.
    real = [candidate for candidate in contents.candidates if candidate.row.slices >= TEST_SLICES]
    if len(real) == 1 and real[0].error is not None:
        return real[0].error
    listed = "; ".join(f"{_describe(row)}: {row.verdict}" for row in contents.rows[:MAX_LISTED])
    return contents.refusal(
        f"none of {len(errors)} series can be analysed: {listed}; "
        "rcc-onnx series lists the reasons",
        "no-suitable-series",
    )


def _listed(candidates: Sequence[Candidate]) -> str:
    listed = "; ".join(_describe(candidate.row) for candidate in candidates[:MAX_LISTED])
    return listed + ("; ..." if len(candidates) > MAX_LISTED else "")


def _describe(row: SeriesRow) -> str:
    """Return what tells a series apart, in a few words."""
    parts = [
        row.description and f'"{row.description}"',
        f"{row.slices} slices",
        row.spacing_mm is not None and f"every {row.spacing_mm:.4g} mm over {row.extent_mm:.0f} mm",
        row.thickness_mm is not None and f"{row.thickness_mm:.4g} mm thick",
        f"contrast {row.contrast}" if row.contrast else "no contrast recorded",
        row.kernel and f"kernel {row.kernel}",
    ]
    return f"series {row.label} ({', '.join(part for part in parts if part)})"
