import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rcc_onnx.errors import ProbabilityMapError
from rcc_onnx.pipeline.localization import crop_around, locate_kidney
from rcc_onnx.runtime.networks import split_sides
from rcc_onnx.types import Centre


def test_sides_are_the_patients():
    volume = np.zeros((40, 160, 160), np.uint8)
    volume[:, :, 79] = 1
    volume[:, :, 80] = 2
    sides = split_sides(volume)
    assert list(sides) == ["right", "left"]
    assert sides["right"].shape == sides["left"].shape == (40, 160, 80)
    assert (sides["right"][0, 0, 79], sides["left"][0, 0, 0]) == (1, 2)


@pytest.mark.parametrize("shape", [(40, 160, 80), (160, 160), (40, 64, 64)])
def test_only_a_whole_volume_is_split(shape):
    with pytest.raises(ProbabilityMapError):
        split_sides(np.zeros(shape))


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int64, np.float16, np.float32, np.float64])
def test_any_real_dtype(dtype):
    values = np.zeros((44, 160, 80), dtype)
    values[7, 100:111, 20:31] = 1
    assert locate_kidney(values) == Centre(7, 105, 25)


def test_whole_map_of_bytes_does_not_overflow():
    assert locate_kidney(np.ones((44, 160, 80), np.uint8)) == (0, 79, 39)


def test_nested_lists():
    assert locate_kidney([[[0, 0], [0, 0]], [[1, 1], [0, 0]]]) == (1, 0, 0)


def test_nan_is_no_quiet_none():
    values = np.zeros((44, 160, 80))
    values[0, 0, 0] = np.nan
    with pytest.raises(ProbabilityMapError):
        locate_kidney(values)


@pytest.mark.parametrize(
    ("centre", "starts"),
    [
        ((22, 98, 40), (2, 66, 8)),
        ((0, 0, 0), (0, 0, 0)),
        ((43, 159, 79), (4, 96, 16)),
        ((20, 32, 32), (0, 0, 0)),
        ((21, 33, 33), (1, 1, 1)),
    ],
)
def test_crop_starts(centre, starts):
    half = np.arange(44 * 160 * 80).reshape(44, 160, 80)
    crop = crop_around(half, Centre(*centre))
    assert crop.shape == (40, 64, 64)
    assert np.unravel_index(crop[0, 0, 0], half.shape) == starts


@given(
    st.tuples(st.integers(0, 43), st.integers(0, 159), st.integers(0, 79)),
)
def test_crop_holds_its_centre(at):
    half = np.zeros((44, 160, 80), bool)
    half[at] = True
    assert crop_around(half, Centre(*at)).sum() == 1


@pytest.mark.parametrize("shape", [(39, 160, 80), (40, 63, 80), (160, 80)])
def test_too_small_to_crop(shape):
    with pytest.raises(ProbabilityMapError):
        crop_around(np.zeros(shape), Centre(0, 0, 0))
