"""Figures over phantom records: rates with Wilson intervals, Dice with a bootstrap interval."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import binomtest, bootstrap

from rcc_onnx.types import Outcome, Side

SIZE_BINS_MM = ((8.0, 15.0), (15.0, 20.0), (20.0, 30.0), (30.0, 40.0))
TARGET_MM = (15.0, 40.0)
"""Smaller lesions are reported separately: 50 voxels of 20 mm³ are 1 ml, a sphere of 12 mm."""


@dataclass(frozen=True)
class KidneyRecord:
    """One side of one phantom: the truth and the findings.

    Attributes:
        lesion_mm, cyst_mm: diameters; None where none was drawn.
        dice: of the kidney on this side of the network grid; None where there is no kidney.
        box_on_lesion: whether the box holds lesion; None where there is no box or no lesion.
    """

    seed: int
    side: Side
    present: bool
    lesion_mm: float | None
    cyst_mm: float | None
    outcome: str
    kidney_sum: float
    lesion_sum: float | None
    dice: float | None
    box_on_lesion: bool | None

    @property
    def flagged(self) -> bool:
        return self.outcome in (Outcome.LESION, Outcome.LESION_NOT_LOCATED)

    @property
    def found(self) -> bool:
        return self.outcome != Outcome.KIDNEY_NOT_FOUND


@dataclass(frozen=True)
class Rate:
    """A proportion."""

    hits: int
    of: int

    def interval(self) -> tuple[float, float]:
        """Return the 95 % Wilson interval."""
        bounds = binomtest(self.hits, self.of).proportion_ci(method="wilson")
        return float(bounds.low), float(bounds.high)

    def __str__(self) -> str:
        if self.of == 0:
            return "none"
        low, high = self.interval()
        share = self.hits / self.of
        return f"{share:.1%} ({self.hits}/{self.of}; 95 % CI {low:.1%} to {high:.1%})"


def rate(records: Sequence[KidneyRecord], hit: Callable[[KidneyRecord], object]) -> Rate:
    """Count the records that are hits."""
    return Rate(sum(bool(hit(record)) for record in records), len(records))


def figures(records: Sequence[KidneyRecord]) -> list[tuple[str, str]]:
    """Return the rows of the model card, as (name, value in words)."""
    present = [record for record in records if record.present]
    absent = [record for record in records if not record.present]
    negative = [record for record in present if record.lesion_mm is None]
    boxed = [record for record in present if record.box_on_lesion is not None]

    def sensitivity(low: float, high: float) -> tuple[str, str]:
        chosen = [record for record in present if low <= (record.lesion_mm or 0) < high]
        name = f"sensitivity, lesions of {low:g} to {high:g} mm"
        return name, str(rate(chosen, lambda record: record.flagged))

    def specificity(chosen: Sequence[KidneyRecord]) -> str:
        return str(rate(chosen, lambda record: not record.flagged))

    return [
        ("kidney Dice, mean", mean_dice(present)),
        sensitivity(*TARGET_MM),
        *(sensitivity(*size) for size in SIZE_BINS_MM),
        ("specificity, all kidneys without lesion", specificity(negative)),
        (
            "specificity, kidneys with a simple cyst",
            specificity([record for record in negative if record.cyst_mm]),
        ),
        (
            "specificity, kidneys with neither",
            specificity([record for record in negative if not record.cyst_mm]),
        ),
        ("kidneys found", str(rate(present, lambda record: record.found))),
        ("absent kidneys reported as found", str(rate(absent, lambda record: record.found))),
        ("boxes that hold lesion", str(rate(boxed, lambda record: record.box_on_lesion))),
        ("wrong sides", str(len(wrong_sides(records)))),
    ]


def mean_dice(present: Sequence[KidneyRecord]) -> str:
    """Return the mean Dice with a bootstrap interval, and the lowest one, in words."""
    dices = np.array([record.dice for record in present if record.dice is not None])
    # Fixed, so that the same records give the same interval.
    spread = bootstrap((dices,), np.mean, rng=np.random.default_rng(0)).confidence_interval
    return (
        f"{dices.mean():.4f} (95 % CI {spread.low:.4f} to {spread.high:.4f}; lowest "
        f"{dices.min():.3f})"
    )


def wrong_sides(records: Sequence[KidneyRecord]) -> list[int]:
    """Return seeds of phantoms with a lesion on one side, flagged on the other side alone."""
    wrong = []
    for seed in sorted({record.seed for record in records}):
        pair = [record for record in records if record.seed == seed]
        with_lesion = {record.side for record in pair if record.lesion_mm}
        flagged = {record.side for record in pair if record.flagged}
        if len(with_lesion) == 1 and flagged and not flagged & with_lesion:
            wrong.append(seed)
    return wrong


def markdown(records: Sequence[KidneyRecord], command: str) -> str:
    """Return the table for the model card."""
    studies = len({record.seed for record in records})
    kidneys = sum(record.present for record in records)
    lines = [
        "**No medical performance.** Digital phantoms are far simpler than people. These figures",
        "say that the networks do what they were trained for, and nothing about patients.",
        "",
        f"{studies} digital phantom studies, {kidneys} kidneys. Command:",
        f"`{command}`",
        "",
        "| per kidney, at the bundle's thresholds | phantoms |",
        "|---|---|",
        *(f"| {name} | {value} |" for name, value in figures(records)),
    ]
    return "\n".join(lines) + "\n"
