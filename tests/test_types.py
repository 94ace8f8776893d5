"""Values that stages hand to one another."""

import pytest

from rcc_onnx.types import Thresholds


@pytest.mark.parametrize(
    ("found", "borderline", "relative"),
    [(45.0, True, -0.1), (44.9, False, -0.102), (55.0, True, 0.1), (55.1, False, 0.102)],
)
def test_borderline_is_within_a_tenth_of_the_threshold(
    found: float, borderline: bool, relative: float
) -> None:
    margin = Thresholds(lesion=50.0).margin("lesion", found)
    assert margin.borderline is borderline
    assert margin.absolute == pytest.approx(found - 50)
    assert margin.relative == pytest.approx(relative)


def test_a_threshold_of_zero_has_no_relative_margin() -> None:
    margin = Thresholds(kidney=0.0).margin("kidney", 3.0)
    assert margin.relative is None
    assert not margin.borderline
