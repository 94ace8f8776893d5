"""What the files of a case cost beside its analysis: `python -m benchmarks.writing --help`.

A study of 80 slices is analysed in float32 with networks of a plausible published size, and every
file that can be asked for is written, one after another, so that all meet the same machine. The
report's part, which holds the slices to scroll through, is told apart.
"""

import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import common
from benchmarks.measuring_networks import build_networks
from benchmarks.studies import long_study
from rcc_onnx.engine import Engine
from rcc_onnx.output.case import CASE_FILES
from rcc_onnx.output.html import fragment_name

SLICES = 80
TARGET = 0.25
"""Of the analysis, for all files but the report's part."""

Round = dict[str, float]


def measure(engine: Engine, study: Path, repeats: int) -> list[Round]:
    """Rounds of seconds: `analysis`, and each file by the end of its name, warm."""
    rounds = []
    with tempfile.TemporaryDirectory() as name:
        out = Path(name)
        _round(engine, study, out)  # imports what writes
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
    """The section for RESULTS.md."""
    rounds: list[Round] = document["rounds"]
    files = [name for name in rounds[0] if name != "analysis"]
    usual = [name for name in files if name.endswith((".png", ".json"))]
    counted = [name for name in files if name != fragment_name("case")]
    rows = [(f"`{name}`", _ms(rounds, [name]), _share(rounds, [name]), "") for name in files]
    default = [name for name in usual if name in counted]
    rows += [
        ("written by default", _ms(rounds, default), _share(rounds, default), ""),
        ("all", _ms(rounds, counted), _share(rounds, counted), f"at most {TARGET:.0%}"),
    ]
    return "\n\n".join(
        [
            "## Files of a case",
            f"{SLICES} slices, float32, {document['settings']['threads']} threads, medians of "
            f"{len(rounds)} rounds; the analysis takes {_ms(rounds, ['analysis'])} ms. "
            f"`{document['command']}`",
            common.table(("file", "ms", "of the analysis", "wanted"), rows),
            f"The report's part, `{fragment_name('case')}`, is counted in neither sum.",
            common.environment_line(document["settings"]["environment"]),
        ]
    )


def _ms(rounds: list[Round], names: Iterable[str]) -> str:
    return f"{1000 * median(sum(one[name] for name in names) for one in rounds):.0f}"


def _share(rounds: list[Round], names: Iterable[str]) -> str:
    return f"{median(sum(one[name] for name in names) / one['analysis'] for one in rounds):.1%}"


def main() -> None:
    parser = common.parser(__doc__, "writing")
    parser.add_argument("--repeats", type=int, default=5, help="rounds to add")
    options = parser.parse_args()
    bundle = build_networks(options.work / "networks")
    study = long_study(options.work, SLICES)
    path = options.json or options.work / "writing.json"
    settings = {"threads": options.threads, "environment": common.environment()}
    rounds = common.earlier(path, settings, options.fresh)
    engine = Engine.load(bundle, provider="cpu", threads=options.threads, save="all")
    rounds += measure(engine, study, options.repeats)
    document = {"command": "python -m benchmarks.writing", "settings": settings, "rounds": rounds}
    common.write_json(path, document)
    text = markdown(document)
    print(text)
    if options.results:
        common.write_section(options.results, "writing", text)


if __name__ == "__main__":
    main()
