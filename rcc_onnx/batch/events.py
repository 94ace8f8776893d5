"""Log records of a run, with their facts as data beside the sentence (docs/operations.md).

The terminal shows the same by other means: the records are marked as printed.
"""

import logging
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rcc_onnx._version import __version__
from rcc_onnx.output.document import Case
from rcc_onnx.results import FailedCase
from rcc_onnx.system.documents import to_json
from rcc_onnx.system.host import environment
from rcc_onnx.types import SIDES

if TYPE_CHECKING:
    from rcc_onnx.batch.runner import BatchConfig

_log = logging.getLogger(__name__)


@contextmanager
def log_run(config: "BatchConfig", cases: int | None) -> Iterator[list[Case]]:
    """Log the start and the end of a run; yield a list to which the caller appends results.

    `cases`: how many there are; None: not known before.
    """
    facts = {
        "cases": cases,
        "processes": config.workers,
        "models": config.models and Path(config.models).name,
        "options": to_json(config.options),
        "rcc_onnx_version": __version__,
        "environment": to_json(environment()),
    }
    _log.info("run starts", extra=_data("run-start", facts))
    started = time.perf_counter()
    results: list[Case] = []
    try:
        yield results
    finally:
        _log_run_end(results, cases, time.perf_counter() - started)


def _log_run_end(results: list[Case], cases: int | None, seconds: float) -> None:
    errors = Counter(result.error.code for result in results if isinstance(result, FailedCase))
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


def log_case_start(case: str) -> None:
    _log.info("case %s starts", case, extra=_data("case-start", {}))


def log_case_end(result: Case, seconds: float | None = None, *, kept: bool = False) -> None:
    """Log how a case ended.

    Args:
        result: of the case.
        seconds: of the whole of it, its files written; None: unknown.
        kept: it is of an earlier run.
    """
    whole = None if seconds is None else round(seconds, 3)
    if isinstance(result, FailedCase):
        failed = {"status": "failed", "code": result.error.code, "seconds": whole}
        _log.error(
            "case %s failed: %s", result.case, result.error.message, extra=_data("case-end", failed)
        )
        return
    facts: dict[str, Any] = {
        "status": "kept" if kept else "analysed",
        "seconds": whole,
        "stages": {stage: round(spent, 3) for stage, spent in result.timings_s.items()},
        "flags": sorted({note.code for side in SIDES for note in result.flags_of(side)}),
        "warnings": [note.code for note in result.intake.warnings] if result.intake else [],
        "slices": result.study.slices_analysed,
        "models": f"{result.models.name} {result.models.version}",
        "provider": str(result.provider.ran),
        "threads": result.provider.threads,
    }
    _log.info("case %s: %s", result.case, facts["status"], extra=_data("case-end", facts))


def _data(event: str, facts: Mapping[str, Any]) -> dict[str, Any]:
    return {"data": {"event": event, **facts}, "printed": True}
