"""How long the start of the program takes: `python -m benchmarks.startup --help`.

`rcc-onnx --version`, and `rcc-onnx infer` on the demo's phantom as a whole process beside the same
study in a process that is warm, in turn.
"""

import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import common
from rcc_onnx.cli.demo import DEMO_SEED
from rcc_onnx.diagnostics.bench import BenchSetup, load_engine
from rcc_onnx.phantom.study import make_phantom_folder

VERSION_S = 0.3
WARM_TIMES, WARM_PLUS_S = 2.0, 1.0
"""A whole process may take this many times the warm time, and so many seconds more."""

Rounds = list[dict[str, float]]


def seconds_of(*arguments: str) -> float:
    """Wall clock of `rcc-onnx ARGUMENTS`, from start to end."""
    started = time.perf_counter()
    subprocess.run([sys.executable, "-m", "rcc_onnx", *arguments], check=True, capture_output=True)
    return time.perf_counter() - started


def measure(bundle: str, threads: int, repeats: int) -> Rounds:
    """Rounds of seconds: `version`, `whole` and `warm`."""
    rounds: Rounds = []
    with tempfile.TemporaryDirectory() as name:
        study = make_phantom_folder(DEMO_SEED, Path(name)).folder
        infer = ["infer", str(study), "--models", bundle, "--threads", str(threads)]
        # Or the second round would find its work done.
        infer += ["--provider", "cpu", "--out", str(Path(name) / "out"), "--overwrite"]
        setup = BenchSetup(threads=threads, models=bundle)
        with common.worker(partial(load_engine, setup)) as ask:
            ask(study)
            for _ in range(repeats):
                rounds.append(
                    {
                        "version": seconds_of("--version"),
                        "whole": seconds_of(*infer),
                        "warm": ask(study)["seconds"],
                    }
                )
    return rounds


def markdown(document: dict[str, Any]) -> str:
    """The section for RESULTS.md."""
    rounds = document["rounds"]
    version, whole, warm = (median(one[key] for one in rounds) for key in rounds[0])
    allowed = WARM_TIMES * warm + WARM_PLUS_S
    rows = [
        ("`rcc-onnx --version`", f"{version:.2f}", f"at most {VERSION_S:g}"),
        ("demo study, warm", f"{warm:.2f}", ""),
        (
            "demo study, whole process",
            f"{whole:.2f}",
            f"at most {WARM_TIMES:g} times warm + {WARM_PLUS_S:g} s: {allowed:.2f}",
        ),
    ]
    return "\n\n".join(
        [
            "## Start",
            f"float32, {document['settings']['threads']} threads, medians of {len(rounds)} rounds "
            f"in turn. `{document['command']}`",
            common.table(("what", "seconds", "wanted"), rows),
            common.environment_line(document["settings"]["environment"]),
        ]
    )


def main() -> None:
    # Not at the top, which processes that are measured import too: it needs the converter.
    from benchmarks.measuring_networks import build_networks  # noqa: PLC0415

    parser = common.parser(__doc__, "startup")
    parser.add_argument("--repeats", type=int, default=5, help="rounds to add")
    options = parser.parse_args()
    bundle = str(build_networks(options.work / "networks"))
    path = options.json or options.work / "startup.json"
    settings = {"threads": options.threads, "environment": common.environment()}
    rounds = common.earlier(path, settings, options.fresh)
    rounds += measure(bundle, options.threads, options.repeats)
    document = {"command": "python -m benchmarks.startup", "settings": settings, "rounds": rounds}
    common.write_json(path, document)
    text = markdown(document)
    print(text)
    if options.results:
        common.write_section(options.results, "startup", text)


if __name__ == "__main__":
    main()
