"""What the files of a case cost beside its analysis: `python -m benchmarks.writing`.

Phantom studies are analysed in float32 and their files written, one after another, so that both
meet the same machine. The report's fragment, which holds the slices to scroll through, is told
apart.
"""

import argparse
import tempfile
import time
from pathlib import Path
from statistics import median

from rcc_onnx.case_files import CASE_OUTPUTS
from rcc_onnx.engine import Engine
from rcc_onnx.html import fragment_name
from rcc_onnx.phantom import make_study
from rcc_onnx.saving import Saving

TARGET = 0.25
"""Of the analysis, for all files but the report's."""
SEEDS = (1, 3, 4, 9)
"""Two findings; one kidney; nothing; a finding on one side."""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    engine = Engine.load("phantom", "cpu")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for seed in SEEDS:
            study = make_study(seed, folder / f"phantom-{seed}").folder
            engine.analyse(study)
            rounds = [_round(engine, study, folder / "out") for _ in range(options.rounds)]
            analysis = median(one for one, _, _ in rounds)
            files, fragment = (median(one[part] / one[0] for one in rounds) for part in (1, 2))
            print(
                f"phantom {seed}: analysis {analysis:.2f} s; files {files:.1%} of it, at most "
                f"{TARGET:.0%}; the report's part {fragment:.1%}"
            )


def _round(engine: Engine, study: Path, out: Path) -> tuple[float, float, float]:
    """Seconds of an analysis, of its files, and of its part of the report."""
    start = time.perf_counter()
    result = engine.analyse(study)
    analysis = time.perf_counter() - start
    seconds = {}
    for output in CASE_OUTPUTS:
        path = out / output.name(result.case)
        path.parent.mkdir(parents=True, exist_ok=True)
        start = time.perf_counter()
        if output.wanted(result, Saving()):
            output.write(result, Saving(), path)
        seconds[output.name(result.case)] = time.perf_counter() - start
    fragment = seconds.pop(fragment_name(result.case))
    return analysis, sum(seconds.values()), fragment


if __name__ == "__main__":
    main()
