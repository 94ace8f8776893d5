"""Analyse a folder of studies and write what `rcc-onnx infer` writes, from Python.

    python examples/analyse_cohort.py phantom studies results

The first argument is a model bundle, by name or folder. Research software, not for diagnosis.
"""

import sys
from pathlib import Path

from rcc_onnx.batch.cases import find_cases
from rcc_onnx.batch.runner import BatchConfig, run_batch
from rcc_onnx.options import InferenceOptions


def main(models: str, studies: str, out: str) -> None:
    config = BatchConfig(Path(out), InferenceOptions.parse(provider="cpu"), models)
    run = run_batch(find_cases(Path(studies), config.out), config)
    for result in run.results:
        print(f"{result.case}: {result.status}")


if __name__ == "__main__":
    main(*sys.argv[1:])
