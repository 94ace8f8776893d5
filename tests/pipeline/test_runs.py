import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rcc_onnx.errors import ProbabilityMapError
from rcc_onnx.pipeline.localization import Run, as_probability_map, longest_run


def plain_longest_run(hits):
    """The rule as the pipeline page says it, one element after the other."""
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
def test_equals_the_plain_rule(hits):
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
def test_ends(line, run):
    assert longest_run(np.array([c == "#" for c in line])) == run


def test_middle_is_rounded_down():
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
def test_no_probability_map(values):
    with pytest.raises(ProbabilityMapError) as caught:
        as_probability_map(values)
    assert caught.value.code == "probability-map"
    assert isinstance(caught.value, ValueError)


def test_dtype_is_kept_but_for_half_precision():
    for dtype in (np.float32, np.float64, bool, np.uint8, np.int64):
        assert as_probability_map(np.ones((1, 1, 1), dtype)).dtype == dtype
    assert as_probability_map(np.ones((1, 1, 1), np.float16)).dtype == np.float32


def test_masked_values_are_refused_as_nobody_knows_what_they_mean():
    values = np.ma.masked_less(np.array([[[0.2, 0.9]]]), 0.5)
    with pytest.raises(ProbabilityMapError, match="masked"):
        as_probability_map(values)
