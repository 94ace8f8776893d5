"""How a case grows with slices and with threads: `python -m benchmarks.scaling --help`.

Warm, in turn. 1,000 thin slices are one of the studies: a tenth of them is analysed.
"""

import sys
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import common
from benchmarks.studies import THIN_MM, long_study
from rcc_onnx.diagnostics.bench import BenchSetup, load_engine
from rcc_onnx.system.host import usable_cpus

ANALYSED = (40, 80, 160, 320)
THIN_SLICES = 1000

Rounds = list[dict[str, Any]]


def measure(bundle: Path, studies: dict[str, Path], threads: Sequence[int], repeats: int) -> Rounds:
    """Rounds of answers by study and threads."""
    rounds: Rounds = []
    with ExitStack() as stack:
        running = {}
        for count in threads:
            setup = BenchSetup(threads=count, models=str(bundle))
            ask = stack.enter_context(common.worker(partial(load_engine, setup)))
            running[str(count)] = ask
            reply = ask(next(iter(studies.values())))
            if "error" in reply:
                raise SystemExit(f"{count} threads: {reply['error']}")
        for number in range(repeats):
            for name, study in studies.items():
                print(f"round {number + 1} of {repeats}, {name}", file=sys.stderr)
                answers = {count: ask(study) for count, ask in running.items()}
                rounds.append({"study": name, "answers": answers})
    return rounds


def markdown(document: dict[str, Any]) -> str:
    """The section for RESULTS.md."""
    rounds = document["rounds"]
    counts = [str(count) for count in document["settings"]["counts"]]
    rows = []
    for name in dict.fromkeys(one["study"] for one in rounds):
        own = [one["answers"] for one in rounds if one["study"] == name]
        slices = own[0][counts[0]]["slices"]
        times = {count: [one[count]["seconds"] for one in own] for count in counts}
        most = counts[-1]
        row = [name, str(slices), *(f"{median(times[count]):.2f}" for count in counts)]
        row.append(f"{median(times[most]) / slices * 1000:.1f}")
        row.append(f"{common.median_ratio(times[most], times[counts[0]]):.2f}")
        rows.append(row)
    head = ["study", "analysed", *(f"{count} threads, s" for count in counts)]
    head += [f"ms a slice, {counts[-1]} threads", f"times {counts[0]} thread's speed"]
    return "\n\n".join(
        [
            "## Growth with slices and threads",
            f"float32, warm, {len(rounds) // len(rows)} rounds. The time holds one run of the 3D "
            f"network for each kidney whatever the number of slices. `{document['command']}`",
            common.table(head, rows),
            common.environment_line(document["settings"]["environment"]),
        ]
    )


def main() -> None:
    # Not at the top, which processes that are measured import too: it needs the converter.
    from benchmarks.measuring_networks import build_networks  # noqa: PLC0415

    parser = common.parser(__doc__, "scaling")
    parser.add_argument("--repeats", type=int, default=3, help="rounds to add")
    parser.add_argument("--analysed", type=int, nargs="+", default=ANALYSED, help="slices")
    options = parser.parse_args()
    bundle = build_networks(options.work / "networks")
    studies = {f"{count} slices": long_study(options.work, count) for count in options.analysed}
    thin = long_study(options.work, THIN_SLICES, spacing_mm=THIN_MM)
    studies[f"{THIN_SLICES} thin slices"] = thin
    counts = sorted({1, options.threads, usable_cpus()})
    settings = {
        "counts": counts,
        "analysed": list(options.analysed),
        "environment": common.environment(),
    }
    path = options.json or options.work / "scaling.json"
    rounds = common.earlier(path, settings, options.fresh)
    rounds += measure(bundle, studies, counts, options.repeats)
    document = {"command": "python -m benchmarks.scaling", "settings": settings, "rounds": rounds}
    common.write_json(path, document)
    text = markdown(document)
    print(text)
    if options.results:
        common.write_section(options.results, "scaling", text)


if __name__ == "__main__":
    main()
