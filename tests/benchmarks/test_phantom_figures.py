"""The figures of the model card, on records with known results."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.phantom_accuracy import dice, truth_on_grid
from benchmarks.phantom_figures import KidneyRecord, Rate, figures, markdown, wrong_sides
from rcc_onnx.dicom import read_study
from rcc_onnx.phantom import Label, make_study
from rcc_onnx.types import Profile

PLAIN = KidneyRecord(
    seed=1,
    side="right",
    present=True,
    lesion_mm=None,
    cyst_mm=None,
    outcome="no_lesion",
    kidney_sum=5000.0,
    lesion_sum=1.0,
    dice=0.98,
    box_on_lesion=None,
)
FOUND = replace(PLAIN, lesion_mm=20.0, outcome="lesion", box_on_lesion=True)


def test_rates_have_wilson_intervals() -> None:
    # 382 of 453 and its interval are a textbook case of Wilson's formula.
    low, high = Rate(382, 453).interval()
    z, n, p = 1.959964, 453, 382 / 453
    middle = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * (p * (1 - p) / n + z * z / (4 * n * n)) ** 0.5
    assert (low, high) == pytest.approx((middle - half, middle + half), abs=1e-6)
    assert str(Rate(382, 453)).startswith("84.3% (382/453; 95 % CI 80.")
    assert str(Rate(0, 0)) == "none"


def test_figures_count_what_they_say() -> None:
    records = [
        FOUND,
        replace(FOUND, seed=2, outcome="no_lesion", box_on_lesion=None, lesion_mm=15.0),
        replace(FOUND, seed=3, lesion_mm=14.9),
        replace(FOUND, seed=4, outcome="lesion_not_located", box_on_lesion=None, lesion_mm=39.0),
        replace(PLAIN, seed=5),
        replace(PLAIN, seed=6, cyst_mm=20.0, outcome="lesion"),
        replace(PLAIN, seed=7, cyst_mm=20.0, dice=0.5),
        replace(PLAIN, seed=8, present=False, dice=None, outcome="kidney_not_found"),
    ]
    rows = dict(figures(records))
    assert rows["sensitivity, lesions of 15 to 40 mm"].startswith("66.7% (2/3;")
    assert rows["sensitivity, lesions of 8 to 15 mm"].startswith("100.0% (1/1;")
    assert rows["sensitivity, lesions of 15 to 20 mm"].startswith("0.0% (0/1;")
    assert rows["specificity, all kidneys without lesion"].startswith("66.7% (2/3;")
    assert rows["specificity, kidneys with a simple cyst"].startswith("50.0% (1/2;")
    assert rows["specificity, kidneys with neither"].startswith("100.0% (1/1;")
    assert rows["kidneys found"].startswith("100.0% (7/7;")
    assert rows["absent kidneys reported as found"].startswith("0.0% (0/1;")
    assert rows["boxes that hold lesion"].startswith("100.0% (2/2;")
    assert rows["kidney Dice, mean"].startswith("0.9114 (")
    assert "lowest 0.500" in rows["kidney Dice, mean"]
    assert "| wrong sides | 0 |" in markdown(records, "command")


def test_wrong_sides_are_flags_on_the_healthy_side_alone() -> None:
    left = replace(PLAIN, side="left")
    missed = replace(FOUND, outcome="no_lesion", box_on_lesion=None)
    assert wrong_sides([missed, replace(left, outcome="lesion")]) == [1]
    assert wrong_sides([FOUND, replace(left, outcome="lesion")]) == []
    assert wrong_sides([missed, left]) == []
    assert wrong_sides([PLAIN, replace(left, outcome="lesion")]) == []


def test_dice() -> None:
    one, other = np.zeros((2, 4), bool), np.zeros((2, 4), bool)
    assert dice(one, other) == 1
    one[0], other[0, :2] = True, True
    assert dice(one, other) == pytest.approx(2 * 2 / (4 + 2))


def test_truth_on_the_grid_keeps_volume_and_side(tmp_path: Path) -> None:
    phantom = make_study(2, tmp_path / "study", quick=True)
    study = read_study(phantom.folder, Profile.STANDARD)
    slices = max(len(study.needed_slices), 40)
    grid = truth_on_grid(phantom, study, slices)
    assert grid.shape == (slices, 160, 160)
    voxel_mm3 = phantom.scan.pixel_mm**2 * phantom.scan.spacing_mm
    for label, half in (
        (Label.RIGHT_KIDNEY, grid[:, :, :80]),
        (Label.LEFT_KIDNEY, grid[:, :, 80:]),
    ):
        drawn = (phantom.labels == label).sum() * voxel_mm3
        assert drawn > 0
        carried = (half == label).sum() * 2 * 2 * phantom.scan.spacing_mm * study.stride
        assert carried == pytest.approx(drawn, rel=0.05)
