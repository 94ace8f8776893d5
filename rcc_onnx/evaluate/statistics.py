"""Figures with their 95 % intervals, on plain numbers.

A kidney is called a finding where its score is **above** a threshold, as the pipeline does. A
kidney without a score has minus infinity: below every threshold, equal to others of its kind.
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
    """So many of so many. Without any there is no value."""

    count: int
    of: int

    def __post_init__(self) -> None:
        if not 0 <= self.count <= self.of:
            raise ValueError(f"{self.count} of {self.of} is no proportion")

    @property
    def value(self) -> float | None:
        return self.count / self.of if self.of else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """Wilson's score interval (Wilson, J Am Stat Assoc 1927;22:209-212); None without any."""
        if not self.of:
            return None
        square = Z_95**2
        centre = self.count + square / 2
        half = Z_95 * math.sqrt(self.count * (self.of - self.count) / self.of + square / 4)
        low, high = (centre - half) / (self.of + square), (centre + half) / (self.of + square)
        # At the ends the formula gives 0 and 1, but for rounding.
        return (low if self.count else 0.0, high if self.count < self.of else 1.0)


@dataclass(frozen=True)
class Confusion:
    """Kidneys by label and answer: true and false positives, true and false negatives."""

    tp: int
    fp: int
    tn: int
    fn: int

    @property
    def sensitivity(self) -> Proportion:
        return Proportion(self.tp, self.tp + self.fn)

    @property
    def specificity(self) -> Proportion:
        return Proportion(self.tn, self.tn + self.fp)

    @property
    def accuracy(self) -> Proportion:
        return Proportion(self.tp + self.tn, self.tp + self.fp + self.tn + self.fn)


@dataclass(frozen=True)
class Auc:
    """Area under the ROC curve, its 95 % interval, and which method gave the interval."""

    value: float
    low: float
    high: float
    method: str


@dataclass(frozen=True)
class Roc:
    """The ROC curve's corners, from (0, 0) to (1, 1)."""

    false_positive_rate: Floats
    true_positive_rate: Floats


@dataclass(frozen=True)
class SweepRow:
    threshold: float
    confusion: Confusion


def auc(with_lesion: Floats, without_lesion: Floats) -> Auc | None:
    """Share of pairs in which the kidney with a lesion has the higher score; a tie counts half.

    The interval is DeLong's (DeLong et al., Biometrics 1988;44:837-845), cut off at 0 and 1. It
    has no width where the estimated variance is 0 (every pair in the same order), and cannot be
    estimated from one kidney of a kind; there the interval is Newcombe's (Stat Med
    2006;25:559-573, method 5), which is to the AUC what Wilson's is to a proportion.

    Scores are minus infinity where there is none. None if one of the two arrays is empty.
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
    """The AUCs that lie within 1.96 of their own standard errors of `value`.

    The standard error is that of Hanley and McNeil (Radiology 1982;143:29-36) for two groups of
    the mean size. Newcombe, Stat Med 2006;25:559-573, method 5.
    """

    def deviation(auc_value: float) -> float:
        size = (m + n) / 2
        brackets = 2 * size - 1 - 3 * (size - 1) / ((2 - auc_value) * (1 + auc_value))
        return Z_95 * math.sqrt(max(0.0, auc_value * (1 - auc_value) * brackets / (m * n)))

    def bound(outer: float) -> float:
        """Where the distance to `value` is what the deviation allows, between `outer` and it."""
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
    """Ranks from 1; equal values share the mean of theirs."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks: Floats = np.cumsum(counts) - (counts - 1) / 2
    return ranks[place]


def roc(with_lesion: Floats, without_lesion: Floats) -> Roc | None:
    """Every operating point that the scores allow; None if one of the two is empty."""
    if not with_lesion.size or not without_lesion.size:
        return None
    values = np.unique(np.concatenate([with_lesion, without_lesion]))[::-1]
    return Roc(_share_from(without_lesion, values), _share_from(with_lesion, values))


def _share_from(scores: Floats, values: Floats) -> Floats:
    """0, then for each value (falling) the share of scores that are not below it."""
    ordered = np.sort(scores)
    share: Floats = 1 - np.searchsorted(ordered, values, side="left") / scores.size
    return np.concatenate([[0.0], share])


def confusion(with_lesion: Floats, without_lesion: Floats, threshold: float) -> Confusion:
    """Counts where a score above `threshold` is a finding."""
    tp = int((with_lesion > threshold).sum())
    fp = int((without_lesion > threshold).sum())
    return Confusion(tp, fp, without_lesion.size - fp, with_lesion.size - tp)


def sweep(with_lesion: Floats, without_lesion: Floats, *more: float) -> tuple[SweepRow, ...]:
    """One row for 0, every score and every threshold of `more`, rising.

    Between two neighbouring rows nothing changes, so the rows are all there is to choose from.
    """
    scores = np.concatenate([with_lesion, without_lesion])
    thresholds = np.unique(np.concatenate([scores[np.isfinite(scores)], [0.0, *more]]))
    return tuple(
        SweepRow(float(one), confusion(with_lesion, without_lesion, float(one)))
        for one in thresholds
    )
