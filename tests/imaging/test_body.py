"""The fast body mask faces the plain one, and the plain one faces pixels one by one."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from rcc_onnx.imaging.body_mask import body_mask
from tests.support.plain_body import plain_body_mask

MASKS = arrays(bool, array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=24))


def draw(picture):
    return np.array([[c == "#" for c in line] for line in picture.split()])


def blocks(seed, shape=(40, 50), count=14):
    """Random rectangles, set and cleared: pieces, holes and bridges survive the opening."""
    rng = np.random.default_rng(seed)
    mask = np.zeros(shape, bool)
    for number in range(count):
        top, left = rng.integers(-4, shape[0]), rng.integers(-4, shape[1])
        height, width = rng.integers(2, 18, 2)
        mask[max(top, 0) : top + height, max(left, 0) : left + width] = number % 3 != 2
    return mask


def assert_equal(found, expected):
    assert (found is None) == (expected is None)
    if found is not None:
        assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
        np.testing.assert_array_equal(found, expected)


@given(MASKS)
def test_equals_the_reference_on_any_mask(mask):
    before = mask.copy()
    assert_equal(body_mask(mask), plain_body_mask(mask))
    np.testing.assert_array_equal(mask, before)


@given(st.integers(0, 2**32))
def test_equals_the_reference_on_blocks(seed):
    mask = blocks(seed)
    assert_equal(body_mask(mask), plain_body_mask(mask))


@given(st.integers(0, 2**32), st.integers(50, 95))
def test_equals_the_reference_on_dense_noise(seed, percent):
    mask = np.random.default_rng(seed).integers(0, 100, (60, 45)) < percent
    assert_equal(body_mask(mask), plain_body_mask(mask))


@pytest.mark.parametrize("mask", [np.zeros((9, 9), bool), np.zeros((1, 5), bool), np.eye(9) > 0])
def test_no_body(mask):
    assert body_mask(mask) is None
    assert plain_body_mask(mask) is None


def test_full_image_loses_its_frame():
    # Outside is background, so the last erosion takes the outermost pixels.
    expected = np.zeros((12, 10), bool)
    expected[1:-1, 1:-1] = True
    np.testing.assert_array_equal(body_mask(np.ones((12, 10), bool)), expected)


def test_of_equal_pieces_the_first_in_raster_order():
    mask = draw("""
        ..............
        .........###..
        .###.....###..
        .###.....###..
        .###..........
        ..............""")
    found = body_mask(mask)
    assert found[1, 10]
    assert not found[3, 2]
    assert_equal(found, plain_body_mask(mask))


def test_first_in_raster_order_is_its_first_pixel_not_its_first_column():
    """Pieces that grow together further down count from their uppermost pixel."""
    rng = np.random.default_rng(5)
    for _ in range(60):
        mask = rng.random((30, 30)) < 0.75
        found = body_mask(mask)
        if found is not None:
            np.testing.assert_array_equal(found, largest_by_flooding(mask))


def largest_by_flooding(foreground):
    """Steps 2 to 4 with loops over pixels: shares nothing with SciPy."""

    def at(mask, row, column):
        inside = 0 <= row < mask.shape[0] and 0 <= column < mask.shape[1]
        return bool(inside and mask[row, column])

    def cross(mask, decide):
        steps = ((0, 0), (-1, 0), (1, 0), (0, -1), (0, 1))
        return np.array(
            [
                [decide(at(mask, r + i, c + j) for i, j in steps) for c in range(mask.shape[1])]
                for r in range(mask.shape[0])
            ]
        )

    def flood(mask, start, steps):
        piece, todo = {start}, [start]
        while todo:
            row, column = todo.pop()
            for i, j in steps:
                near = (row + i, column + j)
                if near not in piece and at(mask, *near):
                    piece.add(near)
                    todo.append(near)
        return piece

    four = ((-1, 0), (1, 0), (0, -1), (0, 1))
    eight = (*four, (-1, -1), (-1, 1), (1, -1), (1, 1))
    mask = cross(cross(cross(cross(foreground, all), any), any), all)
    outside = np.pad(~mask, 1, constant_values=True)
    reached = flood(outside, (0, 0), four)
    filled = np.array(
        [[(r + 1, c + 1) not in reached for c in range(mask.shape[1])] for r in range(len(mask))]
    )
    best, seen = set(), set()
    for start in zip(*np.nonzero(filled), strict=True):
        if start not in seen:
            piece = flood(filled, start, eight)
            seen |= piece
            if len(piece) > len(best):
                best = piece
    body = np.zeros_like(foreground)
    for place in best:
        body[place] = True
    return body


def test_hole_is_filled_and_open_bay_is_not():
    mask = np.zeros((20, 20), bool)
    mask[2:18, 2:18] = True
    mask[6:9, 6:9] = False  # closed all round
    mask[10:13, 10:18] = False  # open to the right
    found = body_mask(mask)
    assert found[7, 7]
    assert not found[11, 16]
    assert_equal(found, plain_body_mask(mask))
