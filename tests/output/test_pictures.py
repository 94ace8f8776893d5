import numpy as np
import pytest

from rcc_onnx.output.case import RED, lesion_picture
from rcc_onnx.types import LesionBox


@pytest.fixture
def crop() -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (40, 64, 64)).astype(np.uint8)


def test_the_box_has_one_red_pixel_at_every_edge(crop: np.ndarray) -> None:
    pixels = np.asarray(lesion_picture(crop, LesionBox(7, 10, 20, 30, 45)))
    red = (pixels == RED).all(axis=2)
    expected = np.zeros((64, 64), bool)
    expected[10:21, 30:46] = True
    expected[11:20, 31:45] = False
    np.testing.assert_array_equal(red, expected)
    grey = np.repeat(crop[7][:, :, None], 3, axis=2)
    np.testing.assert_array_equal(pixels[~red], grey[~red])


def test_a_box_at_the_border_is_drawn_whole(crop: np.ndarray) -> None:
    pixels = np.asarray(lesion_picture(crop, LesionBox(0, 0, 63, 0, 63)))
    red = (pixels == RED).all(axis=2)
    assert red.sum() == 4 * 63


def test_the_crop_is_left_as_it_is(crop: np.ndarray) -> None:
    before = crop.copy()
    lesion_picture(crop, LesionBox(3, 1, 5, 1, 5))
    np.testing.assert_array_equal(crop, before)
