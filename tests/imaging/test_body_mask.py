"""The fast body mask equals the plain one, and the plain one equals loops over pixels."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from scipy import ndimage

from rcc_onnx.imaging.body_mask import body_mask, fill_holes, largest_filled, open_and_close
from tests.support.plain_body import plain_body_mask, plain_largest, plain_open_and_close

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


def test_bits_that_spill_over_one_border_do_not_return_at_the_other():
    """With no spare bit, what grows over the right border would close the gap on the left."""
    mask = np.zeros((9, 64), bool)
    for row, column in ((2, 1), (6, 1), (4, 4), (3, 62)):
        mask[row - 1 : row + 2, column] = mask[row, column - 1 : column + 2] = True
    assert not plain_open_and_close(mask)[4, 1]
    assert_plain(mask)
    assert_plain(mask[:, ::-1])


def test_masks_that_are_views():
    mask = np.random.default_rng(0).random((90, 70)) < 0.9
    for view in (mask.T, mask[::-1], mask[:, ::-1], mask[::2, ::3]):
        assert_plain(view)


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
    assert_equal(largest_filled(mask), plain_largest(ndimage.binary_fill_holes(mask)))


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


def test_an_empty_mask():
    assert largest_filled(np.zeros((5, 6), bool)) is None
    assert not fill_holes(np.zeros((5, 6), bool)).any()
