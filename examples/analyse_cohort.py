"""Analyse a folder of studies and write what `rcc-onnx infer` writes, from Python.

    python examples/analyse_cohort.py phantom studies results

The first argument is a model bundle, by name or folder. Research software, not for diagnosis.
"""

import sys
from pathlib import Path

from rcc_onnx import Engine
from rcc_onnx.batch.cases import analyse_cases, find_cases
from rcc_onnx.output.run import RunFiles


def main(models: str, studies: str, out: str) -> None:
    results = Path(out)
    cases = find_cases(Path(studies), results)
    engine = Engine.load(models=models, provider="cpu")
    # results.csv and results.json are written when the block ends, also if it ends early.
    with RunFiles(engine.options, cases, results) as run:
        for result in analyse_cases(engine, cases, results):
            run.add(result)
            print(f"{result.case}: done")


if __name__ == "__main__":
    main(*sys.argv[1:])
