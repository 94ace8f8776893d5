"""Masks at the source voxels."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import distance_transform_edt

from rcc_onnx.imaging.mask_resampling import REACH, depth_inside, distance_to, source_mask
from rcc_onnx.types import Structure
from tests.support.placements import make_placement, on_grid
from tests.support.truths import dice


def whole(mask) -> np.ndarray:
    found = np.zeros(mask.placement.shape_zyx, bool)
    for index, part in mask.slices():
        found[index][part.where] = part.mask
    return found


@pytest.mark.parametrize("seed", range(4))
def test_distances_are_those_of_scipy(seed: int) -> None:
    rng = np.random.default_rng(seed)
    mask = rng.random((3, 40, 33)) < (0.001, 0.01, 0.2, 0.9)[seed]
    expected = [
        np.minimum(distance_transform_edt(~item), REACH)
        if item.any()
        else np.full(item.shape, REACH)
        for item in mask
    ]
    np.testing.assert_allclose(distance_to(mask), expected, rtol=1e-6)


@given(st.integers(0, 2**32), st.floats(0.05, 1.0))
@settings(max_examples=40, deadline=None)
def test_depth_is_0_or_more_exactly_where_the_cutoff_is_reached(seed, cutoff) -> None:
    probability = np.random.default_rng(seed).random((2, 20, 20), np.float32)
    cutoff = float(np.float32(cutoff))
    np.testing.assert_array_equal(depth_inside(probability, cutoff) >= 0, probability >= cutoff)


@given(st.integers(0, 2**32), st.integers(1, 4), st.floats(0.4, 1.9), st.floats(0.1, 0.9))
@settings(max_examples=15, deadline=None)
def test_at_the_pixels_that_the_network_saw_the_mask_is_its_own(seed, stride, mm, cutoff) -> None:
    placed = make_placement(21, (210, 190), mm, stride)
    rng = np.random.default_rng(seed)
    probability = rng.random((placed.depth, 160, 160), np.float32)
    cutoff = float(np.float32(cutoff))
    mask = source_mask("right", Structure.RIGHT_KIDNEY, placed, probability, cutoff)
    shown = on_grid(placed, np.ones(placed.shape_zyx, bool))
    np.testing.assert_array_equal(
        on_grid(placed, whole(mask)), np.where(shown, probability >= cutoff, False)
    )


def test_blank_slices_have_no_mask() -> None:
    placed = make_placement(20)
    probability = np.zeros((40, 160, 160), np.float32)
    probability[: placed.padding_before, 70:90, 70:90] = 1
    assert source_mask("right", Structure.RIGHT_KIDNEY, placed, probability, 0.5) is None
    probability[placed.padding_before] = 1
    mask = source_mask("right", Structure.RIGHT_KIDNEY, placed, probability, 0.5)
    assert [index for index, _ in mask.slices()] == [0]


def test_an_outline_that_moves_is_half_way_between() -> None:
    """A disc that moves by 12 mm from one analysed slice to the next."""
    placed = make_placement(3, (320, 320), 1.0, stride=2)
    rows, columns = np.indices((160, 160))
    probability = np.zeros((placed.depth, 160, 160), np.float32)
    start = placed.real_places.start
    for place, centre in ((start, 70), (start + 1, 76)):
        probability[place] = np.hypot(rows - 80, columns - centre) <= 14
    found = whole(source_mask("right", Structure.RIGHT_KIDNEY, placed, probability, 0.5))
    rows, columns = np.indices((320, 320))
    half_way = np.hypot(rows - 161, columns - 147) <= 28.5

    assert dice(found[1], half_way) > 0.96
    # Neither of its neighbours is as near.
    assert max(dice(found[0], half_way), dice(found[2], half_way)) < 0.92


def test_slices_are_the_same_one_by_one_and_in_a_row() -> None:
    placed = make_placement(30, stride=2)
    probability = np.random.default_rng(1).random((placed.depth, 160, 160), np.float32) * 0.6
    probability[:5] = 0
    mask = source_mask("left", Structure.LEFT_KIDNEY, placed, probability, 0.5)
    listed = dict(mask.slices())
    for index in range(30):
        part = mask.slice(index)
        assert (part is None) == (index not in listed)
        if part is not None:
            np.testing.assert_array_equal(part.mask, listed[index].mask)
            assert part.where == listed[index].where
