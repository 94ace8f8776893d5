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
            lesion = finding.lesion_measures
            if lesion is not None:
                x, y, z = lesion.centre_lps_mm
                print(f"    {lesion.longest_axial_diameter.mm:.0f} mm, {lesion.volume_ml:.1f} ml")
                print(f"    centre {x:.0f}, {y:.0f}, {z:.0f} mm (LPS)")
        print(f"    {result.provider.ran}, {result.timings_s['total']:.1f} s")


if __name__ == "__main__":
    main(*sys.argv[1:])
