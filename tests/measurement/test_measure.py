"""Measurements, on shapes whose measures are known."""

from dataclasses import replace

import numpy as np
import pytest

from rcc_onnx.dicom import read_study
from rcc_onnx.imaging.images import NetworkImages
from rcc_onnx.imaging.mask_resampling import source_mask
from rcc_onnx.measurement.measure import (
    box_of,
    centre_of,
    longest_diameter,
    mean_kidney_hu,
    parts_of,
    voxels_of,
)
from rcc_onnx.measurement.patient_space import measure_sides, place_in_patient
from rcc_onnx.results import SideFinding
from rcc_onnx.types import Outcome, Profile, Structure, Thresholds
from tests.support.dicom_factory import LAYOUTS, ct_series, write_series
from tests.support.results import kidney_finding
from tests.support.truths import true_analysis, two_kidneys

SHAPE, SPACING = (60, 240, 240), (2.5, 1.25, 1.25)
HU = {
    Structure.RIGHT_KIDNEY: 180,
    Structure.LEFT_KIDNEY: 160,
    Structure.SUSPECTED_LESION: 75,
}
CUTOFF = 0.5
ROUNDED = 0.0006
"""Results hold three decimals."""
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
    patient = place_in_patient(study, analysis, CUTOFF)
    return patient, measure_sides(analysis, patient, Thresholds())


@pytest.fixture(scope="module")
def truth():
    return two_kidneys(SHAPE)


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
def test_volumes_and_hu_whatever_the_layout(tmp_path, truth, layout) -> None:
    patient, sides = measured(tmp_path, truth, layout=layout)
    ml = np.prod(SPACING) / 1000
    for side, label in (("right", Structure.RIGHT_KIDNEY), ("left", Structure.LEFT_KIDNEY)):
        assert sides[side].kidney.measures.volume_ml == pytest.approx(
            (truth == label).sum() * ml, rel=NEAR
        )
        assert sides[side].kidney.measures.mean_hu == pytest.approx(HU[label])
    lesion = sides["right"].lesion_measures
    true_lesion = (truth == Structure.SUSPECTED_LESION).sum() * ml
    assert lesion.volume_ml == pytest.approx(true_lesion, rel=NEAR)
    assert lesion.mean_hu == pytest.approx(HU[Structure.SUSPECTED_LESION])
    assert lesion.parts == 1
    assert not lesion.touches_crop_border
    assert sides["left"].lesion_measures is None
    # The right is at lower x: LPS runs to the left.
    at = np.argwhere(truth == Structure.SUSPECTED_LESION).mean(axis=0)
    expected = patient.placement.to_lps(at)
    np.testing.assert_allclose(lesion.centre_lps_mm, expected, atol=0.7)
    assert lesion.centre_lps_mm[0] < 0


def test_anybody_can_count_the_volumes_again(tmp_path, truth) -> None:
    patient, sides = measured(tmp_path, truth)
    labels = np.stack([patient.label_slice(index) for index in range(SHAPE[0])])
    ml = patient.placement.voxel_mm3 / 1000
    assert sides["right"].kidney.measures.volume_ml == pytest.approx(
        (labels == 1).sum() * ml, abs=ROUNDED
    )
    assert sides["left"].kidney.measures.volume_ml == pytest.approx(
        (labels == 2).sum() * ml, abs=ROUNDED
    )
    assert sides["right"].lesion_measures.volume_ml == pytest.approx(
        (labels == 3).sum() * ml, abs=ROUNDED
    )


@pytest.mark.parametrize("layout", LAYOUTS[::3], ids=str)
def test_diameter_centre_and_box_by_brute_force(tmp_path, truth, layout) -> None:
    patient, sides = measured(tmp_path, truth, layout=layout)
    lesion, placement = sides["right"].lesion_measures, patient.placement
    diameter = lesion.longest_axial_diameter
    labels = np.stack([patient.label_slice(index) for index in range(SHAPE[0])])
    voxels = np.argwhere(labels == Structure.SUSPECTED_LESION)
    longest = 0.0
    for index in np.unique(voxels[:, 0]):
        points = placement.to_lps(voxels[voxels[:, 0] == index].astype(float))
        apart = np.linalg.norm(points[:, None] - points[None], axis=2).max()
        longest = max(longest, apart)
    assert diameter.mm == pytest.approx(longest, abs=ROUNDED)
    one, other = (np.array(end) for end in diameter.ends_lps_mm)
    assert np.linalg.norm(one - other) == pytest.approx(longest, abs=3 * ROUNDED)
    image = placement.images[diameter.slice]
    assert diameter.sop_instance_uid == image.sop_instance_uid
    stored = placement.reorientation.undo(labels[diameter.slice])
    assert all(stored[end] == Structure.SUSPECTED_LESION for end in diameter.ends_row_column)
    np.testing.assert_allclose(
        lesion.centre_lps_mm, placement.to_lps(voxels.mean(axis=0)), atol=ROUNDED
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
    np.testing.assert_allclose(box.lowest_lps_mm, centres.min(axis=0) - half, atol=ROUNDED)
    np.testing.assert_allclose(box.highest_lps_mm, centres.max(axis=0) + half, atol=ROUNDED)
    assert box.sop_instance_uids[0] == placement.images[box.slices[0]].sop_instance_uid


def test_pieces_are_counted_and_the_largest_is_measured(tmp_path, truth) -> None:
    apart = truth.copy()
    far = np.argwhere(truth == Structure.RIGHT_KIDNEY)[-1]
    z, y, x = far - (2, 8, 4)
    apart[z - 2 : z + 2, y - 4 : y, x - 4 : x] = Structure.SUSPECTED_LESION
    _, whole = measured(tmp_path / "a", truth)
    _, pieces = measured(tmp_path / "b", apart)
    assert (whole["right"].lesion_measures.parts, pieces["right"].lesion_measures.parts) == (1, 2)
    assert pieces["right"].lesion_measures.volume_ml > whole["right"].lesion_measures.volume_ml
    assert pieces["right"].lesion_measures.box == whole["right"].lesion_measures.box
    assert (
        pieces["right"].lesion_measures.longest_axial_diameter
        == whole["right"].lesion_measures.longest_axial_diameter
    )


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
    sides = measure_sides(analysis, place_in_patient(study, analysis, CUTOFF), Thresholds())
    assert sides["right"].lesion_measures.touches_crop_border


def test_a_kidney_that_was_not_found_has_no_mask_and_no_measures(tmp_path, truth) -> None:
    study = study_with(tmp_path, truth)
    analysis = true_analysis(study, truth)
    gone = SideFinding(Outcome.KIDNEY_NOT_FOUND, kidney_finding(900.0))
    analysis = replace(analysis, sides={**analysis.sides, "left": gone})
    patient = place_in_patient(study, analysis, CUTOFF)
    left = measure_sides(analysis, patient, Thresholds())["left"]
    assert left == gone
    assert not (patient.labels == Structure.LEFT_KIDNEY).any()
    assert mean_kidney_hu(patient) == pytest.approx(HU[Structure.RIGHT_KIDNEY])


def test_a_kidney_that_was_not_located_is_measured(tmp_path, truth) -> None:
    study = study_with(tmp_path, truth)
    analysis = true_analysis(study, truth)
    left = analysis.sides["left"]
    vague = SideFinding(Outcome.KIDNEY_NOT_LOCATED, replace(left.kidney, centre_zyx=None))
    analysis = replace(analysis, sides={**analysis.sides, "left": vague})
    found = measure_sides(analysis, place_in_patient(study, analysis, CUTOFF), Thresholds())["left"]
    assert found.kidney.measures.mean_hu == pytest.approx(HU[Structure.LEFT_KIDNEY])
    assert (found.lesion, found.sensitivity) == (None, None)


def test_a_lesion_below_the_threshold_has_no_mask(tmp_path, truth) -> None:
    study = study_with(tmp_path, truth)
    analysis = true_analysis(study, truth)
    right = analysis.sides["right"]
    below = replace(right, outcome=Outcome.NO_LESION, lesion=replace(right.lesion, box=None))
    analysis = replace(analysis, sides={**analysis.sides, "right": below})
    patient = place_in_patient(study, analysis, CUTOFF)
    found = measure_sides(analysis, patient, Thresholds(lesion=1e9))["right"]
    assert found.lesion_measures is None
    assert found.sensitivity.lesion_volumes_ml is None
    assert not any((patient.label_slice(index) == 3).any() for index in range(SHAPE[0]))


def test_outcomes_and_volumes_under_other_settings(tmp_path, truth) -> None:
    _, sides = measured(tmp_path, truth)
    sensitivity = sides["right"].sensitivity
    voxels = true_analysis(read_study(tmp_path, Profile.STANDARD), truth).sides["right"].lesion
    assert sensitivity.lesion_thresholds == tuple(
        round(50.0 * factor, 6) for factor in (0.25, 0.5, 0.75, 0.9, 1.0, 1.1, 1.25, 1.5, 2.0, 4.0)
    )
    expected = [voxels.probability_sum > threshold for threshold in sensitivity.lesion_thresholds]
    assert [outcome is Outcome.LESION for outcome in sensitivity.outcomes] == expected
    # Every probability is 0 or 1, so no cut-off changes a volume, and all are near the mask's.
    assert len(set(sensitivity.lesion_volumes_ml)) == len(set(sensitivity.kidney_volumes_ml)) == 1
    assert sensitivity.lesion_volumes_ml[0] == pytest.approx(
        sides["right"].lesion_measures.volume_ml, rel=0.05
    )
    assert sensitivity.kidney_volumes_ml[0] == pytest.approx(
        sides["right"].kidney.measures.volume_ml, rel=0.03
    )


def test_the_notebook_profile_places_nothing(tmp_path, truth) -> None:
    standard = study_with(tmp_path, truth)
    analysis = true_analysis(standard, truth)
    notebook = replace(standard, profile=Profile.NOTEBOOK)
    assert place_in_patient(notebook, analysis, CUTOFF) is None


def test_extents_of_a_single_voxel(tmp_path) -> None:
    truth = two_kidneys(SHAPE, lesion=False)
    patient, _ = measured(tmp_path, truth)
    probability = np.zeros(patient.labels.shape, np.float32)
    place = patient.placement.real_places.start + 3
    probability[place, 80, 60] = 0.5
    mask = source_mask("right", Structure.SUSPECTED_LESION, patient.placement, probability, 0.5)
    voxels = voxels_of(mask)
    assert len(voxels) == 1
    diameter = longest_diameter(patient.placement, voxels)
    assert diameter.mm == 0
    assert box_of(patient.placement, voxels).slices == (6, 6)
    assert centre_of(patient.placement, voxels) == diameter.ends_lps_mm[0]
