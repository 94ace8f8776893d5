"""Results of `rcc-onnx infer` read back: of each `OUT/<case>.json` what an evaluation needs."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from rcc_onnx.errors import EvaluateError, ResultDocumentError
from rcc_onnx.evaluate.labels import same_name
from rcc_onnx.output.document import SCHEMA_VERSION
from rcc_onnx.types import SIDES, Outcome, Side

FINDINGS = (Outcome.LESION, Outcome.LESION_NOT_LOCATED)
"""Outcomes of a sum above the threshold."""
WITHOUT_SCORE = (Outcome.KIDNEY_NOT_FOUND, Outcome.KIDNEY_NOT_LOCATED)
"""Outcomes where no lesion was looked for."""
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
        document = _document(path)
        if not (isinstance(document, dict) and "case" in document and "status" in document):
            others.append(path.name)
            continue
        answer = _case_answer(path, document)
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


def _document(path: Path) -> Any:
    def no_number(text: str) -> NoReturn:
        _refuse(path, f"{text} is no number")

    try:
        return json.loads(path.read_bytes(), parse_constant=no_number)
    except (ValueError, RecursionError) as error:
        if isinstance(error, ResultDocumentError):
            raise
        _refuse(path, "it is no JSON")
    except OSError as error:
        _refuse(path, f"it cannot be read: {error.strerror or error}")


def _refuse(path: Path, problem: str) -> NoReturn:
    raise ResultDocumentError(
        f"{path.name}: {problem}. Nothing was evaluated; analyse the case again or remove the file"
    )


def _case_answer(path: Path, document: Mapping[str, Any]) -> CaseAnswer:
    version = document.get("schema_version")
    if version != SCHEMA_VERSION:
        _refuse(path, f"its schema_version is {version!r}; this program reads {SCHEMA_VERSION}")
    case, status = document["case"], document["status"]
    if not isinstance(case, str) or case != path.stem:
        _refuse(path, f"it is the result of case {case!r}, so it was renamed or copied")
    try:
        if status == "failed":
            return CaseAnswer(case, str(document["error"]["code"]), None, None, {})
        if status != "analysed":
            _refuse(path, f"its status is {status!r}, neither analysed nor failed")
        setup = _setup(document)
        ran_on = f"{document['provider']['ran']}, rcc-onnx {document['rcc_onnx_version']}"
        study_flags = tuple(str(flag["code"]) for flag in document["flags"])
        sides = {side: _side(document["sides"][side], study_flags) for side in SIDES}
    except KeyError as error:
        _refuse(path, f"it lacks the field {error}")
    except (TypeError, ValueError) as error:
        if isinstance(error, ResultDocumentError):
            raise
        _refuse(path, f"a field holds what cannot stand there: {error}")
    for side, answer in sides.items():
        if (answer.score is None) != (answer.outcome in WITHOUT_SCORE):
            _refuse(
                path, f"on the {side} the outcome {answer.outcome} and the lesion sum do not fit"
            )
        above = answer.score is not None and answer.score > setup.lesion_threshold
        if above != (answer.outcome in FINDINGS):
            _refuse(
                path,
                f"on the {side} the outcome is {answer.outcome}, but the lesion sum is "
                f"{answer.score} and the threshold {setup.lesion_threshold:g}",
            )
    return CaseAnswer(case, None, setup, ran_on, sides)


def _setup(document: Mapping[str, Any]) -> Setup:
    models, thresholds = document["models"], document["thresholds"]
    return Setup(
        study_kind=str(document["study"]["kind"]),
        profile=str(document["profile"]),
        precision=str(document["provider"]["precision"]),
        models=str(models["name"]),
        version=str(models["version"]),
        sha256=tuple(sorted((str(name), str(one)) for name, one in dict(models["sha256"]).items())),
        suitable=models["suitable"] is True,
        kidney_threshold=_number(thresholds["kidney"]),
        lesion_threshold=_number(thresholds["lesion"]),
    )


def _side(side: Mapping[str, Any], study_flags: tuple[str, ...]) -> SideAnswer:
    assessable, lesion = side["assessable"], side["lesion"]
    if not isinstance(assessable, bool):
        raise TypeError(f"assessable is {assessable!r}")
    return SideAnswer(
        outcome=Outcome(side["outcome"]),
        assessable=assessable,
        score=None if lesion is None else _number(lesion["probability_sum"]),
        flags=(*study_flags, *(str(flag["code"]) for flag in side["flags"])),
    )


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise TypeError(f"{value!r} is no number")
    return float(value)
