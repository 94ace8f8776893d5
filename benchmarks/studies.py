"""Phantom studies of chosen length."""

from dataclasses import replace
from pathlib import Path

from rcc_onnx.phantom.anatomy import draw_anatomy
from rcc_onnx.phantom.scan import Storage, draw_scan
from rcc_onnx.phantom.study import write_study

SEEDS = (9, 3)
"""The demo's phantom, which has a lesion on the left, and one more."""
SPACING_MM = 5.0
THIN_MM = 0.5


def long_study(
    work: Path,
    slices: int,
    seed: int = SEEDS[0],
    spacing_mm: float = SPACING_MM,
    storage: Storage = Storage.SIGNED,
) -> Path:
    """Write a study of 512x512 slices, kidneys in the middle, unless it is there; its folder.

    By default it is stored as Hounsfield units with thickness = spacing, which both profiles read
    alike. The phantom's trunk goes on as long as the scan does.
    """
    folder = work / "studies" / f"{slices}-slices-{spacing_mm:g}mm-{seed}-{storage}"
    done = folder.with_name(f"{folder.name}.done")
    if done.is_file():
        return folder
    anatomy = draw_anatomy(seed)
    half = (slices - 1) / 2 * spacing_mm
    scan = replace(
        draw_scan(seed, anatomy.body),
        thickness_mm=spacing_mm,
        spacing_mm=spacing_mm,
        top_mm=half,
        # A little lower, so that rounding does not lose the last slice.
        bottom_mm=-half - 0.01 * spacing_mm,
        storage=storage,
    )
    write_study(anatomy, scan, folder)
    done.touch()
    return folder
