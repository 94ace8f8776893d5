"""Regions of runs face regions of pixels, as SciPy finds them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from scipy import ndimage

from rcc_onnx.imaging.body_mask import fill_holes, largest_filled
from tests.support.plain_body import plain_largest

MASKS = arrays(bool, array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=20))


def spiral(size):
    """One piece of background, and one of foreground, that wind round each other."""
    mask = np.zeros((size, size), bool)
    row, column, (down, right) = 1, 1, (0, 1)
    mask[row, column] = True
    for _ in range(size * size):
        ahead = row + 2 * down, column + 2 * right
        free = all(0 < n < size - 1 for n in ahead) and not mask[ahead]
        if not free:
            down, right = right, -down
            ahead = row + 2 * down, column + 2 * right
            if mask[ahead]:
                break
        row, column = row + down, column + right
        mask[row, column] = True
    return mask


@given(MASKS)
def test_holes_are_filled_as_scipy_fills_them(mask):
    before = mask.copy()
    found = fill_holes(mask)
    assert (found.dtype, found.shape) == (mask.dtype, mask.shape)
    np.testing.assert_array_equal(found, ndimage.binary_fill_holes(mask))
    np.testing.assert_array_equal(mask, before)


def assert_largest(mask):
    found, expected = largest_filled(mask), plain_largest(ndimage.binary_fill_holes(mask))
    assert (found is None) == (expected is None)
    if found is not None:
        assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
        np.testing.assert_array_equal(found, expected)


@given(MASKS)
def test_largest_piece(mask):
    assert_largest(np.pad(mask, 1))


@given(st.integers(0, 2**32), st.integers(20, 80))
def test_largest_piece_of_noise(seed, percent):
    noise = np.random.default_rng(seed).integers(0, 100, (57, 70)) < percent
    assert_largest(np.pad(noise, 1))


@pytest.mark.parametrize("turns", range(4))
@pytest.mark.parametrize("size", [9, 40, 63])
def test_spirals(size, turns):
    """Runs that hang together only by a long way round."""
    mask = np.rot90(spiral(size), turns)
    assert_largest(mask)
    assert_largest(np.pad(~mask, 1))
    np.testing.assert_array_equal(fill_holes(~mask), ndimage.binary_fill_holes(~mask))


def test_islands_in_lakes_in_islands():
    mask = np.zeros((21, 30), bool)
    for depth in range(1, 10):
        mask[depth:-depth, depth:-depth] = depth % 2 == 1
    np.testing.assert_array_equal(largest_filled(mask), ndimage.binary_fill_holes(mask))


def test_holes_are_counted_before_the_largest_is_chosen():
    mask = np.zeros((20, 40), bool)
    mask[1:12, 1:12] = True
    mask[2:11, 2:11] = False  # 40 pixels round a hole of 81
    mask[3:13, 20:30] = True  # 100 pixels
    found = largest_filled(mask)
    assert found[5, 5]
    assert not found[5, 25]


def test_nothing():
    assert largest_filled(np.zeros((5, 6), bool)) is None
    assert not fill_holes(np.zeros((5, 6), bool)).any()
