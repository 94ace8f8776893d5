"""Rows of the report's table."""

from collections.abc import Sequence
from dataclasses import dataclass

from rcc_onnx.results import CaseResult, FailedCase
from rcc_onnx.types import PAGE_WORDS, SIDES, Outcome

FAILED = "failed"
BORDERLINE = "borderline"
TOUCHES_BORDER = "touches-crop-border"
UNSUITABLE = "unsuitable-models"


@dataclass(frozen=True)
class Row:
    """One case of the table.

    Attributes:
        number: of the case in the run, from 1.
        outcomes: of the right and the left side; empty for a failed case.
        flags: codes of what a reader should know before believing the outcome.
        diameter_mm, volume_ml: of the larger suspected lesion; None without one.
        lesion_sum: the higher one; None where the lesion network did not run.
    """

    number: int
    case: str
    outcomes: tuple[Outcome, ...]
    flags: tuple[str, ...]
    diameter_mm: float | None
    volume_ml: float | None
    lesion_sum: float | None
    seconds: float | None
    error_code: str

    @property
    def groups(self) -> tuple[str, ...]:
        """What the table can be filtered by."""
        return tuple(dict.fromkeys(str(one) for one in self.outcomes)) or (FAILED,)


@dataclass(frozen=True)
class Choice:
    """A filter: a value, its words, and how many cases have it."""

    value: str
    words: str
    count: int


def row_of(number: int, result: CaseResult | FailedCase) -> Row:
    if isinstance(result, FailedCase):
        return Row(number, result.case, (), (), None, None, None, None, result.error.code)
    lesions = [lesion for side in SIDES if (lesion := result.sides[side].lesion)]
    measures = [lesion.measures for lesion in lesions if lesion.measures]
    return Row(
        number=number,
        case=result.case,
        outcomes=tuple(result.sides[side].outcome for side in SIDES),
        flags=_flags(result),
        diameter_mm=max((found.longest_axial_diameter.mm for found in measures), default=None),
        volume_ml=max((found.volume_ml for found in measures), default=None),
        lesion_sum=max((lesion.probability_sum for lesion in lesions), default=None),
        seconds=result.timings_s["total"],
        error_code="",
    )


def _flags(result: CaseResult) -> tuple[str, ...]:
    codes = [flag.code for flag in result.flags]
    if not result.models.suitable:
        codes.append(UNSUITABLE)
    for finding in (result.sides[side] for side in SIDES):
        codes += [flag.code for flag in finding.flags]
        if finding.is_borderline:
            codes.append(BORDERLINE)
        if finding.lesion_measures and finding.lesion_measures.touches_crop_border:
            codes.append(TOUCHES_BORDER)
    return tuple(dict.fromkeys(codes))


def outcome_choices(rows: Sequence[Row]) -> list[Choice]:
    """The outcomes that occur, findings first, failures last."""
    words = {str(one): PAGE_WORDS[one] for one in reversed(Outcome)} | {FAILED: "failed"}
    counts = {value: sum(value in row.groups for row in rows) for value in words}
    return [Choice(value, words[value], count) for value, count in counts.items() if count]


def flag_choices(rows: Sequence[Row]) -> list[Choice]:
    """The flags that occur, most frequent first."""
    codes = sorted({flag for row in rows for flag in row.flags})
    choices = [Choice(code, code, sum(code in row.flags for row in rows)) for code in codes]
    return sorted(choices, key=lambda one: -one.count)
