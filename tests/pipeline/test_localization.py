import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rcc_onnx.errors import ProbabilityMapError
from rcc_onnx.pipeline.localization import (
    Run,
    as_probability_map,
    bound_lesion,
    crop_around,
    locate_kidney,
    longest_run,
)
from rcc_onnx.types import Centre, LesionBox


def plain_longest_run(hits):
    """The rule of the pipeline page, one element after the other."""
    runs, start = [], None
    for index, hit in enumerate(hits):
        if hit and start is None:
            start = index
        elif not hit and start is not None:
            runs.append((start, index))
            start = None
    if start is not None:
        runs.append((start, len(hits) - 1))
    return max(runs, key=lambda run: run[1] - run[0]) if runs else None  # max keeps the first


@given(st.lists(st.booleans(), max_size=40))
def test_the_longest_run_equals_the_plain_rule(hits):
    assert longest_run(np.array(hits, dtype=bool)) == plain_longest_run(hits)


@pytest.mark.parametrize(
    ("line", "run"),
    [
        ("......", None),
        (".##.##", (1, 3)),  # the open run at the end counts as one pixel shorter
        ("##..##", (0, 2)),
        ("##.###", (0, 2)),  # equal for that reason, so the first
        (".....#", (5, 5)),
        ("######", (0, 5)),
    ],
)
def test_the_longest_run_of_lines_with_hits_at_their_ends(line, run):
    assert longest_run(np.array([c == "#" for c in line])) == run


def test_the_middle_of_a_run_is_rounded_down():
    assert Run(3, 6).middle == 4


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_not_finite_is_refused(value):
    spoilt = np.zeros((2, 3, 4))
    spoilt[1, 2, 3] = value
    with pytest.raises(ProbabilityMapError, match="NaN or infinite"):
        as_probability_map(spoilt)


@pytest.mark.parametrize(
    "values",
    [
        0.5,
        np.zeros((3, 4)),
        np.zeros((1, 2, 3, 1)),
        np.zeros((0, 3, 4)),
        [[[0.1], [0.2, 0.3]]],
        np.zeros((2, 2, 2), dtype=complex),
        np.zeros((2, 2, 2), dtype=object),
        np.full((2, 2, 2), "0.5"),
    ],
    ids=["number", "2d", "4d", "empty", "ragged", "complex", "object", "text"],
)
def test_what_is_not_a_probability_map_is_refused(values):
    with pytest.raises(ProbabilityMapError) as caught:
        as_probability_map(values)
    assert caught.value.code == "probability-map"
    assert isinstance(caught.value, ValueError)


def test_dtype_is_kept_but_for_half_precision():
    for dtype in (np.float32, np.float64, bool, np.uint8, np.int64):
        assert as_probability_map(np.ones((1, 1, 1), dtype)).dtype == dtype
    assert as_probability_map(np.ones((1, 1, 1), np.float16)).dtype == np.float32


def test_masked_values_are_refused():
    values = np.ma.masked_less(np.array([[[0.2, 0.9]]]), 0.5)
    with pytest.raises(ProbabilityMapError, match="masked"):
        as_probability_map(values)


@pytest.mark.parametrize("decide", [locate_kidney, bound_lesion])
def test_a_map_with_nan_is_refused(decide):
    values = np.zeros((44, 160, 80))
    values[0, 0, 0] = np.nan
    with pytest.raises(ProbabilityMapError):
        decide(values)


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int64, np.float16, np.float32, np.float64])
def test_any_real_dtype(dtype):
    values = np.zeros((44, 160, 80), dtype)
    values[7, 100:111, 20:31] = 1
    assert locate_kidney(values) == Centre(7, 105, 25)


def test_whole_map_of_bytes_does_not_overflow():
    assert locate_kidney(np.ones((44, 160, 80), np.uint8)) == (0, 79, 39)


def test_nested_lists():
    assert locate_kidney([[[0, 0], [0, 0]], [[1, 1], [0, 0]]]) == (1, 0, 0)


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
