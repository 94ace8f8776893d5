"""What a run tells the log, with its facts as data beside the sentence (docs/logs.md).

The terminal is told the same by others, so these lines are marked as said.
"""

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from rcc_onnx.findings import CaseResult, FailedCase
from rcc_onnx.machine import machine, packages
from rcc_onnx.values import SIDES

_log = logging.getLogger(__name__)


def log_run(options: Mapping[str, Any], cases: int | None, processes: int) -> None:
    """A run starts: software, machine and what was asked for. None: nobody knows how many cases."""
    facts = {
        "cases": cases,
        "processes": processes,
        "options": dict(options),
        "environment": {**machine(), "packages": packages()},
    }
    _log.info("run starts", extra=_data("run-start", facts))


def log_run_end(
    results: Sequence[CaseResult | FailedCase], cases: int | None, seconds: float
) -> None:
    """A run ends, as far as it came."""
    errors = Counter(one.error.code for one in results if isinstance(one, FailedCase))
    facts = {
        "cases": cases,
        "analysed": len(results) - errors.total(),
        "failed": errors.total(),
        "not_reached": None if cases is None else cases - len(results),
        "errors": dict(errors),
        "seconds": round(seconds, 3),
    }
    _log.info(
        "run ends: %d analysed, %d failed",
        facts["analysed"],
        facts["failed"],
        extra=_data("run-end", facts),
    )


def log_start(case: str) -> None:
    _log.info("case %s starts", case, extra=_data("case-start", {}))


def log_end(
    result: CaseResult | FailedCase, seconds: float | None = None, *, kept: bool = False
) -> None:
    """A case has come to its end.

    Args:
        result: what became of it.
        seconds: of the whole of it, its files written; None: nobody knows.
        kept: an earlier run had done it.
    """
    whole = None if seconds is None else round(seconds, 3)
    if isinstance(result, FailedCase):
        failed = {"status": "failed", "code": result.error.code, "seconds": whole}
        _log.error("case %s failed: %s", result.case, result.error, extra=_data("case-end", failed))
        return
    facts: dict[str, Any] = {
        "status": "done-before" if kept else "analysed",
        "seconds": whole,
        "stages": {stage: round(spent, 3) for stage, spent in result.timings_s.items()},
        "flags": sorted({note.code for side in SIDES for note in result.flags_of(side)}),
        "warnings": [] if result.intake is None else [one.code for one in result.intake.warnings],
        "slices": result.study.slices_analysed,
        "models": f"{result.models.name} {result.models.version}",
        "provider": str(result.provider.ran),
        "threads": result.provider.threads,
    }
    _log.info("case %s: %s", result.case, facts["status"], extra=_data("case-end", facts))


def _data(event: str, facts: Mapping[str, Any]) -> dict[str, Any]:
    return {"data": {"event": event, **facts}, "said": True}
