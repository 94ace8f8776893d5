"""The figures of an evaluation: of the assessable kidneys, and of all that are labelled."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from rcc_onnx.errors import OptionError
from rcc_onnx.evaluate.cohort import Cohort, CountedAs, Kidney
from rcc_onnx.evaluate.statistics import (
    Auc,
    Confusion,
    Floats,
    Proportion,
    Roc,
    SweepRow,
    auc,
    confusion,
    roc,
    sweep,
)

DEFAULT_SIZE_EDGES_MM = (15.0, 25.0, 40.0)
SHORT_SWEEP = (0.02, 0.1, 0.2, 0.5, 0.8, 0.9, 1.0, 1.1, 1.25, 2.0, 5.0, 10.0, 20.0)
"""Multiples of the run's threshold that a person is shown; the whole sweep is in sweep.csv."""


@dataclass(frozen=True)
class SizeRange:
    """Lesions larger than `over_mm` and up to `up_to_mm`; both None for lesions without a size."""

    over_mm: float | None
    up_to_mm: float | None

    @property
    def name(self) -> str:
        if self.over_mm is None or self.up_to_mm is None:
            return "size not given"
        if not self.over_mm:
            return f"up to {self.up_to_mm:g} mm"
        if math.isinf(self.up_to_mm):
            return f"over {self.over_mm:g} mm"
        return f"over {self.over_mm:g} to {self.up_to_mm:g} mm"

    def holds(self, size_mm: float | None) -> bool:
        if size_mm is None or self.over_mm is None or self.up_to_mm is None:
            return size_mm is None and self.over_mm is None
        return self.over_mm < size_mm <= self.up_to_mm


@dataclass(frozen=True)
class SizeFigures:
    """Lesions of one range of size. `auc` sets them against all kidneys without a lesion."""

    size: SizeRange
    sensitivity: Proportion
    auc: Auc | None


@dataclass(frozen=True)
class PopulationFigures:
    """The figures of one set of kidneys, at the thresholds of the run and over all others.

    Attributes:
        auc, roc: None if no kidney has a lesion, or all have.
        sweep: 0, every score, the run's threshold and its multiples of `SHORT_SWEEP`.
        short_sweep: the last two of these only.
    """

    name: str
    confusion: Confusion
    auc: Auc | None
    roc: Roc | None
    by_size: tuple[SizeFigures, ...]
    sweep: tuple[SweepRow, ...]
    short_sweep: tuple[SweepRow, ...]


@dataclass(frozen=True)
class Figures:
    """Figures of both sets of kidneys."""

    assessable: PopulationFigures
    all_labelled: PopulationFigures

    @property
    def populations(self) -> tuple[PopulationFigures, PopulationFigures]:
        return self.assessable, self.all_labelled


def size_ranges(edges_mm: Sequence[float]) -> tuple[SizeRange, ...]:
    """The ranges between the edges, below and above them, and the one without a size.

    Raises:
        OptionError: edges are not rising numbers above 0.
    """
    steps = [0.0, *edges_mm, math.inf]
    if any(not before < after for before, after in pairwise(steps)):
        raise OptionError(
            f"edges of lesion sizes must be rising numbers above 0, such as 15,25,40, not "
            f"{','.join(f'{one:g}' for one in edges_mm)}"
        )
    pairs = pairwise(steps)
    return (*(SizeRange(over, up_to) for over, up_to in pairs), SizeRange(None, None))


def evaluate_cohort(cohort: Cohort, edges_mm: Sequence[float] = DEFAULT_SIZE_EDGES_MM) -> Figures:
    """All figures of a cohort. Raises OptionError as `size_ranges` does."""
    ranges = size_ranges(edges_mm)
    threshold = cohort.setup.lesion_threshold
    return Figures(
        _population("assessable kidneys", cohort.assessable, threshold, ranges),
        _population("all labelled kidneys", cohort.kidneys, threshold, ranges),
    )


def _population(
    name: str, kidneys: Sequence[Kidney], threshold: float, ranges: Sequence[SizeRange]
) -> PopulationFigures:
    with_lesion = [one for one in kidneys if one.lesion]
    scores, others = _scores(with_lesion), _scores([one for one in kidneys if not one.lesion])
    at_run = {kind: sum(one.counted_as is kind for one in kidneys) for kind in CountedAs}
    short = sorted({threshold * factor for factor in SHORT_SWEEP})
    by_size = []
    for size in ranges:
        lesions = [one for one in with_lesion if size.holds(one.size_mm)]
        found = sum(one.finding for one in lesions)
        area = auc(_scores(lesions), others)
        by_size.append(SizeFigures(size, Proportion(found, len(lesions)), area))
    return PopulationFigures(
        name=name,
        confusion=Confusion(*(at_run[kind] for kind in CountedAs)),
        auc=auc(scores, others),
        roc=roc(scores, others),
        by_size=tuple(by_size),
        sweep=sweep(scores, others, *short),
        short_sweep=tuple(SweepRow(one, confusion(scores, others, one)) for one in short),
    )


def _scores(kidneys: Sequence[Kidney]) -> Floats:
    """Scores as the statistics want them: minus infinity where there is none."""
    return np.array([-np.inf if one.score is None else one.score for one in kidneys], np.float64)
