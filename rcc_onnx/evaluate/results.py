"""Results of `rcc-onnx infer` read back: of each `OUT/<case>.json` what an evaluation needs."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from rcc_onnx.errors import EvaluateError, ResultDocumentError
from rcc_onnx.evaluate.labels import same_name
from rcc_onnx.output.document import Case, read_case
from rcc_onnx.results import FailedCase
from rcc_onnx.system.documents import DocumentError
from rcc_onnx.types import Outcome, Side

FINDINGS = (Outcome.LESION, Outcome.LESION_NOT_LOCATED)
"""Outcomes of a sum above the threshold."""
RUN_DOCUMENTS = ("results.json",)
"""Files of `infer` beside the cases' that are about the run as a whole."""


@dataclass(frozen=True)
class SideAnswer:
    """What was answered for one side. `score` is the lesion sum; None if no lesion was looked for.

    Attributes:
        flags: codes of the flags that make the side not assessable, the study's among them.
    """

    outcome: Outcome
    assessable: bool
    score: float | None
    flags: tuple[str, ...]


@dataclass(frozen=True)
class Setup:
    """What all cases of an evaluation must have been analysed with."""

    study_kind: str
    profile: str
    precision: str
    models: str
    version: str
    sha256: tuple[tuple[str, str], ...]
    suitable: bool
    kidney_threshold: float
    lesion_threshold: float


@dataclass(frozen=True)
class CaseAnswer:
    """One case. Exactly one of `error_code` and `setup` is there.

    Attributes:
        case: as the files are named.
        ran_on: provider and software version, which may differ between cases.
    """

    case: str
    error_code: str | None
    setup: Setup | None
    ran_on: str | None
    sides: Mapping[Side, SideAnswer]


@dataclass(frozen=True)
class Results:
    """All cases of a folder, by the name as it is compared, and JSON files that are no result."""

    cases: Mapping[str, CaseAnswer]
    other_files: tuple[str, ...]


def read_results(out: Path) -> Results:
    """Read every case's result in a folder; at least one.

    Raises:
        EvaluateError (no-results): no such folder, or no result in it.
        ResultDocumentError: a file is damaged, contradicts itself, or is of another version.
    """
    if not out.is_dir():
        raise EvaluateError(
            f"{out} is no folder; give the folder that `rcc-onnx infer` wrote to", code="no-results"
        )
    cases: dict[str, CaseAnswer] = {}
    others = []
    for path in sorted(out.glob("*.json")):
        if path.name.startswith(".") or path.name in RUN_DOCUMENTS:
            continue
        result = _read(path)
        if result is None:
            others.append(path.name)
            continue
        answer = _case_answer(result)
        if same_name(answer.case) in cases:
            _refuse(path, "another result has the same name; keep one")
        cases[same_name(answer.case)] = answer
    if not cases:
        raise EvaluateError(
            f"{out} holds no result; give the folder that `rcc-onnx infer` wrote to",
            code="no-results",
        )
    return Results(cases, tuple(others))


def common_setup(cases: Sequence[CaseAnswer]) -> Setup:
    """The one setup that every analysed case had.

    Raises:
        EvaluateError (mixed-runs): there is more than one.
        EvaluateError (no-results): no case was analysed.
    """
    found: dict[Setup, list[str]] = {}
    for case in cases:
        if case.setup is not None:
            found.setdefault(case.setup, []).append(case.case)
    if not found:
        raise EvaluateError(
            f"every labelled case failed ({len(cases)}); there is no answer to evaluate. Their "
            "errors are in their JSON files",
            code="no-results",
        )
    first, *rest = found
    if rest:
        names = [name for name in Setup.__dataclass_fields__ if _differs(name, first, rest)]
        groups = (
            f"{len(found[one])} of {sum(map(len, found.values()))} (such as {found[one][0]}) with "
            + ", ".join(f"{name} {_short(getattr(one, name))}" for name in names)
            for one in found
        )
        raise EvaluateError(
            f"the results come of {len(found)} different setups: {'; '.join(groups)}. Analyse all "
            "cases with the same models and settings, or each group into a folder of its own",
            code="mixed-runs",
        )
    return first


def _differs(name: str, first: Setup, rest: Sequence[Setup]) -> bool:
    return any(getattr(one, name) != getattr(first, name) for one in rest)


def _short(value: object) -> str:
    """Hashes are too long to read."""
    if isinstance(value, tuple):
        return "/".join(f"{network} {sha256[:8]}" for network, sha256 in value)
    return str(value)


def _read(path: Path) -> Case | None:
    """Return the result in a file; None if it is another document."""
    try:
        data = path.read_bytes()
    except OSError as error:
        _refuse(path, f"it cannot be read: {error.strerror or error}")
    try:
        result = read_case(data)
    except DocumentError as error:
        if not _is_result(data):
            return None
        _refuse(path, str(error))
    if path.name != f"{result.case}.json":
        _refuse(path, f"it is the result of case {result.case!r}, so it was renamed or copied")
    return result


def _is_result(data: bytes) -> bool:
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        return True
    return isinstance(document, dict) and {"case", "status"} <= document.keys()


def _refuse(path: Path, problem: str) -> NoReturn:
    raise ResultDocumentError(
        f"{path.name}: {problem}. Nothing was evaluated; analyse the case again or remove the file"
    )


def _case_answer(result: Case) -> CaseAnswer:
    if isinstance(result, FailedCase):
        return CaseAnswer(result.case, result.error.code, None, None, {})
    models = result.models
    setup = Setup(
        study_kind=result.study.kind,
        profile=str(result.profile),
        precision=str(result.provider.precision),
        models=models.name,
        version=models.version,
        sha256=tuple(sorted(models.sha256.items())),
        suitable=models.suitable,
        kidney_threshold=result.thresholds.kidney,
        lesion_threshold=result.thresholds.lesion,
    )
    sides = {
        side: SideAnswer(
            outcome=finding.outcome,
            assessable=finding.assessable,
            score=finding.lesion.probability_sum if finding.lesion else None,
            flags=tuple(flag.code for flag in result.flags_of(side)),
        )
        for side, finding in result.sides.items()
    }
    ran_on = f"{result.provider.ran}, rcc-onnx {result.rcc_onnx_version}"
    return CaseAnswer(result.case, None, setup, ran_on, sides)
