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
"""From the answer to this case on, memory must be flat."""
FLAT_MB = 10
"""Memory counted in pages, with the allocator's slack, moves by a few MB by itself."""


def peak_mb(setup: BenchSetup, study: Path) -> float | str:
    """Peak of a process that analyses one study, in MB; in words why it could not."""
    with common.worker(partial(load_engine, setup)) as ask:
        reply = ask(study)
    return str(reply["error"]) if "error" in reply else reply["peak_memory_bytes"] / 1e6


def after_each_mb(setup: BenchSetup, studies: list[Path], cases: int) -> list[float]:
    """Memory that a process holds after each of its cases, in MB."""
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
    """The section for RESULTS.md."""
    rows = [
        (
            one["what"],
            one["precision"],
            f"{one['peak_mb']:.0f}" if one["peak_mb"] is not None else "not measured",
            f"at most {one['at_most_mb']}" if one["precision"] == "float32" else "",
        )
        for one in document["peaks"]
    ]
    parts = [
        "## Memory",
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
    return "\n\n".join([*parts, common.environment_line(document["settings"]["environment"])])


def main() -> None:
    # Not at the top, which processes that are measured import too: it needs the converter.
    from benchmarks.measuring_networks import build_networks  # noqa: PLC0415

    parser = common.parser(__doc__, "memory")
    parser.add_argument("--cases", type=int, default=100, help="cases in one process; 0: none")
    options = parser.parse_args()
    bundle = str(build_networks(options.work / "networks"))
    studies = {
        "one case": long_study(options.work, SLICES),
        "thin slices": long_study(options.work, THIN_SLICES, spacing_mm=THIN_MM),
    }
    peaks = []
    for precision in (Precision.FLOAT32, Precision.INT8):
        setup = BenchSetup(precision=precision, threads=options.threads, models=bundle)
        for what, study in studies.items():
            slices = SLICES if what == "one case" else THIN_SLICES
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
    many = [
        long_study(options.work, count, seed)
        for count, seed in zip(MANY_SLICES, SEEDS, strict=True)
    ]
    float32 = BenchSetup(threads=options.threads, models=bundle)
    document = {
        "command": "python -m benchmarks.memory",
        "settings": {"threads": options.threads, "environment": common.environment()},
        "peaks": peaks,
        "after_each_mb": after_each_mb(float32, many, options.cases) if options.cases else [],
    }
    common.write_json(options.json or options.work / "memory.json", document)
    text = markdown(document)
    print(text)
    if options.results:
        common.write_section(options.results, "memory", text)


if __name__ == "__main__":
    main()
