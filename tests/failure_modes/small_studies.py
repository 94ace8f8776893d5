"""Studies that take half a second each, and networks that find something in them."""

from dataclasses import replace
from pathlib import Path

from rcc_onnx.phantom.study import draw_anatomy, draw_scan, write_study
from tests.support.tiny_networks import write_bundle

MATRIX = 128
SPACING_MM = 10.0
"""The widest that is analysed, so that there are few slices."""


def small_phantom(seed: int, folder: Path) -> Path:
    """A phantom of about twenty small slices; the folder."""
    anatomy = draw_anatomy(seed)
    scan = draw_scan(seed, anatomy.body)
    wider = scan.pixel_mm * scan.matrix / MATRIX
    scan = replace(
        scan, matrix=MATRIX, pixel_mm=wider, spacing_mm=SPACING_MM, thickness_mm=SPACING_MM
    )
    return write_study(anatomy, scan, folder).folder


def small_studies(folder: Path, count: int) -> Path:
    """A folder of phantoms `case0`, `case1` ..."""
    for seed in range(count):
        small_phantom(seed, folder / f"case{seed}")
    return folder


def small_bundle(folder: Path) -> Path:
    """Networks of one convolution, which find suspected lesions everywhere."""
    return write_bundle(folder, use_on=["digital-phantom", "patient"])
