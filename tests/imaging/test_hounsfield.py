"""Answers from stored integers equal those from the whole array of HU."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from rcc_onnx.imaging.hounsfield import AIR_HU, HuImage, gathered

DTYPES = [np.int8, np.uint8, np.int16, np.uint16, np.int32, np.uint32, ">i2", "<u2"]
SLOPES = st.one_of(
    st.sampled_from([1.0, -1.0, 0.5, 2.0, 1 / 3, -0.1, 1e-300]),
    st.floats(-1000, 1000, allow_subnormal=False).filter(bool),
)
INTERCEPTS = st.one_of(st.sampled_from([0.0, -1024.0, -1000.0, -300.0]), st.floats(-70_000, 70_000))


def plain_hu(image):
    hu = image.stored.astype(np.float64) * image.slope + image.intercept
    return hu if image.padded is None else np.where(image.padded, AIR_HU, hu)


@st.composite
def images(draw):
    shape = draw(st.tuples(st.integers(1, 9), st.integers(1, 9)))
    stored = draw(arrays(draw(st.sampled_from(DTYPES)), shape))
    padded = draw(st.one_of(st.none(), arrays(bool, shape)))
    return HuImage(stored, draw(SLOPES), draw(INTERCEPTS), padded)


@given(images(), st.floats(-1000, 4000))
def test_any_image(image, limit):
    before = image.stored.copy()
    hu = plain_hu(image)
    assert image.hu.dtype == np.float64
    np.testing.assert_array_equal(image.hu, hu)
    np.testing.assert_array_equal(image.above(limit), hu > limit)
    np.testing.assert_array_equal(image.every(3), hu[::3, ::3])
    rows, columns = np.arange(image.stored.shape[0])[::-1], np.array([0, 0])
    np.testing.assert_array_equal(image.at(rows, columns), hu[np.ix_(rows, columns)])
    padded = image.padded is not None
    assert image.lowest() == (AIR_HU if padded else hu.min())
    np.testing.assert_array_equal(image.stored, before)


@given(st.sampled_from([0.1, 0.3, 1 / 3, 0.7, 1.1, -0.1, -1 / 3]), st.integers(-3000, 3000))
def test_limits_that_a_stored_value_meets(slope, value):
    """Where rounding decides on which side a pixel falls."""
    stored = np.arange(value - 5, value + 6, dtype=np.int16)[None]
    image = HuImage(stored, slope, -200.0, None)
    for limit in image.hu.ravel():
        if limit >= AIR_HU:
            np.testing.assert_array_equal(image.above(limit), image.hu > limit)


@pytest.mark.parametrize("dtype", [np.int64, np.float64])
def test_other_dtypes_are_computed_in_full(dtype):
    image = HuImage(np.array([[-301, -300, -299]], dtype), 1.0, 0.0, None)
    assert image.above(-300).tolist() == [[False, False, True]]


def test_a_limit_below_padding():
    image = HuImage(np.array([[5, 5]], np.int16), 1.0, 0.0, np.array([[True, False]]))
    assert image.above(-2000).tolist() == [[True, True]]


@pytest.mark.parametrize("view", [lambda a: a, lambda a: a.T, lambda a: a[::-1, ::-1]])
def test_gathering(view):
    image = view(np.arange(63).reshape(7, 9))
    rows, columns = np.array([0, 0, 3, 6]), np.array([6, 2, 5])
    np.testing.assert_array_equal(gathered(image, rows, columns), image[np.ix_(rows, columns)])
