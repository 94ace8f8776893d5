"""Analyse study folders and print what was found, from Python.

    python examples/analyse_studies.py phantom studies/case01 studies/case02

The first argument is a model bundle, by name or folder. Research software, not for diagnosis.
"""

import sys

from rcc_onnx import Engine
from rcc_onnx.errors import RccOnnxError


def main(models: str, *studies: str) -> None:
    # The networks are opened once and serve every study.
    engine = Engine.load(models=models, provider="cpu")
    for study in studies:
        try:
            result = engine.analyse(study)
        except RccOnnxError as error:
            print(f"{study}: not analysed [{error.code}]: {error}")
            continue
        for side, finding in result.sides.items():
            print(f"{result.case}: {side}: {finding.outcome}")
            if finding.lesion is not None and finding.lesion.box is not None:
                box = finding.lesion.box
                print(f"    box on slice {box.slice} of the crop, rows {box.top} to {box.bottom}")
        print(f"    {result.provider.ran}, {result.timings_s['total']:.1f} s")


if __name__ == "__main__":
    main(*sys.argv[1:])
