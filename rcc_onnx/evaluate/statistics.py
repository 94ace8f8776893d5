"""Figures with their 95 % intervals, on plain numbers.

A kidney is a finding where its score is **above** a threshold, as in the pipeline. A kidney without
a score has minus infinity: below every threshold, equal to others of its kind.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

Z_95 = 1.959963984540054
"""The normal distribution holds 95 % within so many standard deviations."""
BISECTIONS = 60
"""Halvings of an interval of length 1: beyond the last digit of a float64."""


@dataclass(frozen=True)
class Proportion:
    """A share of kidneys with Wilson's 95 % interval; None without any kidney."""

    value: float | None
    low: float | None
    high: float | None
    count: int
    of: int


def proportion(count: int, of: int) -> Proportion:
    """Return a share with its score interval (Wilson, J Am Stat Assoc 1927;22:209-212)."""
    if not 0 <= count <= of:
        raise ValueError(f"{count} of {of} is not a proportion")
    if not of:
        return Proportion(None, None, None, 0, 0)
    square = Z_95**2
    centre = count + square / 2
    half = Z_95 * math.sqrt(count * (of - count) / of + square / 4)
    low, high = (centre - half) / (of + square), (centre + half) / (of + square)
    # At the ends the formula gives 0 and 1, except for rounding.
    return Proportion(count / of, low if count else 0.0, high if count < of else 1.0, count, of)


@dataclass(frozen=True)
class Confusion:
    """Kidneys by label and answer: true and false positives, true and false negatives."""

    tp: int
    fp: int
    tn: int
    fn: int
    sensitivity: Proportion
    specificity: Proportion
    accuracy: Proportion


def confusion(tp: int, fp: int, tn: int, fn: int) -> Confusion:
    """Return the four counts with the shares that follow from them."""
    return Confusion(
        tp, fp, tn, fn,
        sensitivity=proportion(tp, tp + fn),
        specificity=proportion(tn, tn + fp),
        accuracy=proportion(tp + tn, tp + fp + tn + fn),
    )  # fmt: skip


@dataclass(frozen=True)
class SweepRow:
    """The counts at a threshold."""

    threshold: float
    counts: Confusion


@dataclass(frozen=True)
class Auc:
    """The area under the ROC curve, its 95 % interval, and the interval's method."""

    value: float
    low: float
    high: float
    method: str


def auc(with_lesion: Floats, without_lesion: Floats) -> Auc | None:
    """Return the share of pairs in which the kidney with a lesion has the higher score.

    A tie counts half. The interval is DeLong's (DeLong et al., Biometrics 1988;44:837-845), clipped
    to 0 and 1. It has no width where the estimated variance is 0 (every pair in the same order),
    and cannot be estimated from one kidney of a kind; there the interval is Newcombe's (Stat Med
    2006;25:559-573, method 5), which is to the AUC what Wilson's is to a proportion.

    A kidney without a score has minus infinity. None if one of the two arrays is empty.
    """
    m, n = with_lesion.size, without_lesion.size
    if not m or not n:
        return None
    pooled = _midranks(np.concatenate([with_lesion, without_lesion]))
    # For each kidney, the share of the other kind that it is ranked on the right side of.
    above = (pooled[:m] - _midranks(with_lesion)) / n
    below = 1 - (pooled[m:] - _midranks(without_lesion)) / m
    value = float(above.mean())
    if m > 1 and n > 1:
        variance = float(above.var(ddof=1) / m + below.var(ddof=1) / n)
        if variance > 0:
            half = Z_95 * math.sqrt(variance)
            return Auc(value, max(0.0, value - half), min(1.0, value + half), "DeLong")
    return Auc(value, *newcombe_interval(value, m, n), "Newcombe")


def newcombe_interval(value: float, m: int, n: int) -> tuple[float, float]:
    """Return the lowest and the highest AUC within 1.96 of its own standard errors of `value`.

    The standard error is that of Hanley and McNeil (Radiology 1982;143:29-36) for two groups of
    the mean size. Newcombe, Stat Med 2006;25:559-573, method 5.
    """

    def deviation(area: float) -> float:
        size = (m + n) / 2
        brackets = 2 * size - 1 - 3 * (size - 1) / ((2 - area) * (1 + area))
        return Z_95 * math.sqrt(max(0.0, area * (1 - area) * brackets / (m * n)))

    def bound(outer: float) -> float:
        """Return where the distance to `value` equals the deviation, between it and `outer`."""
        inner = value
        if outer == inner:
            return outer
        for _ in range(BISECTIONS):
            middle = (outer + inner) / 2
            if abs(value - middle) > deviation(middle):
                outer = middle
            else:
                inner = middle
        return inner

    return bound(0.0), bound(1.0)


def _midranks(values: Floats) -> Floats:
    """Return ranks from 1; equal values share the mean of theirs."""
    _, index, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks: Floats = np.cumsum(counts) - (counts - 1) / 2
    return ranks[index]


def roc(with_lesion: Floats, without_lesion: Floats) -> tuple[Floats, Floats] | None:
    """Return false and true positive rates at the ROC curve's corners, from (0, 0) to (1, 1).

    None if one of the two arrays is empty.
    """
    if not with_lesion.size or not without_lesion.size:
        return None
    values = np.unique(np.concatenate([with_lesion, without_lesion]))[::-1]
    return _share_from(without_lesion, values), _share_from(with_lesion, values)


def _share_from(scores: Floats, values: Floats) -> Floats:
    """Return 0, then for each value (falling) the share of scores that are not below it."""
    share: Floats = 1 - np.searchsorted(np.sort(scores), values, side="left") / scores.size
    return np.concatenate([[0.0], share])


def counts_at(with_lesion: Floats, without_lesion: Floats, threshold: float) -> SweepRow:
    """Return the counts where a score above `threshold` is a finding."""
    tp = int((with_lesion > threshold).sum())
    fp = int((without_lesion > threshold).sum())
    counts = confusion(tp, fp, without_lesion.size - fp, with_lesion.size - tp)
    return SweepRow(threshold, counts)


def sweep(with_lesion: Floats, without_lesion: Floats, *more: float) -> tuple[SweepRow, ...]:
    """Return a row for 0, every score and every threshold of `more`, rising.

    Between two neighbouring rows nothing changes, so these are all thresholds to choose from.
    """
    scores = np.concatenate([with_lesion, without_lesion])
    thresholds = np.unique(np.concatenate([scores[np.isfinite(scores)], [0.0, *more]]))
    return tuple(counts_at(with_lesion, without_lesion, float(value)) for value in thresholds)
