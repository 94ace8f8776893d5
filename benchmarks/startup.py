"""Start of the program: `python -m benchmarks.startup --help`.

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
from benchmarks.common import Rounds
from rcc_onnx.cli.demo import DEMO_SEED
from rcc_onnx.diagnostics.bench import BenchSetup, load_engine
from rcc_onnx.phantom.study import make_phantom_folder

VERSION_S = 0.3
WARM_TIMES, WARM_PLUS_S = 2.0, 1.0
"""A whole process may take this many times the warm time, and so many seconds more."""


def seconds_of(*arguments: str) -> float:
    """Return the wall clock of `rcc-onnx ARGUMENTS`, from start to end."""
    started = time.perf_counter()
    subprocess.run([sys.executable, "-m", "rcc_onnx", *arguments], check=True, capture_output=True)
    return time.perf_counter() - started


def measure(bundle: str, threads: int, repeats: int) -> Rounds:
    """Return rounds of seconds: `version`, `whole` and `warm`."""
    rounds: Rounds = []
    with tempfile.TemporaryDirectory() as name:
        study = make_phantom_folder(DEMO_SEED, Path(name)).folder
        infer = ["infer", str(study), "--models", bundle, "--threads", str(threads)]
        # Without --overwrite the second round would find its case done.
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
    """Return the section for RESULTS.md."""
    rounds = document["rounds"]
    version, whole, warm = (median(entry[key] for entry in rounds) for key in rounds[0])
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
    return common.section(
        document,
        "Start",
        f"float32, {document['settings']['threads']} threads, medians of {len(rounds)} rounds "
        f"in turn. `{document['command']}`",
        common.table(("what", "seconds", "wanted"), rows),
    )


def main() -> None:
    parser = common.parser(__doc__, "startup")
    parser.add_argument("--repeats", type=int, default=5, help="rounds to add")
    options = parser.parse_args()
    bundle = str(common.build_networks(options.work) / "bundle")
    benchmark = common.Benchmark.of("startup", options, threads=options.threads)
    rounds = benchmark.earlier_rounds()
    benchmark.publish(markdown, rounds=rounds + measure(bundle, options.threads, options.repeats))


if __name__ == "__main__":
    main()
