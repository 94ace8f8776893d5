"""Growth of a case with slices and with threads: `python -m benchmarks.scaling --help`.

Warm, in turn. 1,000 thin slices are one of the studies: a tenth of them is analysed.
"""

import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import common
from benchmarks.common import Rounds
from benchmarks.studies import THIN_MM, long_study
from rcc_onnx.diagnostics.bench import BenchSetup, load_engine
from rcc_onnx.system.host import usable_cpus

ANALYSED = (40, 80, 160, 320)
THIN_SLICES = 1000


def measure(bundle: str, studies: dict[str, Path], threads: Sequence[int], repeats: int) -> Rounds:
    """Return rounds of replies by study and threads."""
    rounds: Rounds = []
    first = list(studies.values())[:1]
    loads = {
        str(count): (partial(load_engine, BenchSetup(threads=count, models=bundle)), first)
        for count in threads
    }
    with common.workers(loads) as (running, refused):
        if refused:
            raise SystemExit("this engine does not run")
        for number in range(repeats):
            for name, study in studies.items():
                print(f"round {number + 1} of {repeats}, {name}", file=sys.stderr)
                replies = {count: ask(study) for count, ask in running.items()}
                rounds.append({"study": name, "replies": replies})
    return rounds


def markdown(document: dict[str, Any]) -> str:
    """Return the section for RESULTS.md."""
    rounds = document["rounds"]
    counts = [str(count) for count in document["settings"]["counts"]]
    most = counts[-1]
    rows = []
    for name in dict.fromkeys(entry["study"] for entry in rounds):
        of_study = [entry for entry in rounds if entry["study"] == name]
        slices = of_study[0]["replies"][most]["slices"]
        medians = [median(common.times(of_study, count)) for count in counts]
        row = [name, str(slices), *(f"{seconds:.2f}" for seconds in medians)]
        row.append(f"{medians[-1] / slices * 1000:.1f}")
        row.append(f"{common.ratio(of_study, most, counts[0]):.2f}")
        rows.append(row)
    head = ["study", "analysed", *(f"{count} threads, s" for count in counts)]
    head += [f"ms a slice, {most} threads", f"times {counts[0]} thread's speed"]
    return common.section(
        document,
        "Growth with slices and threads",
        f"float32, warm, {len(rounds) // len(rows)} rounds. The time includes one run of the 3D "
        f"network for each kidney whatever the number of slices. `{document['command']}`",
        common.table(head, rows),
    )


def main() -> None:
    parser = common.parser(__doc__, "scaling")
    parser.add_argument("--repeats", type=int, default=3, help="rounds to add")
    parser.add_argument("--analysed", type=int, nargs="+", default=ANALYSED, help="slices")
    options = parser.parse_args()
    bundle = str(common.build_networks(options.work) / "bundle")
    studies = {f"{count} slices": long_study(options.work, count) for count in options.analysed}
    thin = long_study(options.work, THIN_SLICES, spacing_mm=THIN_MM)
    studies[f"{THIN_SLICES} thin slices"] = thin
    counts = sorted({1, options.threads, usable_cpus()})
    benchmark = common.Benchmark.of(
        "scaling", options, counts=counts, analysed=list(options.analysed)
    )
    rounds = benchmark.earlier_rounds()
    rounds += measure(bundle, studies, counts, options.repeats)
    benchmark.publish(markdown, rounds=rounds)


if __name__ == "__main__":
    main()
