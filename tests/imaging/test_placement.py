"""The network volume in the series, and the way back."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from rcc_onnx.dicom import read_study
from rcc_onnx.imaging.placement import Reorientation, axis_map, pixels_between, resized_length
from rcc_onnx.measurement.patient_space import placement_of
from rcc_onnx.types import Profile
from tests.support.dicom_factory import LAYOUTS, body_volume, ct_series, write_series
from tests.support.placements import make_placement, on_grid


@settings(max_examples=30, deadline=None)
@given(
    st.integers(3, 60),
    st.integers(60, 600),
    st.floats(0.3, 1.99),
    st.integers(1, 5),
    st.integers(0, 2**32),
)
def test_resampled_to_the_series_and_back_a_volume_is_the_same(
    slices, size, mm, stride, seed
) -> None:
    placed = make_placement(slices, (size, size + 7), mm, stride)
    volume = np.random.default_rng(seed).random((placed.depth, 160, 160), np.float32)
    carried = np.stack([placed.resample_slice(volume, index) for index in range(slices)])
    shown = on_grid(placed, np.ones(placed.shape_zyx, bool))
    np.testing.assert_array_equal(on_grid(placed, carried), np.where(shown, volume, 0))
    assert shown[placed.real_places].any()
    assert not shown[: placed.real_places.start].any()
    assert not shown[placed.real_places.stop :].any()


def test_between_two_voxels_values_are_between() -> None:
    placed = make_placement(5, (320, 320), 1.0, stride=2)
    volume = np.zeros((placed.depth, 160, 160), np.float32)
    start = placed.real_places.start
    volume[start], volume[start + 1], volume[start + 2] = 0.0, 1.0, 3.0
    middle = [float(placed.resample_slice(volume, index)[160, 160]) for index in range(5)]
    assert middle == [0.0, 0.5, 1.0, 2.0, 3.0]


def test_slices_behind_the_last_analysed_one_have_its_place() -> None:
    placed = make_placement(9, stride=4)
    z = placed.between[0]
    np.testing.assert_array_equal(z.low[8:] - placed.padding_before, [2])
    placed = make_placement(12, stride=4)
    z = placed.between[0]
    np.testing.assert_array_equal(z.low[8:] - placed.padding_before, [2, 2, 2, 2])
    np.testing.assert_array_equal(z.weight[8:], 0)


def test_pixels_beyond_the_grid_are_not_reached() -> None:
    # 512 pixels of 1 mm: the grid shows 320 of them.
    between = pixels_between(axis_map(512, 256), 512)
    reached = np.flatnonzero(between.reached)
    assert (reached[0], reached[-1]) == (96, 416)
    assert between.low[97] == 0
    assert between.low[415] == 159
    # A small image has a border of nothing on the grid.
    between = pixels_between(axis_map(100, 50), 100)
    assert between.reached.all()
    assert (between.low[1], between.low[99]) == (55, 104)


def test_pixels_larger_than_those_of_the_grid_have_one_place_each() -> None:
    between = pixels_between(axis_map(60, 90), 60)
    assert between.reached.all()
    assert len(set(between.low.tolist())) == 60
    np.testing.assert_array_equal(between.weight, 0)


def test_volumes_of_voxels() -> None:
    placed = make_placement(48, (512, 512), 0.8, stride=2)
    assert placed.voxel_mm3 == pytest.approx(0.8 * 0.8 * 2.5)
    assert placed.spacing_zyx_mm == pytest.approx((2.5, 0.8, 0.8))
    # 2 mm, but for the rounding of 204.8 pixels to 204.
    assert placed.network_voxel_mm3 == pytest.approx(2 * 2 * 5, rel=0.01)


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
def test_turned_pixels_and_the_files_pixels_are_the_same(tmp_path, layout) -> None:
    hu = body_volume((6, 70, 80), 3)
    study = read_study(
        write_series(tmp_path, ct_series(hu, (5.0, 2.0, 1.5), layout)), Profile.STANDARD
    )
    placed = placement_of(study, 17, 40)
    files = [item.dataset() for item in study.slices]
    index, row, column = 2, 11, 23
    (file_row, _), (file_column, _) = placed.file_pixels((row, row), (column, column))
    stored = layout.store(hu[index])
    assert stored[file_row, file_column] == hu[index, row, column]
    np.testing.assert_array_equal(placed.reorientation.undo(hu[index]), stored)
    np.testing.assert_array_equal(
        placed.reorientation.apply(placed.reorientation.undo(hu[index])), hu[index]
    )
    # The position by the canonical volume's affine is the one by the file's own attributes.
    header = files[index]
    cosines = np.array(header.ImageOrientationPatient, float)
    by_file = (
        np.array(header.ImagePositionPatient, float)
        + cosines[:3] * float(header.PixelSpacing[1]) * file_column
        + cosines[3:] * float(header.PixelSpacing[0]) * file_row
    )
    np.testing.assert_allclose(placed.to_lps(np.array([index, row, column])), by_file, atol=1e-6)
    assert placed.images[index].sop_instance_uid == header.SOPInstanceUID
    spans = placed.file_pixels((3, 9), (20, 31))
    assert all(first < last for first, last in spans)


def resized_to_grid(image, resized):
    """One image through Pillow and then crop or pad, as on the pipeline page."""
    rows, columns = resized
    picked = np.asarray(Image.fromarray(image).resize((columns, rows), Image.Resampling.NEAREST))
    grid = np.zeros((160, 160), image.dtype)
    for axis, n in enumerate(resized):
        if n > 160:
            start = int((n - 160) / 2)
            picked = np.take(picked, range(start, start + 160), axis=axis)
    top, left = (max(int((160 - n) / 2), 0) for n in resized)
    grid[top : top + picked.shape[0], left : left + picked.shape[1]] = picked
    return grid


def gathered(image, resized):
    rows, columns = (axis_map(size, n) for size, n in zip(image.shape, resized, strict=True))
    grid = np.zeros((160, 160), image.dtype)
    grid[rows.places, columns.places] = image[np.ix_(rows.sources, columns.sources)]
    return grid


@pytest.mark.parametrize("n", range(100, 257))
def test_the_map_equals_pillow_for_512(n):
    image = np.random.default_rng(n).integers(0, 256, (512, 512), dtype=np.uint8)
    np.testing.assert_array_equal(gathered(image, (n, n)), resized_to_grid(image, (n, n)))


@given(
    st.tuples(st.integers(1, 300), st.integers(1, 300)),
    st.tuples(st.integers(1, 400), st.integers(1, 400)),
)
def test_any_matrix_and_length_each_axis_by_itself(shape, resized):
    image = np.random.default_rng(shape[0]).integers(0, 256, shape, dtype=np.uint8)
    np.testing.assert_array_equal(gathered(image, resized), resized_to_grid(image, resized))


def test_closed_form_is_not_pillow():
    """The reason for asking Pillow: the obvious formula picks other pixels for some lengths."""
    differs = [
        n
        for n in range(161, 257)
        if (
            axis_map(512, n).sources
            != np.floor((np.arange(n) + 0.5) * 512 / n)[(n - 160) // 2 :][:160]
        ).any()
    ]
    assert differs


@pytest.mark.parametrize(
    ("size", "spacing", "length"),
    [(512, 0.625, 160), (512, 0.7, 179), (512, 0.703125, 180), (652, 0.8, 260), (512, 0.55, 140)],
)
def test_resized_length_is_rounded_down(size, spacing, length):
    assert resized_length(size, spacing) == length


@given(st.floats(0.1, 4.0))
def test_the_length_of_512_is_that_of_the_notebook(spacing):
    assert resized_length(512, spacing) == int(256 * spacing)


def test_map_is_shared_and_so_read_only():
    assert not axis_map(512, 180).sources.flags.writeable


def test_file_pixels_lead_to_the_file_and_canonical_pixels_back() -> None:
    rows, columns, shape = (3, 11), (20, 31), (50, 70)
    for reorientation in (Reorientation(t, r, c) for t in (0, 1) for r in (0, 1) for c in (0, 1)):
        canonical = np.zeros(shape)
        canonical[rows[0] : rows[1] + 1, columns[0] : columns[1] + 1] = 1
        placement = replace(make_placement(shape_yx=shape), reorientation=reorientation)
        found = placement.file_pixels(rows, columns)
        in_file = np.nonzero(reorientation.undo(canonical))
        assert found == tuple((axis.min(), axis.max()) for axis in in_file)
        assert placement.canonical_pixels(*found) == (rows, columns)
