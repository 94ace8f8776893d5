"""AUC, ROC, intervals: against scikit-learn, against their definitions, against known values."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score, roc_curve

from rcc_onnx.evaluate.statistics import (
    Z_95,
    Floats,
    auc,
    confusion,
    counts_at,
    newcombe_interval,
    proportion,
    roc,
    sweep,
)

# Few different values, so that ties are common.
TIED = st.integers(0, 6).map(float)
ANY = st.floats(0, 1e4, allow_nan=False)
SCORES = st.one_of(st.lists(TIED, min_size=1, max_size=30), st.lists(ANY, min_size=1, max_size=30))


def scores(*values: float) -> Floats:
    return np.array(values, np.float64)


def for_sklearn(with_lesion: Floats, without: Floats) -> tuple[Floats, Floats]:
    truth = np.concatenate([np.ones(with_lesion.size), np.zeros(without.size)])
    return truth, np.concatenate([with_lesion, without])


@settings(deadline=None)
@given(SCORES, SCORES)
def test_the_auc_agrees_with_scikit_learn(ones: list[float], others: list[float]) -> None:
    found = auc(scores(*ones), scores(*others))
    assert found is not None
    expected = roc_auc_score(*for_sklearn(scores(*ones), scores(*others)))
    assert found.value == pytest.approx(expected, abs=1e-12)
    assert 0 <= found.low <= found.value + 1e-12
    assert found.value - 1e-12 <= found.high <= 1


@settings(deadline=None)
@given(SCORES, SCORES)
def test_the_roc_agrees_with_scikit_learn(ones: list[float], others: list[float]) -> None:
    found = roc(scores(*ones), scores(*others))
    assert found is not None
    truth, pooled = for_sklearn(scores(*ones), scores(*others))
    false_positive, true_positive, _ = roc_curve(truth, pooled, drop_intermediate=False)
    np.testing.assert_allclose(found[0], false_positive, atol=1e-12)
    np.testing.assert_allclose(found[1], true_positive, atol=1e-12)


@settings(deadline=None)
@given(SCORES, SCORES)
def test_delongs_interval_follows_its_definition(ones: list[float], others: list[float]) -> None:
    """The published formula, pair by pair: components, their variances, the normal interval."""
    found = auc(scores(*ones), scores(*others))
    assert found is not None
    if found.method != "DeLong":
        return
    pairs = np.array([[(x > y) + 0.5 * (x == y) for y in others] for x in ones])
    variance = np.var(pairs.mean(axis=1), ddof=1) / len(ones)
    variance += np.var(pairs.mean(axis=0), ddof=1) / len(others)
    half = 1.959964 * math.sqrt(variance)
    assert found.low == pytest.approx(max(0.0, pairs.mean() - half), abs=1e-6)
    assert found.high == pytest.approx(min(1.0, pairs.mean() + half), abs=1e-6)


def test_auc_by_hand() -> None:
    # Pairs of 3 and 1 against 2, 1, 0: 3 wins all three, 1 wins one, ties one, loses one.
    found = auc(scores(3, 1), scores(2, 1, 0))
    assert found is not None
    assert found.value == pytest.approx((3 + 1.5) / 6)


def test_an_auc_without_one_kind_is_none() -> None:
    assert auc(scores(), scores(1)) is None
    assert auc(scores(1), scores()) is None
    assert roc(scores(), scores(1)) is None


def test_kidneys_without_a_score_rank_below_all_and_tie() -> None:
    none = -math.inf
    assert auc(scores(0), scores(none)).value == 1  # type: ignore[union-attr]
    assert auc(scores(none), scores(none)).value == 0.5  # type: ignore[union-attr]
    curve = roc(scores(none, 5), scores(none, 0))
    assert curve is not None
    assert curve[1].tolist() == [0, 0.5, 0.5, 1]
    assert curve[0].tolist() == [0, 0, 0.5, 1]


def test_an_interval_where_delong_has_no_width() -> None:
    found = auc(scores(*range(10, 25)), scores(*range(10)))
    assert found is not None
    assert (found.value, found.high, found.method) == (1, 1, "Newcombe")
    assert 0.7 < found.low < 0.95
    # One kidney of a kind has no variance to estimate.
    alone = auc(scores(5), scores(1, 2, 6))
    assert alone is not None
    assert alone.method == "Newcombe"
    assert alone.low < alone.value < alone.high


@settings(deadline=None)
@given(st.floats(0, 1), st.integers(1, 60), st.integers(1, 60))
def test_newcombes_bounds_solve_his_equation(value: float, m: int, n: int) -> None:
    def hanley_mcneil(area: float) -> float:
        """Variance as published in 1982, both groups of the mean size but for the pairs."""
        size = (m + n) / 2
        q1, q2 = area / (2 - area), 2 * area**2 / (1 + area)
        spread = (size - 1) * (q1 - area**2 + q2 - area**2)
        return (area * (1 - area) + spread) / (m * n)

    low, high = newcombe_interval(value, m, n)
    assert 0 <= low <= value <= high <= 1
    for bound in (low, high):
        if 1e-6 < bound < 1 - 1e-6:
            reach = Z_95 * math.sqrt(hanley_mcneil(bound))
            assert abs(bound - value) == pytest.approx(reach, abs=1e-6)


@pytest.mark.parametrize(
    ("count", "of", "low", "high"),
    [
        # 0 of n: from 0 to z2 / (n + z2), z2 = 3.841459; n of n is its mirror image.
        (0, 10, 0.0, 3.841459 / 13.841459),
        (10, 10, 10 / 13.841459, 1.0),
        # 1 of 2: 0.5 and z sqrt(2/4 + z2/4) / (2 + z2) = 1.959964 x 1.208519 / 5.841459 = 0.405488.
        (1, 2, 0.5 - 0.405488, 0.5 + 0.405488),
        # Newcombe, Stat Med 1998;17:857-872, table I, method 3.
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0000, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilsons_interval(count: int, of: int, low: float, high: float) -> None:
    share = proportion(count, of)
    assert (share.low, share.high) == pytest.approx((low, high), abs=5e-5)


def test_a_share_of_nothing_has_no_value() -> None:
    share = proportion(0, 0)
    assert (share.value, share.low, share.high, share.of) == (None, None, None, 0)
    with pytest.raises(ValueError, match="3 of 2"):
        proportion(3, 2)


def test_a_score_at_the_threshold_is_not_a_finding() -> None:
    row = counts_at(scores(50, 50.1), scores(50, 51), 50)
    assert row.counts == confusion(tp=1, fp=1, tn=1, fn=1)


@settings(deadline=None)
@given(SCORES, SCORES, st.floats(0, 1e4))
def test_the_sweep_has_every_operating_point(
    ones: list[float], others: list[float], threshold: float
) -> None:
    with_lesion, without = scores(*ones), scores(*others)
    rows = sweep(with_lesion, without, 50.0)
    thresholds = [row.threshold for row in rows]
    assert thresholds == sorted(set(thresholds))
    assert 50.0 in thresholds
    # Any threshold does what the next lower row does.
    below = [row for row in rows if row.threshold <= threshold][-1]
    assert below.counts == counts_at(with_lesion, without, threshold).counts
    assert rows[-1].counts.tp == 0


def test_the_sweep_of_kidneys_without_scores() -> None:
    (row,) = sweep(scores(-math.inf), scores())
    assert (row.threshold, row.counts) == (0, confusion(0, 0, 0, 1))
