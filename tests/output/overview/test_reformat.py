"""Cuts through a patient: each as radiologists look at it, in its true proportions."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rcc_onnx.output.overview.reformat import (
    Spot,
    axial_plane,
    coronal_plane,
    sagittal_plane,
    windowed,
    zyx_of,
)
from rcc_onnx.results import AnalysedCase
from rcc_onnx.types import Structure
from tests.support.dicom_factory import LAYOUTS
from tests.support.pictures import extent
from tests.support.positioned_cases import SHAPE, SPACING, placed_case
from tests.support.truths import two_kidneys


def spot_of(result: AnalysedCase) -> Spot:
    lesion = result.sides["right"].lesion_measures
    zyx = zyx_of(np.array(lesion.centre_lps_mm), result.placed.placement)
    return Spot(tuple(zyx), lesion.longest_axial_diameter.slice, lesion)


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
def test_planes_and_marks_lie_where_the_patient_lies(tmp_path: Path, layout) -> None:
    result = placed_case(tmp_path, layout=layout)
    patient, spot = result.placed, spot_of(result)
    axial = axial_plane(patient, replace(spot, axial=3))
    depth, rows, columns = SHAPE
    bar = axial.values == 255
    assert bar[rows // 5 : rows // 4, columns // 10 : columns // 4].all()
    assert bar.sum() == (rows // 4 - rows // 5) * (columns // 4 - columns // 10)
    assert axial.letters == ("R", "L", "A", "P")
    # The bar is at the head, at the patient's right, in front.
    at_bar = replace(spot, zyx=(3.0, rows * 0.225, columns * 0.15))
    coronal, sagittal = coronal_plane(patient, at_bar), sagittal_plane(patient, at_bar)
    assert (coronal.letters, sagittal.letters) == (("R", "L", "H", "F"), ("A", "P", "H", "F"))
    for plane in (coronal, sagittal):
        top, bottom, left, right = extent(plane.values == 255)
        assert (top, bottom) == (0, depth // 2 - 1)
        assert (left + right) / 2 < plane.values.shape[1] / 3
        # Millimetres of the grid are those of the series.
        assert plane.mm_yx == pytest.approx((SPACING[0], 2), rel=0.02)
    assert axial.mm_yx == SPACING[1:]
    check_marks(result)


def check_marks(result: AnalysedCase) -> None:
    plane = axial_plane(result.placed, spot_of(result))
    lesion = plane.labels == Structure.SUSPECTED_LESION
    top, bottom, left, right = extent(lesion)
    box = plane.box
    # The box is that of all slices, so this slice lies in it.
    assert box[0] <= top <= bottom < box[1]
    assert box[2] <= left <= right < box[3]
    assert (box[1] - box[0], box[3] - box[2]) == pytest.approx(
        (bottom + 1 - top, right + 1 - left), abs=4
    )
    for row, column in plane.line:
        assert lesion[int(row), int(column)]
    ends = np.array(plane.line) * plane.mm_yx
    diameter = result.sides["right"].lesion_measures.longest_axial_diameter
    assert np.hypot(*(ends[0] - ends[1])) == pytest.approx(diameter.mm, abs=0.001)


@pytest.mark.parametrize(
    ("spacing", "shape"), [((10.0, 3.1, 0.9), (22, 100, 300)), ((0.5, 3.0, 3.0), (250, 90, 100))]
)
def test_thick_slices_large_and_odd_pixels(tmp_path: Path, spacing, shape) -> None:
    result = placed_case(tmp_path, labels=two_kidneys(shape), spacing=spacing)
    plane = coronal_plane(result.placed, spot_of(result))
    kidney = extent(plane.labels > 0)
    height = (kidney[1] + 1 - kidney[0]) * plane.mm_yx[0]
    assert height == pytest.approx(0.56 * shape[0] * spacing[0], abs=2 * plane.mm_yx[0])


def test_the_window_is_that_of_the_networks() -> None:
    hu = np.array([np.nan, -2000, -160, 40, 240, 3000])
    assert windowed(hu).tolist() == [0, 0, 0, 127, 255, 255]
