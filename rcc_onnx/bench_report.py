"""What measurements come to: a recommendation, and the document of `rcc-onnx bench --json`."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rcc_onnx.bench import Measurement
from rcc_onnx.bench_worker import Setup
from rcc_onnx.errors import OutputError
from rcc_onnx.machine import machine
from rcc_onnx.notice import RESEARCH_ONLY

SCHEMA_VERSION = 1
NEARLY_EQUAL = 1.05
"""Setups whose medians differ by less are as fast as one another: repeated runs differ as much."""


@dataclass(frozen=True)
class Recommendation:
    setup: Setup
    reason: str


def recommend(measurements: Sequence[Measurement]) -> Recommendation:
    """The fastest setup that answered as the reference did; of nearly equal ones the leanest.

    The reference is the first setup in float32 that ran, or else the first that ran.
    """
    ran = [one for one in measurements if one.refused is None and one.answers]
    exact = [one for one in ran if one.setup.precision == "float32"]
    reference = (exact or ran)[0]
    agreeing = [one for one in ran if outcomes(one) == outcomes(reference)]
    fastest = min(one.p50_s for one in agreeing)
    close = [one for one in agreeing if one.p50_s <= fastest * NEARLY_EQUAL]
    best = min(close, key=lambda one: (one.peak_memory_bytes or 0, one.p50_s))
    reason = (
        "the only one that ran"
        if len(ran) == 1
        else f"{best.p50_s:.2f} s a case; the same outcomes as {reference.setup.label}"
        if best is not reference
        else f"{best.p50_s:.2f} s a case, and exact"
    )
    different = [one.setup.label for one in ran if one not in agreeing]
    if different:
        reason += f"; passed over for different outcomes: {', '.join(different)}"
    return Recommendation(best.setup, reason)


def outcomes(one: Measurement) -> dict[int, dict[str, str]]:
    """Outcomes by study's number and side."""
    return {index: answers[-1].outcomes for index, answers in one.warm.items()}


def bench_json(measurements: Sequence[Measurement], studies: Sequence[str]) -> dict[str, Any]:
    """The document of `rcc-onnx bench --json`; every field is in docs/benchmarks.md."""
    choice = recommend(measurements)
    return {
        "schema_version": SCHEMA_VERSION,
        "notice": RESEARCH_ONLY,
        "environment": machine(),
        "studies": list(studies),
        "setups": [_setup_json(one) for one in measurements],
        "recommended": {**asdict(choice.setup), "reason": choice.reason},
    }


def write_bench_json(
    measurements: Sequence[Measurement], studies: Sequence[str], path: Path
) -> None:
    """Write `bench_json` to a file. Raises OutputError if that cannot be done."""
    text = json.dumps(bench_json(measurements, studies), indent=2, ensure_ascii=False)
    try:
        path.write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror or error}") from error


def _setup_json(one: Measurement) -> dict[str, Any]:
    document: dict[str, Any] = {**asdict(one.setup), "refused": one.refused}
    if not one.answers or one.cold is None:
        return document
    last = one.answers[-1]
    return document | {
        "ran": last.ran,
        "runtime": last.runtime,
        "threads": last.threads,
        "bundle": last.bundle,
        "forms": last.forms,
        "cold_s": one.cold_s,
        "loading_networks_s": one.cold.loading_s,
        "warm_p50_s": one.p50_s,
        "warm_p95_s": one.p95_s,
        "slices_per_s": one.slices_per_s,
        "stages_p50_s": {stage: one.stage_s(stage) for stage in one.stages},
        "peak_memory_bytes": one.peak_memory_bytes,
        "cases": [
            {
                "slices": answers[-1].slices,
                "outcomes": answers[-1].outcomes,
                "warm_s": [answer.seconds for answer in answers],
            }
            for answers in one.warm.values()
        ],
    }
