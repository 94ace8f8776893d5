"""Labels and results set against each other: one entry for every labelled kidney, none lost."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from rcc_onnx.errors import EvaluateError
from rcc_onnx.evaluate.labels import KidneyLabel, Labels, few
from rcc_onnx.evaluate.results import FINDINGS, CaseAnswer, Results, Setup, common_setup
from rcc_onnx.types import SIDES, Outcome, Side


class Group(StrEnum):
    """What became of a labelled kidney; each belongs to exactly one group."""

    ASSESSABLE = "assessable"
    NOT_ASSESSABLE = "not_assessable"
    KIDNEY_NOT_FOUND = "kidney_not_found"
    KIDNEY_NOT_LOCATED = "kidney_not_located"
    CASE_FAILED = "case_failed"
    NO_RESULT = "no_result"


class CountedAs(StrEnum):
    """A kidney's cell of the two-by-two table."""

    TRUE_POSITIVE = "TP"
    FALSE_POSITIVE = "FP"
    TRUE_NEGATIVE = "TN"
    FALSE_NEGATIVE = "FN"


@dataclass(frozen=True)
class Kidney:
    """One labelled kidney and its answer.

    Attributes:
        case: as the result's files are named, or as labelled where there is no result.
        score: lesion sum; None if no lesion was looked for.
        finding: whether the run called a suspected lesion; false where there is no score.
        outcome: None unless the case was analysed.
        why: codes of flags, or of the error that the case failed with.
    """

    case: str
    side: Side
    lesion: bool
    size_mm: float | None
    group: Group
    score: float | None
    finding: bool
    outcome: Outcome | None
    why: tuple[str, ...]

    @property
    def counted_as(self) -> CountedAs:
        if self.lesion:
            return CountedAs.TRUE_POSITIVE if self.finding else CountedAs.FALSE_NEGATIVE
        return CountedAs.FALSE_POSITIVE if self.finding else CountedAs.TRUE_NEGATIVE


@dataclass(frozen=True)
class UnlabelledSide:
    """A side of a result that no label speaks of. `outcome` is None where the case failed."""

    case: str
    side: Side
    outcome: Outcome | None


@dataclass(frozen=True)
class Cohort:
    """Every labelled kidney, and every side that was not labelled.

    Attributes:
        cases: how many cases are labelled, and how many results there are, `failed` among them.
        warnings: sentences that a person should read next to the figures.
    """

    kidneys: tuple[Kidney, ...]
    unlabelled: tuple[UnlabelledSide, ...]
    setup: Setup
    labelled_cases: int
    cases_with_result: int
    failed_cases: tuple[str, ...]
    warnings: tuple[str, ...]

    @property
    def assessable(self) -> tuple[Kidney, ...]:
        return self.of(Group.ASSESSABLE)

    @property
    def is_phantom(self) -> bool:
        return self.setup.study_kind != "patient"

    def of(self, group: Group) -> tuple[Kidney, ...]:
        return tuple(one for one in self.kidneys if one.group is group)


def build_cohort(
    labels: Labels, results: Results, *, allow_unlabelled: bool, allow_missing: bool
) -> Cohort:
    """Match labels and results by case and side.

    Args:
        labels: of the kidneys.
        results: of the cases.
        allow_unlabelled: cases without any label are counted and left out instead of refused.
        allow_missing: labelled cases without a result are counted as no finding, not refused.

    Raises:
        EvaluateError (labels-unknown-case, labels-missing-case): a case is on one side only.
        EvaluateError (mixed-runs): the results come of different setups.
        EvaluateError (no-results): no case was analysed.
    """
    labelled = list(dict.fromkeys(one.case for one in labels.kidneys))
    unknown = [case for case in labelled if case not in results.cases]
    if len(unknown) == len(labelled) or (unknown and not allow_missing):
        raise EvaluateError(_unknown_words(unknown, labels, results), code="labels-unknown-case")
    no_label = [one.case for name, one in results.cases.items() if name not in set(labelled)]
    if no_label and not allow_unlabelled:
        share = f"{len(no_label)} of {len(results.cases)}"
        raise EvaluateError(
            f"results without a row in {labels.file_name} ({share}): {few(no_label)}. Label them, "
            "or say --allow-unlabelled to leave them out of all figures",
            code="labels-missing-case",
        )
    used = [one for name, one in results.cases.items() if name in set(labelled)]
    kidneys = tuple(_kidney(one, results.cases.get(one.case)) for one in labels.kidneys)
    asked = {(one.case, one.side) for one in labels.kidneys}
    return Cohort(
        kidneys=kidneys,
        unlabelled=tuple(_unlabelled(results, asked)),
        setup=common_setup(used),
        labelled_cases=len(labelled),
        cases_with_result=len(results.cases),
        failed_cases=tuple(one.case for one in used if one.error_code is not None),
        warnings=_warnings(labels, results, used, no_label, unknown),
    )


def _unknown_words(unknown: Sequence[str], labels: Labels, results: Results) -> str:
    text = (
        f"cases of {labels.file_name} without a result ({len(unknown)}): {few(unknown)}. The "
        f"results are of: {few(one.case for one in results.cases.values())}. "
    )
    by_number = {case.lstrip("0"): case for case in results.cases}
    shortened = next(
        (one for one in unknown if one.isdigit() and by_number.get(one.lstrip("0"))), None
    )
    by_letters = {case.casefold(): case for case in results.cases}
    other_case = next((one for one in unknown if one.casefold() in by_letters), None)
    if shortened:
        full = by_number[shortened.lstrip("0")]
        text += f"A spreadsheet may have made {shortened} of {full}; names must be the same. "
    elif other_case:
        full = by_letters[other_case.casefold()]
        text += f"{other_case} and {full} differ in capital letters; names must be the same. "
    return text + (
        "Correct the names, or analyse these cases, or say --allow-missing to count them as "
        "kidneys without an answer"
        if len(unknown) < len({one.case for one in labels.kidneys})
        else "Not one case has a result: check that labels and results belong together"
    )


def _kidney(label: KidneyLabel, case: CaseAnswer | None) -> Kidney:
    name = label.case if case is None else case.case
    labelled = (name, label.side, label.lesion, label.size_mm)
    if case is None:
        return Kidney(*labelled, Group.NO_RESULT, None, False, None, ())
    if case.error_code is not None:
        return Kidney(*labelled, Group.CASE_FAILED, None, False, None, (case.error_code,))
    answer = case.sides[label.side]
    if answer.score is None:
        group = Group(str(answer.outcome))
    else:
        group = Group.ASSESSABLE if answer.assessable else Group.NOT_ASSESSABLE
    finding = answer.outcome in FINDINGS
    return Kidney(*labelled, group, answer.score, finding, answer.outcome, answer.flags)


def _unlabelled(results: Results, asked: set[tuple[str, Side]]) -> Iterable[UnlabelledSide]:
    for name, case in results.cases.items():
        for side in SIDES:
            if (name, side) not in asked:
                answer = case.sides.get(side)
                yield UnlabelledSide(case.case, side, answer.outcome if answer else None)


def _warnings(
    labels: Labels,
    results: Results,
    used: Sequence[CaseAnswer],
    no_label: Sequence[str],
    unknown: Sequence[str],
) -> tuple[str, ...]:
    found = []
    if unknown:
        found.append(f"Labelled cases without a result ({len(unknown)}): {few(unknown)}.")
    if no_label:
        found.append(f"Results without a label, left out ({len(no_label)}): {few(no_label)}.")
    ran_on = dict.fromkeys(one.ran_on for one in used if one.ran_on is not None)
    if len(ran_on) > 1:
        found.append(f"The cases did not all run on the same: {'; '.join(ran_on)}.")
    if labels.ignored_columns:
        found.append(f"Columns of the labels that are not used: {few(labels.ignored_columns)}.")
    if results.other_files:
        found.append(f"JSON files that are no result: {few(results.other_files)}.")
    return tuple(found)
