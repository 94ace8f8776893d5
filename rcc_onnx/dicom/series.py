"""Every series of a study as a candidate with a verdict, and every other file with a reason."""

import logging
import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rcc_onnx.dicom.grouping import (
    Group,
    drop_copies,
    group_slices,
    split_by_marks,
    split_interleaved,
    why_no_slice,
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
from rcc_onnx.dicom.slice_geometry import SliceOrder, axis_turn, order_slices
from rcc_onnx.dicom.sources import LeftOut, find_sources
from rcc_onnx.dicom.study import NETWORK_SLICE_MM, StudySlice
from rcc_onnx.errors import DuplicatePositionsError, IntakeError, SeveralSeriesError
from rcc_onnx.imaging.placement import Reorientation
from rcc_onnx.types import Note, SeriesPolicy, SeriesRow

_log = logging.getLogger(__name__)


# One group of slices judged: a stack that can be analysed, or the refusal that says why.

STRIDE_TOLERANCE = 1e-4
"""Relative. Spacings are written with four decimals or more, so 2.4999 mm is 2.5 mm; what differs
by more is another spacing, and its stride then is the notebook's."""
SLICE_SPACING_MM = (0.2, 10.0)
"""Thinner than any body CT, or so thick that a kidney is on too few slices to be judged."""
PIXEL_SPACING_MM = (0.1, 4.0)
"""Fields of view of 5 cm to 2 m at 512 pixels: beyond, the number is not in mm."""
OTHER_UNITS = {"OD", "Z_EFF", "ED", "EDW", "MGML", "PCT"}
"""RescaleTypes that name another unit than HU (PS3.3 C.11.1.1.2), as maps of dual-energy CT do."""
SHORT_EXTENT_MM = 100.0
"""Kidneys are about 110 mm long: a shorter series cannot show them whole."""


@dataclass(frozen=True)
class Stack:
    """Slices head first, evenly spaced, all turned alike.

    Attributes:
        order: `order.order` are indices into what was judged.
    """

    slices: tuple[StudySlice, ...]
    turn: Reorientation
    order: SliceOrder

    @property
    def spacing_zyx_mm(self) -> tuple[float, float, float]:
        return (self.order.spacing_mm, *self.slices[0].spacing_yx_mm)

    @property
    def stride(self) -> int:
        return slice_stride(self.order.spacing_mm, self.order.spacing_error_mm)


def build_stack(headers: Sequence[SliceHeader]) -> Stack:
    """The stack that slices of one group form.

    Raises:
        IntakeError: one of its leaves, for anything that would have to be guessed.
    """
    for header in headers:
        for keyword in ("ImageOrientationPatient", "ImagePositionPatient", "PixelSpacing"):
            header.required(keyword)
    turn = axis_turn(headers[0])
    order = order_slices(headers)
    stack = Stack(tuple(_slice(headers[index], turn) for index in order.order), turn, order)
    _check_range(headers[0], stack.spacing_zyx_mm)
    return stack


def slice_stride(spacing_mm: float, error_mm: float = 0.0) -> int:
    """Every how many slices one is taken, so that they are 5 mm apart or more.

    Args:
        spacing_mm: distance of neighbours.
        error_mm: how wrong it may be; a spacing that may just reach 5 mm / n is taken to do so.
    """
    longest = spacing_mm + max(STRIDE_TOLERANCE * spacing_mm, error_mm)
    return math.ceil(NETWORK_SLICE_MM / longest)


def warnings_of(stack: Stack) -> list[Note]:
    """What does not stop the analysis, but should be read next to its result."""
    headers = [one.header for one in stack.slices]
    order = stack.order
    said = {
        "short-extent": order.extent_mm < SHORT_EXTENT_MM
        and f"The series covers {order.extent_mm:.0f} mm from head to feet; a kidney may be "
        "missing or cut off.",
        "thick-slices": order.spacing_mm > NETWORK_SLICE_MM * (1 + STRIDE_TOLERANCE)
        and f"Slices are {order.spacing_mm:.2f} mm apart; the networks expect "
        f"{NETWORK_SLICE_MM:.0f} mm.",
        "rescale-type": any(one.rescale_type not in ("", "HU") for one in headers)
        and "RescaleType is not HU; the values are taken for Hounsfield units all the same.",
        "modality-lut": any(one.modality_lut for one in headers)
        and "A Modality LUT takes the place of rescale slope and intercept.",
        "no-slice-thickness": any(one.slice_thickness is None for one in headers)
        and "SliceThickness is missing; only positions are used, so nothing hangs on it.",
        "no-patient-position": not all(one.patient_position for one in headers)
        and "PatientPosition is missing; only direction cosines are used, so nothing hangs on it.",
        "no-modality": not all(one.modality for one in headers)
        and "Modality is missing; the SOP class says that it is CT.",
        "lossy": any(one.lossy for one in headers) and "The pixels went through lossy compression.",
    }
    return [Note(code, sentence) for code, sentence in said.items() if sentence]


def _slice(header: SliceHeader, turn: Reorientation) -> StudySlice:
    """A slice with what is needed to decode it.

    Raises:
        IntakeError (missing-attribute, invalid-attribute): no rescale and no LUT, or slope 0.
        IntakeError (values-not-hu): RescaleType names another unit.
    """
    slope, intercept = 1.0, 0.0
    if not header.modality_lut:
        slope = header.required("RescaleSlope")[0]
        intercept = header.required("RescaleIntercept")[0]
    if slope == 0:
        raise IntakeError(
            f"{header.file_name}: RescaleSlope is 0, which makes every pixel the same; "
            "export the series again from its source",
            code="invalid-attribute",
        )
    if header.rescale_type in OTHER_UNITS:
        raise IntakeError(
            f"{header.file_name}: RescaleType {header.rescale_type} says that the values are no "
            "Hounsfield units; give a series of plain CT images",
            code="values-not-hu",
        )
    between_rows, between_columns = header.required("PixelSpacing")
    shape, spacing = (header.rows, header.columns), (between_rows, between_columns)
    return StudySlice(
        header=header,
        turn=turn,
        shape=shape[::-1] if turn.transpose else shape,
        spacing_yx_mm=spacing[::-1] if turn.transpose else spacing,
        slope=slope,
        intercept=intercept,
    )


def _check_range(header: SliceHeader, spacing_zyx_mm: tuple[float, float, float]) -> None:
    """Raise for a spacing that cannot be meant, or that the networks cannot be given."""
    limits = (SLICE_SPACING_MM, PIXEL_SPACING_MM, PIXEL_SPACING_MM)
    names = ("slices", "rows", "columns")
    for name, value, (low, high) in zip(names, spacing_zyx_mm, limits, strict=True):
        if not low <= value <= high:
            raise IntakeError(
                f"{header.file_name}: {name} are {value:.4g} mm apart; {low} to {high} mm can "
                "be analysed",
                code="spacing-out-of-range",
            )


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
        FolderNotFoundError, IntakeError (too-many-files): the folder or archive itself.
        IntakeError (no-dicom): no DICOM file in it.
        IntakeError (no-ct): DICOM files, but none is a CT slice.
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
        stack = build_stack(headers)
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
    parts = split_interleaved([one.header for one in stack.slices])
    judged = [_verdict(part.headers, copies) for part in parts] if len(parts) > 1 else []
    return judged if all(one.stack for one in judged) else []


def _verdict(headers: tuple[SliceHeader, ...], copies: tuple[LeftOut, ...]) -> _Judged:
    try:
        return _Judged(headers, build_stack(headers), None, copies)
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
        series_instance_uid=uid(first.series_uid),
        study_instance_uid=uid(first.study_uid),
        number=whole_number(first.series_number),
        description=protocol_words(first.series_description),
        image_type=terms(first.image_type, IMAGE_TYPES),
        contrast=agent_words(contrast),
        kernel=kernel_words(first.kernel),
        slices=len(one.headers),
        matrix=(first.rows, first.columns),
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


def _nothing_to_read(root: str, dicom_files: int, left_out: Sequence[LeftOut]) -> IntakeError:
    counts = Counter(file.reason for file in left_out)
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


# Which series of a study is analysed: the only suitable one, or the one that was asked for.

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
    """What was asked for.

    Attributes:
        series: a label of the table, a SeriesNumber or a SeriesInstanceUID.
        policy: how to choose where several are suitable.
    """

    series: str | None = None
    policy: SeriesPolicy | None = None


def choose(contents: Contents, wish: SeriesSelection) -> tuple[Candidate, str]:
    """The candidate to analyse, which is suitable, and why it was chosen, in a sentence.

    Raises:
        IntakeError: the refusal of the only candidate, or of the one that was asked for.
        SeveralSeriesError: none or more than one is suitable, or the requested one does not exist.
    """
    if wish.series is not None:
        return _named(contents, wish.series), f"it was asked for as {wish.series!r}"
    suitable = [one for one in contents.candidates if one.stack is not None]
    if not suitable:
        raise _none_suitable(contents)
    long = [one for one in suitable if one.row.extent_mm >= TOO_SHORT_MM]
    contenders = long or suitable
    if len(contenders) == 1:
        return contenders[0], "it is the only suitable series"
    if wish.policy is None:
        raise SeveralSeriesError(
            f"{contents.root}: {len(contenders)} suitable series: {_listed(contenders)}; choose "
            "with --series or --series-policy",
            _rows(contents),
        )
    return _by_policy(contents, contenders, wish.policy)


def _named(contents: Contents, name: str) -> Candidate:
    def matching(value: Callable[[SeriesRow], str]) -> list[Candidate]:
        return [one for one in contents.candidates if value(one.row) == name]

    found = (
        matching(lambda row: row.label)
        or matching(lambda row: row.series_instance_uid)
        or matching(lambda row: row.number)
    )
    found = [one for one in found if one.stack is not None] or found
    if not found:
        raise SeveralSeriesError(
            f"{contents.root}: no series {name!r}; there are: {_listed(contents.candidates)}",
            _rows(contents),
            code="unknown-series",
        )
    if len(found) > 1:
        raise SeveralSeriesError(
            f"{contents.root}: {name!r} names {len(found)} series: {_listed(found)}; give the "
            "label of one",
            _rows(contents),
        )
    if found[0].error is not None:
        raise found[0].error
    return found[0]


def _by_policy(
    contents: Contents, contenders: Sequence[Candidate], policy: SeriesPolicy
) -> tuple[Candidate, str]:
    if len({one.row.study_instance_uid for one in contenders}) > 1:
        raise SeveralSeriesError(
            f"{contents.root}: the suitable series belong to several studies: "
            f"{_listed(contenders)}; a policy chooses within one study only, so give one study "
            "at a time, or --series",
            _rows(contents),
            code="several-studies",
        )
    if policy is SeriesPolicy.THINNEST:
        least = min(one.row.spacing_mm or 0.0 for one in contenders)
        best = [one for one in contenders if (one.row.spacing_mm or 0.0) <= least + SAME_SPACING_MM]
    elif policy is SeriesPolicy.MOST_SLICES:
        most = max(one.row.slices for one in contenders)
        best = [one for one in contenders if one.row.slices == most]
    else:
        best = [one for one in contenders if one.row.contrast]
    if len(best) == 1:
        return best[0], f"of {len(contenders)} suitable series it is the one for policy {policy}"
    what = "none" if not best else f"{len(best)} equally"
    raise SeveralSeriesError(
        f"{contents.root}: of {len(contenders)} suitable series the policy {policy} fits {what}: "
        f"{_listed(best or contenders)}; choose with --series",
        _rows(contents),
    )


def _none_suitable(contents: Contents) -> IntakeError:
    """The only candidate's own refusal, or a list of all of them."""
    errors = [one.error for one in contents.candidates if one.error is not None]
    if len(errors) == 1:
        return errors[0]
    # A scout beside the one real series is no second series that someone could want.
    real = [one for one in contents.candidates if one.row.slices >= TEST_SLICES]
    if len(real) == 1 and real[0].error is not None:
        return real[0].error
    listed = "; ".join(
        f"{_words(one.row)}: {one.row.verdict}" for one in contents.candidates[:MAX_LISTED]
    )
    return SeveralSeriesError(
        f"{contents.root}: none of {len(errors)} series can be analysed: {listed}; "
        "rcc-onnx series tells why",
        _rows(contents),
        code="no-suitable-series",
    )


def _listed(candidates: Sequence[Candidate]) -> str:
    words = "; ".join(_words(one.row) for one in candidates[:MAX_LISTED])
    return words + ("; ..." if len(candidates) > MAX_LISTED else "")


def _words(row: SeriesRow) -> str:
    """What tells a series apart, in a few words."""
    parts = [
        row.description and f'"{row.description}"',
        f"{row.slices} slices",
        row.spacing_mm is not None and f"every {row.spacing_mm:.4g} mm over {row.extent_mm:.0f} mm",
        row.thickness_mm is not None and f"{row.thickness_mm:.4g} mm thick",
        f"contrast {row.contrast}" if row.contrast else "no contrast recorded",
        row.kernel and f"kernel {row.kernel}",
    ]
    return f"series {row.label} ({', '.join(part for part in parts if part)})"


def _rows(contents: Contents) -> tuple[SeriesRow, ...]:
    return tuple(one.row for one in contents.candidates)
