"""Peak memory, and whether it stays flat over many cases: `python -m benchmarks.memory --help`.

Every figure comes from a process of its own: physical memory as the system counts it, Python and
libraries included.
"""

import sys
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks import common
from benchmarks.studies import SEEDS, THIN_MM, long_study
from rcc_onnx.diagnostics.bench import BenchSetup, load_engine
from rcc_onnx.types import Precision

SLICES = 80
THIN_SLICES = 1000
MANY_SLICES = (40, 44)
"""Two lengths in turn, so that shapes change from case to case."""
TARGET_MB = {"one case": 450, "thin slices": 600}
SETTLED = 3
"""From the result of this case on, memory must be flat."""
FLAT_MB = 10
"""Memory is counted in pages and freed lazily, so that it varies by a few MB."""


def peak_mb(setup: BenchSetup, study: Path) -> float | str:
    """Return the peak of a process that analyses one study, in MB, or why it could not."""
    with common.worker(partial(load_engine, setup)) as ask:
        reply = ask(study)
    return str(reply["error"]) if "error" in reply else reply["peak_memory_bytes"] / 1e6


def after_each_mb(setup: BenchSetup, studies: list[Path], cases: int) -> list[float]:
    """Return the memory that a process holds after each of its cases, in MB."""
    held = []
    with common.worker(partial(load_engine, setup)) as ask:
        for number in range(cases):
            reply = ask(studies[number % len(studies)])
            if "error" in reply:
                raise SystemExit(f"case {number + 1}: {reply['error']}")
            held.append(reply["memory_bytes"] / 1e6)
            if (number + 1) % 10 == 0:
                print(f"{number + 1} of {cases} cases", file=sys.stderr)
    return held


def markdown(document: dict[str, Any]) -> str:
    """Return the section for RESULTS.md."""
    rows = [
        (
            peak["what"],
            peak["precision"],
            f"{peak['peak_mb']:.0f}" if peak["peak_mb"] is not None else "not measured",
            f"at most {peak['at_most_mb']}" if peak["precision"] == "float32" else "",
        )
        for peak in document["peaks"]
    ]
    parts = [
        f"{document['settings']['threads']} threads. `{document['command']}`",
        common.table(("process", "precision", "peak, MB", "wanted"), rows),
    ]
    held = document["after_each_mb"]
    if len(held) > SETTLED:
        growth = max(held[SETTLED:]) - held[SETTLED - 1]
        verdict = "flat" if growth <= FLAT_MB else "NOT FLAT"
        parts.append(
            f"{len(held)} cases in one process: {held[SETTLED - 1]:.0f} MB after case {SETTLED}, "
            f"{held[-1]:.0f} MB after the last, never more than {max(growth, 0):.0f} MB above the "
            f"former: {verdict}."
        )
    return common.section(document, "Memory", *parts)


def measure_peaks(work: Path, bundle: str, threads: int) -> list[dict[str, Any]]:
    """Measure one process for each study and precision."""
    studies = {
        "one case": (long_study(work, SLICES), SLICES),
        "thin slices": (long_study(work, THIN_SLICES, spacing_mm=THIN_MM), THIN_SLICES),
    }
    peaks = []
    for precision in (Precision.FLOAT32, Precision.INT8):
        setup = BenchSetup(precision=precision, threads=threads, models=bundle)
        for what, (study, slices) in studies.items():
            peak = peak_mb(setup, study)
            if isinstance(peak, str):
                print(f"NOT MEASURED: {what}, {precision}: {peak}", file=sys.stderr)
            peaks.append(
                {
                    "what": f"{what}, {slices} slices",
                    "precision": precision,
                    "peak_mb": None if isinstance(peak, str) else peak,
                    "at_most_mb": TARGET_MB[what],
                }
            )
    return peaks


def main() -> None:
    parser = common.parser(__doc__, "memory")
    parser.add_argument("--cases", type=int, default=100, help="cases in one process; 0: none")
    options = parser.parse_args()
    bundle = str(common.build_networks(options.work) / "bundle")
    many = [
        long_study(options.work, count, seed)
        for count, seed in zip(MANY_SLICES, SEEDS, strict=True)
    ]
    setup = BenchSetup(threads=options.threads, models=bundle)
    common.Benchmark.of("memory", options, threads=options.threads).publish(
        markdown,
        peaks=measure_peaks(options.work, bundle, options.threads),
        after_each_mb=after_each_mb(setup, many, options.cases) if options.cases else [],
    )


if __name__ == "__main__":
    main()
