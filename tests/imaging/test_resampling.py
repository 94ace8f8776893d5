import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from rcc_onnx.imaging.resampling import axis_map, resized_length


def on_grid(image, resized):
    """One image through Pillow and then crop or pad, as the pipeline page says it."""
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
    np.testing.assert_array_equal(gathered(image, (n, n)), on_grid(image, (n, n)))


@given(
    st.tuples(st.integers(1, 300), st.integers(1, 300)),
    st.tuples(st.integers(1, 400), st.integers(1, 400)),
)
def test_any_matrix_and_length_each_axis_by_itself(shape, resized):
    image = np.random.default_rng(shape[0]).integers(0, 256, shape, dtype=np.uint8)
    np.testing.assert_array_equal(gathered(image, resized), on_grid(image, resized))


def test_closed_form_is_not_pillow():
    """Why the map is asked of Pillow: the obvious formula picks other pixels for some lengths."""
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
