"""Cost of the files of a case beside its analysis: `python -m benchmarks.writing --help`.

A study of 80 slices is analysed in float32 with the measuring networks, and every kind of file is
written, one after another, so that all run on the same machine in the same state. The case's part
of the report, which holds the slices to scroll through, is counted separately.
"""

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import common
from benchmarks.studies import long_study
from rcc_onnx.engine import Engine
from rcc_onnx.output.case import CASE_FILES
from rcc_onnx.output.html.case_images import case_images_name

SLICES = 80
TARGET = 0.25
"""Share of the analysis that all files but the report's part may take."""

Round = dict[str, float]


def measure(engine: Engine, study: Path, repeats: int) -> list[Round]:
    """Return rounds of seconds: `analysis`, and each file by its name, warm."""
    rounds = []
    with tempfile.TemporaryDirectory() as name:
        out = Path(name)
        _round(engine, study, out)  # which imports the writers
        rounds += [_round(engine, study, out) for _ in range(repeats)]
    return rounds


def _round(engine: Engine, study: Path, out: Path) -> Round:
    start = time.perf_counter()
    result = engine.analyse(study, "case")
    seconds = {"analysis": time.perf_counter() - start}
    for output in CASE_FILES:
        if not output.is_wanted(result):
            continue
        path = out / output.name("case")
        path.parent.mkdir(parents=True, exist_ok=True)
        start = time.perf_counter()
        output.write(result, path)
        seconds[output.name("case")] = time.perf_counter() - start
    return seconds


def markdown(document: dict[str, Any]) -> str:
    """Return the section for RESULTS.md."""
    rounds: list[Round] = document["rounds"]
    files = [name for name in rounds[0] if name != "analysis"]
    usual = [name for name in files if name.endswith((".png", ".json"))]
    counted = [name for name in files if name != case_images_name("case")]
    rows = [(f"`{name}`", _ms(rounds, [name]), _share(rounds, [name]), "") for name in files]
    default = [name for name in usual if name in counted]
    rows += [
        ("written by default", _ms(rounds, default), _share(rounds, default), ""),
        ("all", _ms(rounds, counted), _share(rounds, counted), f"at most {TARGET:.0%}"),
    ]
    return common.section(
        document,
        "Files of a case",
        f"{SLICES} slices, float32, {document['settings']['threads']} threads, medians of "
        f"{len(rounds)} rounds; the analysis takes {_ms(rounds, ['analysis'])} ms. "
        f"`{document['command']}`",
        common.table(("file", "ms", "of the analysis", "wanted"), rows),
        f"The report's part, `{case_images_name('case')}`, is counted in neither sum.",
    )


def _ms(rounds: list[Round], names: Sequence[str]) -> str:
    return f"{1000 * median(_sum(entry, names) for entry in rounds):.0f}"


def _share(rounds: list[Round], names: Sequence[str]) -> str:
    return f"{median(_sum(entry, names) / entry['analysis'] for entry in rounds):.1%}"


def _sum(entry: Round, names: Sequence[str]) -> float:
    return sum(entry[name] for name in names)


def main() -> None:
    parser = common.parser(__doc__, "writing")
    parser.add_argument("--repeats", type=int, default=5, help="rounds to add")
    options = parser.parse_args()
    bundle = common.build_networks(options.work) / "bundle"
    study = long_study(options.work, SLICES)
    benchmark = common.Benchmark.of("writing", options, threads=options.threads)
    rounds = benchmark.earlier_rounds()
    engine = Engine.load(bundle, provider="cpu", threads=options.threads, save="all")
    benchmark.publish(markdown, rounds=rounds + measure(engine, study, options.repeats))


if __name__ == "__main__":
    main()
