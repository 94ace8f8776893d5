import numpy as np
import pytest

from rcc_onnx.errors import ProbabilityMapError
from rcc_onnx.pipeline.localization import bound_lesion
from rcc_onnx.types import LesionBox


def crop_with(rows, columns, dtype=np.float32):
    values = np.zeros((40, 64, 64), dtype)
    values[11, slice(*rows), slice(*columns)] = 1
    return values


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.float16, np.float32, np.float64])
def test_square_box_round_the_longer_side(dtype):
    # 10 rows and 20 columns round (25, 30): half of 20 + 12 to each side.
    found = bound_lesion(crop_with((20, 30), (20, 40), dtype))
    assert found == LesionBox(slice=11, top=9, bottom=41, left=14, right=46)


@pytest.mark.parametrize(("margin", "half"), [(0, 10), (1, 10), (2, 11), (13, 16)])
def test_margin(margin, half):
    found = bound_lesion(crop_with((20, 30), (20, 40)), margin=margin)
    assert found == LesionBox(11, 25 - half, 25 + half, 30 - half, 30 + half)


def test_box_is_cut_at_the_border():
    assert bound_lesion(crop_with((0, 5), (60, 64))) == LesionBox(11, 0, 10, 53, 63)


def test_negative_margin():
    with pytest.raises(ProbabilityMapError, match="margin"):
        bound_lesion(crop_with((0, 5), (0, 5)), margin=-1)


def test_nothing_there():
    assert bound_lesion(np.zeros((40, 64, 64))) is None


def test_nan_is_no_quiet_none():
    values = crop_with((20, 30), (20, 40))
    values[0, 0, 0] = np.nan
    with pytest.raises(ProbabilityMapError):
        bound_lesion(values)
