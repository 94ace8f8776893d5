"""A whole run as a JSON document, schema version 1 (docs/outputs.md)."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rcc_onnx._version import __version__
from rcc_onnx.case_files import files_of_case
from rcc_onnx.case_json import SCHEMA_VERSION, Json
from rcc_onnx.findings import CaseResult, FailedCase
from rcc_onnx.machine import environment
from rcc_onnx.measures import margin
from rcc_onnx.notice import RESEARCH_ONLY
from rcc_onnx.values import SIDES, Outcome, Side


@dataclass(frozen=True)
class Run:
    """One run over many cases, as far as it got.

    Attributes:
        out: the folder of its results.
        options: as they stand in the document.
        names: of all cases that were to be analysed, in order.
        results: of those that were reached, without arrays.
        stopped_by: None if all were reached; else `interrupted`, or the code of an error.
        earlier_cases: results of earlier runs that lie in `out`.
    """

    out: Path
    options: Mapping[str, Any]
    names: Sequence[str]
    results: Sequence[CaseResult | FailedCase]
    started: datetime
    ended: datetime
    stopped_by: str | None
    earlier_cases: int

    @property
    def not_reached(self) -> list[str]:
        """Names of the cases without a result, in order."""
        reached = {one.case for one in self.results}
        return [name for name in self.names if name not in reached]


def run_json(run: Run) -> Json:
    """The JSON document of a run; every field is in docs/outputs.md."""
    analysed = [one for one in run.results if isinstance(one, CaseResult)]
    return {
        "schema_version": SCHEMA_VERSION,
        "rcc_onnx_version": __version__,
        "notice": RESEARCH_ONLY,
        "started": _time(run.started),
        "ended": _time(run.ended),
        "seconds": round((run.ended - run.started).total_seconds(), 3),
        "stopped_by": run.stopped_by,
        "options": dict(run.options),
        "environment": environment(),
        "models": _distinct(_models(one) for one in analysed),
        "providers": _distinct(_provider(one) for one in analysed),
        "counts": _counts(run, analysed),
        "earlier_cases": run.earlier_cases,
        "cases": [_case(one, run.out) for one in run.results],
        "not_reached": run.not_reached,
    }


def _counts(run: Run, analysed: Sequence[CaseResult]) -> Json:
    errors = Counter(one.error.code for one in run.results if isinstance(one, FailedCase))
    both = [(one, side) for one in analysed for side in SIDES]
    return {
        "cases": len(run.names),
        "analysed": len(analysed),
        "failed": len(run.results) - len(analysed),
        "not_reached": len(run.not_reached),
        "errors": [{"code": code, "count": count} for code, count in errors.most_common()],
        "outcomes": {
            str(outcome): {
                side: sum(one.sides[side].outcome is outcome for one in analysed) for side in SIDES
            }
            for outcome in Outcome
        },
        "kidneys_not_assessable": sum(bool(one.flags_of(side)) for one, side in both),
        "kidneys_borderline": sum(_is_borderline(one, side) for one, side in both),
    }


def _is_borderline(result: CaseResult, side: Side) -> bool:
    finding, thresholds = result.sides[side], result.thresholds
    sums = [(finding.kidney.probability_sum, thresholds.kidney)]
    if finding.lesion is not None:
        sums.append((finding.lesion.probability_sum, thresholds.lesion))
    return any(margin(*one, result.options).borderline for one in sums)


def _case(result: CaseResult | FailedCase, out: Path) -> Json:
    document: Json = {
        "case": result.case,
        "status": "failed",
        "error_code": None,
        "files": list(files_of_case(result.case, out)),
        "outcomes": None,
        "assessable": None,
        "seconds": None,
    }
    if isinstance(result, FailedCase):
        return document | {"error_code": result.error.code}
    return document | {
        "status": "analysed",
        "outcomes": {side: str(result.sides[side].outcome) for side in SIDES},
        "assessable": {side: not result.flags_of(side) for side in SIDES},
        "seconds": round(result.timings_s["total"], 4),
    }


def _models(result: CaseResult) -> Json:
    models = result.models
    return {
        "name": models.name,
        "version": models.version,
        "sha256": dict(models.network_sha256),
    }


def _provider(result: CaseResult) -> Json:
    provider = result.provider
    return {
        "ran": str(provider.ran),
        "onnxruntime": provider.runtime,
        "precision": str(provider.precision),
        "threads": provider.threads,
    }


def _distinct(documents: Iterable[Json]) -> list[Json]:
    """Each document once, in the order in which they came."""
    found: list[Json] = []
    for one in documents:
        if one not in found:
            found.append(one)
    return found


def _time(moment: datetime) -> str:
    """As 2026-01-31T12:00:00Z."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
