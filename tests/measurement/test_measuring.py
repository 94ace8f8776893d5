"""Measurements, on shapes whose measures are known."""

from dataclasses import replace

import numpy as np
import pytest

from rcc_onnx.dicom import read_study
from rcc_onnx.errors import OptionError
from rcc_onnx.imaging.images import NetworkImages
from rcc_onnx.imaging.mask_resampling import source_mask
from rcc_onnx.measurement.measure import (
    box_of,
    centre_of,
    longest_diameter,
    mean_kidney_hu,
    parts_of,
)
from rcc_onnx.measurement.patient_space import measure_sides, place_in_patient
from rcc_onnx.results import KidneyFinding, LesionFinding, MeasuringOptions, SideFinding, margin
from rcc_onnx.types import Outcome, Profile, Structure, Thresholds
from tests.support.dicom_factory import LAYOUTS, ct_series, write_series
from tests.support.truths import true_analysis, two_kidneys

SHAPE, SPACING = (60, 240, 240), (2.5, 1.25, 1.25)
HU = {
    Structure.RIGHT_KIDNEY: 180,
    Structure.LEFT_KIDNEY: 160,
    Structure.SUSPECTED_LESION: 75,
}
OPTIONS = MeasuringOptions()
NEAR = 0.05
"""Relative. Between a pixel of 1 and one of 0 the outline is in the middle, and pixels there are
inside: with pixels of 1.25 mm that makes the smaller kidney 3 % larger."""


def study_with(tmp_path, labels, layout=None, hu=None):
    values = np.full(labels.shape, -1000, np.int16)
    values[:, 15:-15, 15:-15] = -100
    values[:, 25:-25, 25:-25] = 40
    for label, value in (hu or HU).items():
        values[labels == label] = value
    folder = write_series(tmp_path, ct_series(values, SPACING, layout))
    return read_study(folder, Profile.STANDARD)


def measured(tmp_path, labels, **kwargs):
    study = study_with(tmp_path, labels, **kwargs)
    analysis = true_analysis(study, labels)
    patient = place_in_patient(study, analysis, OPTIONS)
    return patient, measure_sides(analysis, patient, Thresholds())


@pytest.fixture(scope="module")
def truth():
    return two_kidneys(SHAPE)


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
def test_volumes_and_hu_whatever_the_layout(tmp_path, truth, layout) -> None:
    patient, sides = measured(tmp_path, truth, layout=layout)
    ml = np.prod(SPACING) / 1000
    for side, label in (("right", Structure.RIGHT_KIDNEY), ("left", Structure.LEFT_KIDNEY)):
        assert sides[side].kidney.volume_ml == pytest.approx((truth == label).sum() * ml, rel=NEAR)
        assert sides[side].kidney.mean_hu == pytest.approx(HU[label])
    lesion = sides["right"].lesion
    true_lesion = (truth == Structure.SUSPECTED_LESION).sum() * ml
    assert lesion.volume_ml == pytest.approx(true_lesion, rel=NEAR)
    assert lesion.mean_hu == pytest.approx(HU[Structure.SUSPECTED_LESION])
    assert lesion.parts == 1
    assert not lesion.touches_crop_border
    assert sides["left"].lesion is None
    # The right is at lower x: LPS runs to the left.
    at = np.argwhere(truth == Structure.SUSPECTED_LESION).mean(axis=0)
    expected = patient.placement.to_lps(at)
    np.testing.assert_allclose(lesion.centre_lps_mm, expected, atol=0.7)
    assert lesion.centre_lps_mm[0] < 0


def test_anybody_can_count_the_volumes_again(tmp_path, truth) -> None:
    patient, sides = measured(tmp_path, truth)
    labels = np.stack([patient.label_slice(index) for index in range(SHAPE[0])])
    ml = patient.placement.voxel_mm3 / 1000
    assert sides["right"].kidney.volume_ml == pytest.approx((labels == 1).sum() * ml)
    assert sides["left"].kidney.volume_ml == pytest.approx((labels == 2).sum() * ml)
    assert sides["right"].lesion.volume_ml == pytest.approx((labels == 3).sum() * ml)


@pytest.mark.parametrize("layout", LAYOUTS[::3], ids=str)
def test_diameter_centre_and_box_by_brute_force(tmp_path, truth, layout) -> None:
    patient, sides = measured(tmp_path, truth, layout=layout)
    lesion, placement = sides["right"].lesion, patient.placement
    labels = np.stack([patient.label_slice(index) for index in range(SHAPE[0])])
    voxels = np.argwhere(labels == Structure.SUSPECTED_LESION)
    longest = 0.0
    for index in np.unique(voxels[:, 0]):
        points = placement.to_lps(voxels[voxels[:, 0] == index].astype(float))
        apart = np.linalg.norm(points[:, None] - points[None], axis=2).max()
        longest = max(longest, apart)
    assert lesion.longest_axial_diameter.mm == pytest.approx(longest)
    one, other = (np.array(end) for end in lesion.diameter.ends_lps_mm)
    assert np.linalg.norm(one - other) == pytest.approx(longest)
    image = placement.images[lesion.diameter.slice]
    assert lesion.diameter.sop_instance_uid == image.sop_instance_uid
    stored = placement.reorientation.undo(labels[lesion.diameter.slice])
    assert all(stored[end] == Structure.SUSPECTED_LESION for end in lesion.diameter.ends_file)
    np.testing.assert_allclose(
        lesion.centre_lps_mm, placement.to_lps(voxels.mean(axis=0)), atol=1e-9
    )
    box = lesion.box
    assert box.slices == (voxels[:, 0].min(), voxels[:, 0].max())
    in_file = np.argwhere(
        np.stack([placement.reorientation.undo(one) for one in labels])
        == Structure.SUSPECTED_LESION
    )
    assert box.rows == (in_file[:, 1].min(), in_file[:, 1].max())
    assert box.columns == (in_file[:, 2].min(), in_file[:, 2].max())
    centres = placement.to_lps(voxels.astype(float))
    half = np.array([SPACING[2], SPACING[1], SPACING[0]]) / 2
    np.testing.assert_allclose(box.lowest_lps_mm, centres.min(axis=0) - half, atol=1e-6)
    np.testing.assert_allclose(box.highest_lps_mm, centres.max(axis=0) + half, atol=1e-6)
    assert box.sop_instance_uids[0] == placement.images[box.slices[0]].sop_instance_uid


def test_pieces_are_counted_and_the_largest_is_measured(tmp_path, truth) -> None:
    apart = truth.copy()
    far = np.argwhere(truth == Structure.RIGHT_KIDNEY)[-1]
    z, y, x = far - (2, 8, 4)
    apart[z - 2 : z + 2, y - 4 : y, x - 4 : x] = Structure.SUSPECTED_LESION
    _, whole = measured(tmp_path / "a", truth)
    _, pieces = measured(tmp_path / "b", apart)
    assert (whole["right"].lesion.parts, pieces["right"].lesion.parts) == (1, 2)
    assert pieces["right"].lesion.volume_ml > whole["right"].lesion.volume_ml
    assert pieces["right"].lesion.box == whole["right"].lesion.box
    assert pieces["right"].lesion.diameter == whole["right"].lesion.diameter


def test_parts_share_no_face() -> None:
    mask = np.zeros((4, 5, 5), bool)
    mask[0, 0, 0] = mask[1, 1, 1] = True  # touch at a corner
    mask[2:4, 3, 3] = mask[3, 3, 4] = True
    parts = parts_of(mask)
    assert [int(part.sum()) for part in parts] == [3, 1, 1]
    np.testing.assert_array_equal(np.any(parts, axis=0), mask)
    assert parts[1][0, 0, 0]
    assert parts_of(np.zeros((2, 2, 2), bool)) == []


def test_a_lesion_at_the_crops_border_is_said(tmp_path, truth) -> None:
    study = study_with(tmp_path, truth)
    analysis = true_analysis(study, truth)
    crop = analysis.images.crops["right"]
    touching = crop.probability.copy()
    touching[20, 30, 0] = 1
    images = NetworkImages(
        analysis.images.kidney_probability,
        {**analysis.images.crops, "right": replace(crop, probability=touching)},
    )
    analysis = replace(analysis, images=images)
    sides = measure_sides(analysis, place_in_patient(study, analysis, OPTIONS), Thresholds())
    assert sides["right"].lesion.touches_crop_border


def test_a_kidney_that_was_not_found_has_no_mask_and_no_measures(tmp_path, truth) -> None:
    study = study_with(tmp_path, truth)
    analysis = true_analysis(study, truth)
    gone = SideFinding(Outcome.KIDNEY_NOT_FOUND, KidneyFinding(900.0, None))
    analysis = replace(analysis, sides={**analysis.sides, "left": gone})
    patient = place_in_patient(study, analysis, OPTIONS)
    left = measure_sides(analysis, patient, Thresholds())["left"]
    assert (left.kidney, left.lesion, left.sensitivity) == (None, None, None)
    assert not (patient.labels == Structure.LEFT_KIDNEY).any()
    assert mean_kidney_hu(patient) == pytest.approx(HU[Structure.RIGHT_KIDNEY])


def test_a_lesion_below_the_threshold_has_no_mask(tmp_path, truth) -> None:
    study = study_with(tmp_path, truth)
    analysis = true_analysis(study, truth)
    right = analysis.sides["right"]
    below = SideFinding(
        Outcome.NO_LESION, right.kidney, LesionFinding(right.lesion.probability_sum, None)
    )
    analysis = replace(analysis, sides={**analysis.sides, "right": below})
    patient = place_in_patient(study, analysis, OPTIONS)
    found = measure_sides(analysis, patient, Thresholds(lesion=1e9))["right"]
    assert found.lesion is None
    assert found.sensitivity.lesion_volumes_ml is None
    assert not any((patient.label_slice(index) == 3).any() for index in range(SHAPE[0]))


def test_what_other_settings_would_have_said(tmp_path, truth) -> None:
    _, sides = measured(tmp_path, truth)
    strip = sides["right"].sensitivity
    voxels = true_analysis(read_study(tmp_path, Profile.STANDARD), truth).sides["right"].lesion
    assert strip.thresholds == tuple(
        round(50.0 * factor, 6) for factor in (0.25, 0.5, 0.75, 0.9, 1.0, 1.1, 1.25, 1.5, 2.0, 4.0)
    )
    expected = [voxels.probability_sum > one for one in strip.thresholds]
    assert [outcome is Outcome.LESION for outcome in strip.outcomes] == expected
    # Every probability is 0 or 1, so no cut-off changes a volume, and all are near the mask's.
    assert len(set(strip.lesion_volumes_ml)) == len(set(strip.kidney_volumes_ml)) == 1
    assert strip.lesion_volumes_ml[0] == pytest.approx(sides["right"].lesion.volume_ml, rel=0.05)
    assert strip.kidney_volumes_ml[0] == pytest.approx(sides["right"].kidney.volume_ml, rel=0.03)


def test_the_notebook_profile_places_nothing(tmp_path, truth) -> None:
    standard = study_with(tmp_path, truth)
    analysis = true_analysis(standard, truth)
    notebook = replace(standard, profile=Profile.NOTEBOOK)
    assert place_in_patient(notebook, analysis, OPTIONS) is None


@pytest.mark.parametrize(
    ("found", "borderline", "relative"),
    [(45.0, True, -0.1), (44.9, False, -0.102), (55.0, True, 0.1), (55.1, False, 0.102)],
)
def test_borderline_is_within_a_tenth_of_the_threshold(found, borderline, relative) -> None:
    told = margin(found, 50.0, OPTIONS)
    assert told.borderline is borderline
    assert told.absolute == pytest.approx(found - 50)
    assert told.relative == pytest.approx(relative)


def test_a_threshold_of_zero_has_no_relative_margin() -> None:
    assert margin(3.0, 0.0, OPTIONS).relative is None
    assert not margin(3.0, 0.0, OPTIONS).borderline


@pytest.mark.parametrize(
    "changes",
    [
        {"mask_cutoff": 0.0},
        {"mask_cutoff": 1.1},
        {"mask_cutoff": float("nan")},
        {"borderline": -0.1},
        {"borderline": float("inf")},
    ],
)
def test_impossible_options_are_refused(changes) -> None:
    with pytest.raises(OptionError):
        MeasuringOptions(**changes)


def test_extents_of_a_single_voxel(tmp_path) -> None:
    truth = two_kidneys(SHAPE, lesion=False)
    patient, _ = measured(tmp_path, truth)
    probability = np.zeros(patient.labels.shape, np.float32)
    place = patient.placement.real_places.start + 3
    probability[place, 80, 60] = 0.5
    mask = source_mask("right", Structure.SUSPECTED_LESION, patient.placement, probability, 0.5)
    assert longest_diameter(mask).length_mm == 0
    assert box_of(mask).slices == (6, 6)
    assert centre_of(mask) == longest_diameter(mask).ends_lps_mm[0]
