"""Morphology on packed bits faces SciPy's on pixels."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from rcc_onnx.imaging.body_mask import open_and_close
from tests.support.plain_body import plain_open_and_close

MASKS = arrays(bool, array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=24))


def assert_plain(mask):
    before = mask.copy()
    found = open_and_close(mask)
    expected = plain_open_and_close(mask)
    assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(mask, before)


@given(MASKS)
def test_any_mask(mask):
    assert_plain(mask)


@given(st.integers(0, 2**32), st.integers(1, 200), st.integers(60, 99))
def test_dense_noise_of_any_width(seed, columns, percent):
    """Most pixels set, so that much is left after the opening, also at the borders."""
    assert_plain(np.random.default_rng(seed).integers(0, 100, (23, columns)) < percent)


@pytest.mark.parametrize("columns", [*range(1, 6), *range(60, 69), *range(124, 131)])
@pytest.mark.parametrize("rows", [1, 2, 3, 9])
def test_full_masks_at_the_edges_of_words(rows, columns):
    assert_plain(np.ones((rows, columns), bool))


def test_what_spills_over_one_border_does_not_come_in_at_the_other():
    """With no spare bit, what grows over the right border would close the gap on the left."""
    mask = np.zeros((9, 64), bool)
    for row, column in ((2, 1), (6, 1), (4, 4), (3, 62)):
        mask[row - 1 : row + 2, column] = mask[row, column - 1 : column + 2] = True
    assert not plain_open_and_close(mask)[4, 1]
    assert_plain(mask)
    assert_plain(mask[:, ::-1])


def test_masks_that_are_no_plain_arrays():
    mask = np.random.default_rng(0).random((90, 70)) < 0.9
    for view in (mask.T, mask[::-1], mask[:, ::-1], mask[::2, ::3]):
        assert_plain(view)
