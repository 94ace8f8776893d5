"""Masks compared: files in any order and kind, places, Dice, distances, and every refusal."""

from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from scipy.ndimage import binary_erosion, distance_transform_edt

from rcc_onnx.evaluate.mask_files import (
    Mask,
    parse_mapping,
)
from rcc_onnx.evaluate.masks import (
    Average,
    MaskResults,
    compare_masks,
    dice,
    resample,
    surface_distances,
)
from tests.support.errors import raises_code
from tests.support.mask_files import (
    AFFINE,
    coded_segments,
    in_order,
    kidneys,
    seg_affine,
    source_slices,
    write_nifti,
    write_seg,
)

ORDERS = [
    "".join(letters)
    for axes in (("RL", "AP", "SI"), ("SI", "RL", "AP"), ("AP", "RL", "SI"))
    for letters in product(*axes)
]
BITS = arrays(np.bool_, st.tuples(*[st.integers(1, 6)] * 3))


def compare(folder: Path, *cases: str, mapping: str | None = None) -> MaskResults:
    """Compare folder/out with folder/reference."""
    values = None if mapping is None else parse_mapping(mapping)
    return compare_masks(cases or ("a",), folder / "out", folder / "reference", values)


def by_structure(results: MaskResults) -> dict[str, float | None]:
    return {found.structure: found.dice for found in results.cases}


# --- Dice and distances ---


@settings(deadline=None)
@given(st.data(), st.tuples(*[st.floats(0.5, 5)] * 3))
def test_distances_are_those_of_a_distance_map(
    data: st.DataObject, spacing: tuple[float, float, float]
) -> None:
    first = data.draw(BITS)
    other = data.draw(arrays(np.bool_, first.shape))
    found = surface_distances(first, other, np.diag([*spacing, 1.0]))
    if not first.any() or not other.any():
        assert found is None
        return
    ours, theirs = (mask & ~binary_erosion(mask) for mask in (first, other))
    there = distance_transform_edt(~theirs, sampling=spacing)[ours]
    back = distance_transform_edt(~ours, sampling=spacing)[theirs]
    assert found is not None
    assert found[0] == pytest.approx(np.concatenate([there, back]).mean(), abs=1e-6)
    expected = max(np.percentile(there, 95), np.percentile(back, 95))
    assert found[1] == pytest.approx(expected, abs=1e-6)


def test_dice_by_hand() -> None:
    mask = np.array([[[1, 1, 0, 0]]], bool)
    assert dice(mask, np.array([[[0, 1, 1, 1]]], bool)) == pytest.approx(2 / 5)
    assert dice(mask, ~mask) == 0
    assert dice(mask, mask) == 1
    assert dice(mask & ~mask, mask & ~mask) is None


# --- Onto the grid ---


@pytest.mark.parametrize("order", ORDERS)
def test_another_order_of_voxels_is_the_same_mask(order: str) -> None:
    moved = Mask(*in_order(kidneys(), AFFINE, order))
    np.testing.assert_array_equal(resample(moved, Mask(kidneys(), AFFINE)), kidneys())


def test_another_spacing_takes_the_nearest_voxel() -> None:
    coarse = Mask(kidneys(), AFFINE)
    fine_affine = AFFINE @ np.diag([0.5, 0.5, 0.25, 1])
    # Centres of the first fine voxels lie half a fine voxel into the coarse one.
    fine_affine[:3, 3] = (AFFINE @ [-0.25, -0.25, -0.375, 1])[:3]
    repeated = kidneys().repeat(2, 0).repeat(2, 1).repeat(4, 2)
    fine = Mask(repeated, fine_affine)
    np.testing.assert_array_equal(resample(coarse, fine), repeated)
    np.testing.assert_array_equal(resample(fine, coarse), kidneys())


def shifted(x_mm: float = 0, y_mm: float = 0, z_mm: float = 0) -> NDArray[np.float64]:
    moved = AFFINE.copy()
    moved[:3, 3] += (x_mm, y_mm, z_mm)
    return moved


@pytest.mark.parametrize(
    ("reference", "text"),
    [
        (Mask(kidneys(), shifted(z_mm=400)), "share 0% of the smaller grid"),
        (Mask(kidneys(), shifted(x_mm=-20)), "share 7[0-9]% of the smaller grid"),
        # The letters of right and left, front and back mixed up, in a volume off the centre.
        (Mask(kidneys(), np.diag([-1.0, -1, 1, 1]) @ shifted(50)), "are not of one series"),
        (Mask(kidneys()[:, :, :8], AFFINE), "predicted mask marks is outside"),
        (replace(Mask(kidneys(), AFFINE), frame_uid="1.2"), "Frame of Reference"),
    ],
)
def test_masks_of_another_place_are_refused(reference: Mask, text: str) -> None:
    target = replace(Mask(kidneys(), AFFINE), frame_uid="1.3")
    with raises_code("mask-place", match=text):
        resample(reference, target)


def test_a_reference_that_reaches_out_of_the_series_is_refused() -> None:
    target = Mask(kidneys()[:, :, :12] * 0, AFFINE)
    with raises_code("mask-place", match="42% of what the reference mask marks is outside"):
        resample(Mask(kidneys(), AFFINE), target)


# --- Files ---


def test_masks_as_infer_writes_them(tmp_path: Path) -> None:
    write_nifti(tmp_path / "out" / "a_mask.nii.gz", kidneys())
    write_nifti(tmp_path / "reference" / "a.nii.gz", *in_order(kidneys(), AFFINE, "PIR"))
    results = compare(tmp_path)
    assert results.compared == ("a",)
    names = ("right kidney", "left kidney", "suspected lesion", "kidneys with lesion")
    assert by_structure(results) == dict.fromkeys(names, 1.0)
    assert all((found.hausdorff_95_mm or 0) < 1e-5 for found in results.cases)
    assert results.cases[0].reference_ml == pytest.approx(12 * 15 * 12 * 11.25 / 1000)


def test_a_shifted_mask_by_hand(tmp_path: Path) -> None:
    write_nifti(tmp_path / "out" / "a_mask.nii.gz", kidneys(shift=3))
    write_nifti(tmp_path / "reference" / "a.nii", kidneys())
    results = compare(tmp_path)
    found = by_structure(results)
    # 12 voxels wide, 9 of them shared; the lesion 6 and 3.
    assert found["right kidney"] == pytest.approx(9 / 12)
    assert found["suspected lesion"] == pytest.approx(3 / 6)
    right = results.cases[0]
    # The ends are 3 voxels of 1.5 mm apart, the long sides mostly on one another.
    assert right.hausdorff_95_mm == pytest.approx(4.5)
    assert right.mean_mm is not None
    assert 0 < right.mean_mm < 4.5


def test_missing_predictions_and_references_are_listed(tmp_path: Path) -> None:
    for case in ("a", "b"):
        write_nifti(tmp_path / "out" / f"{case}_mask.nii.gz", kidneys())
    write_nifti(tmp_path / "reference" / "a.nii.gz", kidneys())
    write_nifti(tmp_path / "reference" / "c.nii.gz", kidneys())
    results = compare(tmp_path, "a", "b", "c", "d")
    assert results.compared == ("a",)
    assert results.without_reference == ("b",)
    assert results.without_prediction == ("c", "d")


def test_no_pair_at_all(tmp_path: Path) -> None:
    with raises_code("masks-missing", match="is not a folder"):
        compare(tmp_path)
    (tmp_path / "reference").mkdir()
    with raises_code("masks-missing", match=r"holds no predicted mask.*--save nifti"):
        compare(tmp_path)
    write_nifti(tmp_path / "out" / "a_mask.nii.gz", kidneys())
    with raises_code("masks-missing", match=r"holds no reference mask.*a\.nii\.gz"):
        compare(tmp_path)


def test_structures_that_one_mask_lacks(tmp_path: Path) -> None:
    without = np.where(kidneys() == 3, 2, kidneys())
    for case, ours, theirs in (
        ("both", kidneys(), kidneys()),
        ("missed", without, kidneys()),
        ("extra", kidneys(), without),
        ("neither", without, without),
    ):
        write_nifti(tmp_path / "out" / f"{case}_mask.nii.gz", ours.astype(np.uint8))
        write_nifti(tmp_path / "reference" / f"{case}.nii.gz", theirs.astype(np.uint8))
    results = compare(tmp_path, "both", "missed", "extra", "neither")
    (lesion,) = [part for part in results.structures if part.structure == "suspected lesion"]
    assert (lesion.cases, lesion.missed, lesion.only_predicted) == (2, 1, 1)
    assert lesion.dice == Average(2, 0.5, 0.5)
    assert lesion.mean_mm == Average(1, 0.0, 0.0)
    found = {part.case: part for part in results.cases if part.structure == "suspected lesion"}
    assert found["neither"].dice is None
    assert found["missed"].mean_mm is None


def test_swapped_sides_are_reported(tmp_path: Path) -> None:
    swapped = np.array([0, 2, 1, 3], np.uint8)[kidneys()]
    for case, mask in (("a", swapped), ("b", kidneys())):
        write_nifti(tmp_path / "out" / f"{case}_mask.nii.gz", kidneys())
        write_nifti(tmp_path / "reference" / f"{case}.nii.gz", mask)
    assert compare(tmp_path, "a", "b").sides_look_swapped == ("a",)


def test_two_references_of_one_case(tmp_path: Path) -> None:
    write_nifti(tmp_path / "out" / "a_mask.nii.gz", kidneys())
    for name in ("a.nii", "a.nii.gz"):
        write_nifti(tmp_path / "reference" / name, kidneys())
    (refused,) = compare(tmp_path).refused
    assert "2 reference masks, a.nii.gz, a.nii; keep one" in refused.reason


def test_a_bad_mask_is_refused_by_its_name_and_does_not_stop_the_others(tmp_path: Path) -> None:
    for case, factor in (("a", 50), ("b", 1)):
        write_nifti(tmp_path / "out" / f"{case}_mask.nii.gz", kidneys() * np.uint8(factor))
        write_nifti(tmp_path / "reference" / f"{case}.nii.gz", kidneys())
    results = compare(tmp_path, "a", "b")
    assert results.compared == ("b",)
    (refused,) = results.refused
    assert (refused.case, refused.code) == ("a", "mask-labels")
    assert refused.reason.startswith("a_mask.nii.gz: it holds the value 50, 100, 150")


def test_without_sides_both_kidneys_are_one_structure(tmp_path: Path) -> None:
    write_nifti(tmp_path / "out" / "a_mask.nii.gz", kidneys())
    write_nifti(tmp_path / "reference" / "a.nii.gz", kidneys())
    results = compare(tmp_path, mapping="1=kidney,2=kidney,3=lesion")
    names = ("kidneys", "suspected lesion", "kidneys with lesion")
    assert by_structure(results) == dict.fromkeys(names, 1.0)


# --- DICOM SEG ---


def test_a_seg_against_nifti_and_back(tmp_path: Path) -> None:
    slices = source_slices()
    affine = seg_affine(slices)
    write_nifti(tmp_path / "out" / "a_mask.nii.gz", kidneys(shift=3), affine)
    write_seg(tmp_path / "reference" / "a.dcm", slices, coded_segments(kidneys()))
    there = compare(tmp_path)
    assert by_structure(there)["right kidney"] == pytest.approx(9 / 12)
    back = tmp_path / "back"
    write_seg(back / "out" / "a_seg.dcm", slices, coded_segments(kidneys(shift=3)))
    write_nifti(back / "reference" / "a.nii.gz", kidneys(), affine)
    assert by_structure(compare(back)) == by_structure(there)


@pytest.mark.parametrize("left_out", [slice(11, None), slice(None, 11)])
def test_slices_that_a_predicted_seg_left_out_are_background(
    tmp_path: Path, left_out: slice
) -> None:
    slices = source_slices()
    half = kidneys()
    half[:, :, left_out] = 0
    write_seg(tmp_path / "out" / "a_seg.dcm", slices, coded_segments(half))
    write_nifti(tmp_path / "reference" / "a.nii.gz", kidneys(), seg_affine(slices))
    found = compare(tmp_path)
    assert by_structure(found)["right kidney"] == pytest.approx(2 * 6 / (6 + 12))
    assert found.cases[0].reference_ml == pytest.approx(12 * 15 * 12 * 11.25 / 1000)


def test_a_reference_far_from_a_predicted_seg_is_refused(tmp_path: Path) -> None:
    slices = source_slices()
    write_seg(tmp_path / "out" / "a_seg.dcm", slices, coded_segments(kidneys()))
    affine = seg_affine(slices)
    affine[2, 3] += 900
    write_nifti(tmp_path / "reference" / "a.nii.gz", kidneys(), affine)
    (refused,) = compare(tmp_path).refused
    assert refused.code == "mask-place"
    assert "more than 500 mm away" in refused.reason
