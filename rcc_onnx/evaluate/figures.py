"""The figures of an evaluation, and the document evaluation.json that holds them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar, Literal, get_args

import numpy as np

from rcc_onnx._version import __version__
from rcc_onnx.errors import OptionError
from rcc_onnx.evaluate.cohort import Cohort, CountedAs, Group, Kidney
from rcc_onnx.evaluate.masks import MaskResults
from rcc_onnx.evaluate.statistics import (
    Auc,
    Confusion,
    Floats,
    Proportion,
    SweepRow,
    auc,
    confusion,
    counts_at,
    proportion,
)
from rcc_onnx.system.documents import STRICT

DEFAULT_SIZE_EDGES_MM = (15.0, 25.0, 40.0)
SWEEP_FACTORS = (0.02, 0.1, 0.2, 0.5, 0.8, 0.9, 1.0, 1.1, 1.25, 2.0, 5.0, 10.0, 20.0)
"""Multiples of the run's threshold in the short sweep; sweep.csv has all thresholds."""


@dataclass(frozen=True)
class SizeRange:
    """Lesions larger than `over_mm` and up to `up_to_mm` (None: no limit).

    Both are None for lesions without a size.
    """

    name: str
    over_mm: float | None
    up_to_mm: float | None

    def holds(self, size_mm: float | None) -> bool:
        if size_mm is None or self.over_mm is None:
            return size_mm is None and self.over_mm is None
        return self.over_mm < size_mm <= (math.inf if self.up_to_mm is None else self.up_to_mm)


@dataclass(frozen=True)
class SizeFigures:
    """Lesions of one range of size; `auc` compares them with all kidneys without a lesion."""

    size: SizeRange
    sensitivity: Proportion
    auc: Auc | None


@dataclass(frozen=True)
class PopulationFigures:
    """The figures of one set of kidneys.

    Attributes:
        counts: at the thresholds of the run.
        auc: None if no kidney has a lesion, or all have.
        sweep: at multiples of the run's lesion threshold.
    """

    population: str
    kidneys: int
    counts: Confusion
    auc: Auc | None
    by_size: tuple[SizeFigures, ...]
    sweep: tuple[SweepRow, ...]


@dataclass(frozen=True)
class Figures:
    """The figures of both sets of kidneys."""

    assessable: PopulationFigures
    all_labelled: PopulationFigures


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """The document evaluation.json (docs/evaluate.md); `masks`: None unless they were compared."""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT

    schema_version: Literal[1] = 1
    rcc_onnx_version: str = __version__
    notice: str
    figures: Figures
    masks: MaskResults | None
    cohort: Cohort

    @property
    def populations(self) -> tuple[tuple[PopulationFigures, tuple[Kidney, ...]], ...]:
        """The figures of both sets of kidneys, each with its kidneys."""
        return (
            (self.figures.assessable, self.cohort.of(Group.ASSESSABLE)),
            (self.figures.all_labelled, self.cohort.kidneys),
        )


def evaluate(
    cohort: Cohort,
    edges_mm: Sequence[float] = DEFAULT_SIZE_EDGES_MM,
    masks: MaskResults | None = None,
) -> Evaluation:
    """Return all figures of a cohort, at the edges of lesion sizes.

    Raises:
        OptionError: as `size_ranges`.
    """
    ranges = size_ranges(edges_mm)
    threshold = cohort.setup.thresholds.lesion
    figures = Figures(
        _population("assessable kidneys", cohort.of(Group.ASSESSABLE), threshold, ranges),
        _population("all labelled kidneys", cohort.kidneys, threshold, ranges),
    )
    notice = " ".join(cohort.setup.notices)
    return Evaluation(notice=notice, figures=figures, masks=masks, cohort=cohort)


def size_ranges(edges_mm: Sequence[float]) -> tuple[SizeRange, ...]:
    """Return the ranges between the edges, below and above them, and the one without a size.

    Raises:
        OptionError: the edges are not rising numbers above 0.
    """
    steps = [0.0, *edges_mm, math.inf]
    if not edges_mm or any(not before < after for before, after in pairwise(steps)):
        raise OptionError(
            "edges of lesion sizes must be rising numbers above 0, such as 15,25,40, not "
            f"{','.join(f'{edge:g}' for edge in edges_mm)}"
        )
    return (
        SizeRange(f"up to {edges_mm[0]:g} mm", 0.0, edges_mm[0]),
        *(
            SizeRange(f"over {over:g} to {up_to:g} mm", over, up_to)
            for over, up_to in pairwise(edges_mm)
        ),
        SizeRange(f"over {edges_mm[-1]:g} mm", edges_mm[-1], None),
        SizeRange("size not given", None, None),
    )


def _population(
    name: str, kidneys: Sequence[Kidney], threshold: float, ranges: Sequence[SizeRange]
) -> PopulationFigures:
    with_lesion, without_lesion = scores_by_label(kidneys)
    by_size = []
    for size in ranges:
        lesions = [kidney for kidney in kidneys if kidney.lesion and size.holds(kidney.size_mm)]
        found = sum(kidney.finding for kidney in lesions)
        area = auc(_scores(lesions), without_lesion)
        by_size.append(SizeFigures(size, proportion(found, len(lesions)), area))
    cells = [kidney.counted_as for kidney in kidneys]
    thresholds = sorted({threshold * factor for factor in SWEEP_FACTORS})
    return PopulationFigures(
        population=name,
        kidneys=len(kidneys),
        counts=confusion(*map(cells.count, get_args(CountedAs))),
        auc=auc(with_lesion, without_lesion),
        by_size=tuple(by_size),
        sweep=tuple(counts_at(with_lesion, without_lesion, value) for value in thresholds),
    )


def scores_by_label(kidneys: Sequence[Kidney]) -> tuple[Floats, Floats]:
    """Return the scores of kidneys with and without a lesion; minus infinity without a score."""
    return (
        _scores([kidney for kidney in kidneys if kidney.lesion]),
        _scores([kidney for kidney in kidneys if not kidney.lesion]),
    )


def _scores(kidneys: Sequence[Kidney]) -> Floats:
    scores = [-np.inf if kidney.score is None else kidney.score for kidney in kidneys]
    return np.array(scores, np.float64)
