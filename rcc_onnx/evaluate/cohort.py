"""Results matched with labels: one entry for every labelled kidney, none lost."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from enum import StrEnum
from pathlib import Path
from typing import Literal

from rcc_onnx.errors import EvaluateError, ResultDocumentError
from rcc_onnx.evaluate.labels import KidneyLabel, Labels, LabelsSummary, few, same_name
from rcc_onnx.output.document import Case
from rcc_onnx.output.folder import OutputFolder
from rcc_onnx.results import SUSPECTED, CaseResult, FailedCase, ModelsUsed
from rcc_onnx.types import RESEARCH_ONLY, SIDES, Outcome, Precision, Profile, Side, Thresholds

RUN_DOCUMENTS = {"results.json"}
"""JSON files in a folder of results that are about the run as a whole."""
PHANTOMS_ONLY = "These are figures of digital phantoms and say nothing about patients."
UNSUITABLE = "The models were not made for this kind of study: the figures mean nothing."

Results = Mapping[str, Case]
"""The cases of a folder, by `same_name`."""
CountedAs = Literal["TP", "FP", "TN", "FN"]
"""A kidney's cell of the two-by-two table."""


class Group(StrEnum):
    """The groups of labelled kidneys; each kidney belongs to exactly one."""

    ASSESSABLE = "assessable"
    NOT_ASSESSABLE = "not_assessable"
    KIDNEY_NOT_FOUND = "kidney_not_found"
    KIDNEY_NOT_LOCATED = "kidney_not_located"
    CASE_FAILED = "case_failed"
    NO_RESULT = "no_result"


@dataclass(frozen=True)
class Kidney:
    """One labelled kidney and its result.

    Attributes:
        case: as the result's files are named, or as labelled where there is no result.
        outcome: None unless the case was analysed.
        score: lesion sum; None if no lesion was looked for.
        finding: whether the run found a suspected lesion; false where there is no score.
        why: codes of flags, or of the error that the case failed with.
    """

    case: str
    side: Side
    lesion: bool
    size_mm: float | None
    group: Group
    outcome: Outcome | None
    score: float | None
    finding: bool
    counted_as: CountedAs
    why: tuple[str, ...]


@dataclass(frozen=True)
class GroupSize:
    """The number of kidneys in a group."""

    kidneys: int
    with_lesion: int
    without_lesion: int


@dataclass(frozen=True)
class UnlabelledSide:
    """A side of a result without a label; `outcome` is None where the case failed."""

    case: str
    side: Side
    outcome: Outcome | None


@dataclass(frozen=True)
class Setup:
    """Settings that all cases of an evaluation must share."""

    study_kind: str
    profile: Profile
    precision: Precision
    models: ModelsUsed
    thresholds: Thresholds

    @property
    def notices(self) -> tuple[str, ...]:
        """The sentences that stand in every output."""
        found = [RESEARCH_ONLY]
        if self.study_kind != "patient":
            found.append(PHANTOMS_ONLY)
        if not self.models.suitable:
            found.append(UNSUITABLE)
        return tuple(found)


@dataclass(frozen=True)
class Cohort:
    """Every labelled kidney, and every side that was not labelled.

    Attributes:
        cases_with_result: how many results there are, failed ones among them.
        warnings: sentences that a person should read next to the figures.
        groups: their sizes.
    """

    labels: LabelsSummary
    setup: Setup
    cases_with_result: int
    warnings: tuple[str, ...]
    groups: Mapping[Group, GroupSize]
    kidneys: tuple[Kidney, ...]
    unlabelled_sides: tuple[UnlabelledSide, ...]

    def of(self, group: Group) -> tuple[Kidney, ...]:
        """Return the kidneys of a group."""
        return tuple(kidney for kidney in self.kidneys if kidney.group is group)


def build_cohort(
    labels: Labels, out: Path, *, allow_unlabelled: bool, allow_missing: bool
) -> Cohort:
    """Read the results in a folder, and match them with labels by case and side.

    Args:
        labels: of the kidneys.
        out: the folder of results.
        allow_unlabelled: count cases without a label and leave them out, instead of refusing them.
        allow_missing: count labelled cases without a result as no finding, instead of refusing.

    Raises:
        EvaluateError (labels-unknown-case, labels-missing-case): a label or a result is missing.
        EvaluateError (mixed-runs): the results come from different setups.
        EvaluateError (no-results): no such folder, or no case in it was analysed.
        ResultDocumentError: the result of a labelled case is damaged; a result cannot be read, was
            renamed, or has the name of another one.
    """
    results, other_files = _read_results(out)
    labelled, warnings = labels.cases, []
    for name in other_files:
        if same_name(Path(name).stem) in labelled:
            raise ResultDocumentError(
                f"{name} is damaged, was edited, or is of another version; analyse the case again"
            )
    unknown = [case for case in labelled if case not in results]
    if len(unknown) == len(labelled) or (unknown and not allow_missing):
        raise EvaluateError(_explain_unknown(unknown, labels, results), code="labels-unknown-case")
    if unknown:
        warnings.append(f"Labelled cases without a result ({len(unknown)}): {few(unknown)}.")
    extra = [result.case for name, result in results.items() if name not in labelled]
    if extra and not allow_unlabelled:
        raise EvaluateError(
            f"results without a row in {labels.summary.file} ({len(extra)} of "
            f"{len(results)}): {few(extra)}. Label them, or use --allow-unlabelled to leave "
            "them out of all figures",
            code="labels-missing-case",
        )
    if extra:
        warnings.append(f"Results without a label, left out ({len(extra)}): {few(extra)}.")
    used = [result for name, result in results.items() if name in labelled]
    kidneys = tuple(_kidney(label, results.get(label.case)) for label in labels.kidneys)
    return Cohort(
        labels=labels.summary,
        setup=_common_setup(used),
        cases_with_result=len(results),
        warnings=(*warnings, *_warnings(labels.summary, other_files, used)),
        groups={
            group: group_size([kidney for kidney in kidneys if kidney.group is group])
            for group in Group
        },
        kidneys=kidneys,
        unlabelled_sides=tuple(_unlabelled_sides(labels, results)),
    )


def _read_results(out: Path) -> tuple[Results, list[str]]:
    """Return every result in a folder, at least one, and the JSON files that are not results."""
    cases: dict[str, Case] = {}
    other_files = {path.name for path in out.glob("*.json")} - RUN_DOCUMENTS
    try:
        for stored in OutputFolder(out).stored_cases():
            name = same_name(stored.result.case)
            if not stored.is_own:
                raise ResultDocumentError(
                    f"{stored.name} is the result of case {stored.result.case!r}, so it was "
                    "renamed or copied; remove it"
                )
            if name in cases:
                raise ResultDocumentError(
                    f"{stored.name}: another result has the same name; keep one"
                )
            cases[name] = stored.result
            other_files.discard(stored.name)
    except OSError as error:
        raise ResultDocumentError(f"{error.filename} cannot be read ({error.strerror})") from error
    if not cases:
        raise EvaluateError(
            f"{out} holds no result; give the folder that `rcc-onnx infer` wrote to",
            code="no-results",
        )
    return cases, sorted(other_files)


def group_size(kidneys: Sequence[Kidney]) -> GroupSize:
    """Count kidneys."""
    with_lesion = sum(kidney.lesion for kidney in kidneys)
    return GroupSize(len(kidneys), with_lesion, len(kidneys) - with_lesion)


def _explain_unknown(unknown: Sequence[str], labels: Labels, results: Results) -> str:
    """Return a message on cases without a result, with the likely cause."""
    text = (
        f"cases of {labels.summary.file} without a result ({len(unknown)}): {few(unknown)}. There "
        f"are results of: {few(result.case for result in results.values())}. "
    )
    by_number = {case.lstrip("0"): case for case in results}
    by_letters = {case.casefold(): case for case in results}
    for case in unknown:
        if case.isdigit() and case.lstrip("0") in by_number:
            full = by_number[case.lstrip("0")]
            text += f"A spreadsheet may have made {case} of {full}; names must be the same. "
            break
        if case.casefold() in by_letters:
            full = by_letters[case.casefold()]
            text += f"{case} and {full} differ in capital letters; names must be the same. "
            break
    if len(unknown) == len(labels.cases):
        return text + "Not one case has a result: check that labels and results belong together"
    return text + (
        "Correct the names, or analyse these cases, or use --allow-missing to count them as "
        "kidneys without an answer"
    )


def _kidney(label: KidneyLabel, result: Case | None) -> Kidney:
    """Return the entry of a label; `result`: of its case, if there is one."""
    group, outcome, score = Group.NO_RESULT, None, None
    why: tuple[str, ...] = ()
    if isinstance(result, FailedCase):
        group, why = Group.CASE_FAILED, (result.error.code,)
    elif result is not None:
        side = result.sides[label.side]
        outcome, score = side.outcome, side.lesion.probability_sum if side.lesion else None
        why = tuple(flag.code for flag in result.flags_of(label.side))
        assessable = Group.ASSESSABLE if side.assessable else Group.NOT_ASSESSABLE
        group = Group(outcome.value) if score is None else assessable
    finding = outcome in SUSPECTED
    positive: CountedAs = "TP" if label.lesion else "FP"
    negative: CountedAs = "FN" if label.lesion else "TN"
    return Kidney(
        case=label.case if result is None else result.case,
        side=label.side,
        lesion=label.lesion,
        size_mm=label.size_mm,
        group=group,
        outcome=outcome,
        score=score,
        finding=finding,
        counted_as=positive if finding else negative,
        why=why,
    )


def _unlabelled_sides(labels: Labels, results: Results) -> Iterator[UnlabelledSide]:
    labelled = {(label.case, label.side) for label in labels.kidneys}
    for name, result in results.items():
        for side in SIDES:
            if (name, side) not in labelled:
                outcome = None if isinstance(result, FailedCase) else result.sides[side].outcome
                yield UnlabelledSide(result.case, side, outcome)


def _common_setup(results: Sequence[Case]) -> Setup:
    """Return the setup of all analysed cases; see `build_cohort` for what is raised."""
    setups = {
        result.case: Setup(
            study_kind=result.study.kind,
            profile=result.profile,
            precision=result.provider.precision,
            models=result.models,
            thresholds=result.thresholds,
        )
        for result in results
        if isinstance(result, CaseResult)
    }
    if not setups:
        raise EvaluateError(
            f"every labelled case failed ({len(results)}); there is no answer to evaluate. Their "
            "errors are in their JSON files",
            code="no-results",
        )
    (case, first), *others = setups.items()
    for other_case, other in others:
        if other != first:
            names = [field.name for field in fields(Setup)]
            differing = [name for name in names if getattr(first, name) != getattr(other, name)]
            same = sum(setup == first for setup in setups.values())
            raise EvaluateError(
                f"the results come from different setups: {case} and {other_case} differ in "
                f"{few(differing)}; {same} of {len(setups)} are as {case}. Analyse all cases with "
                "the same models and settings, or each group into a folder of its own",
                code="mixed-runs",
            )
    return first


def _warnings(
    labels: LabelsSummary, other_files: Sequence[str], used: Sequence[Case]
) -> Iterator[str]:
    ran_on = dict.fromkeys(
        f"{result.provider.ran}, rcc-onnx {result.rcc_onnx_version}"
        for result in used
        if isinstance(result, CaseResult)
    )
    if len(ran_on) > 1:
        yield f"The cases ran on different providers or versions: {'; '.join(ran_on)}."
    if labels.ignored_columns:
        yield f"Columns of the labels that are not used: {few(labels.ignored_columns)}."
    if other_files:
        yield f"JSON files that are not results of this version: {few(other_files)}."
