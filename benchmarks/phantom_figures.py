"""Figures over phantom records: rates with Wilson intervals, Dice with a bootstrap interval."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import binomtest, bootstrap

from rcc_onnx.types import Outcome, Side

SIZE_BINS_MM = ((8.0, 15.0), (15.0, 20.0), (20.0, 30.0), (30.0, 40.0))
ASKED_MM = (15.0, 40.0)
"""Smaller lesions are reported apart: 50 voxels of 20 mm³ are 1 ml, a sphere of 12 mm."""


@dataclass(frozen=True)
class KidneyRecord:
    """One side of one phantom: what was drawn and what was found.

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
        """95 % Wilson interval."""
        bounds = binomtest(self.hits, self.of).proportion_ci(method="wilson")
        return float(bounds.low), float(bounds.high)

    def __str__(self) -> str:
        if self.of == 0:
            return "none"
        low, high = self.interval()
        share = self.hits / self.of
        return f"{share:.1%} ({self.hits}/{self.of}; 95 % CI {low:.1%} to {high:.1%})"


def rate(records: Sequence[KidneyRecord], hit: Callable[[KidneyRecord], object]) -> Rate:
    """How many of the records are hits."""
    return Rate(sum(bool(hit(one)) for one in records), len(records))


def figures(records: Sequence[KidneyRecord]) -> list[tuple[str, str]]:
    """What the model card reports, as (name, value in words)."""
    present = [one for one in records if one.present]
    absent = [one for one in records if not one.present]
    negative = [one for one in present if one.lesion_mm is None]
    boxed = [one for one in present if one.box_on_lesion is not None]

    def sensitivity(low: float, high: float) -> tuple[str, str]:
        chosen = [one for one in present if one.lesion_mm and low <= one.lesion_mm < high]
        name = f"sensitivity, lesions of {low:g} to {high:g} mm"
        return name, str(rate(chosen, lambda one: one.flagged))

    def specificity(chosen: Sequence[KidneyRecord]) -> str:
        return str(rate(chosen, lambda one: not one.flagged))

    return [
        ("kidney Dice, mean", mean_dice(present)),
        sensitivity(*ASKED_MM),
        *(sensitivity(*size) for size in SIZE_BINS_MM),
        ("specificity, all kidneys without lesion", specificity(negative)),
        (
            "specificity, kidneys with a simple cyst",
            specificity([one for one in negative if one.cyst_mm]),
        ),
        (
            "specificity, kidneys with neither",
            specificity([one for one in negative if not one.cyst_mm]),
        ),
        ("kidneys found", str(rate(present, lambda one: one.found))),
        ("absent kidneys reported as found", str(rate(absent, lambda one: one.found))),
        ("boxes that hold lesion", str(rate(boxed, lambda one: one.box_on_lesion))),
        ("wrong sides", str(len(wrong_sides(records)))),
    ]


def mean_dice(present: Sequence[KidneyRecord]) -> str:
    """Mean Dice with a bootstrap interval and the lowest one, in words."""
    dices = np.array([one.dice for one in present if one.dice is not None])
    # Fixed, so that the same records give the same interval.
    spread = bootstrap((dices,), np.mean, rng=np.random.default_rng(0)).confidence_interval
    return (
        f"{dices.mean():.4f} (95 % CI {spread.low:.4f} to {spread.high:.4f}; lowest "
        f"{dices.min():.3f})"
    )


def wrong_sides(records: Sequence[KidneyRecord]) -> list[int]:
    """Seeds of phantoms with a lesion on one side only, flagged on the other side alone."""
    wrong = []
    for seed in sorted({one.seed for one in records}):
        pair = [one for one in records if one.seed == seed]
        with_lesion = {one.side for one in pair if one.lesion_mm}
        flagged = {one.side for one in pair if one.flagged}
        if len(with_lesion) == 1 and flagged and not flagged & with_lesion:
            wrong.append(seed)
    return wrong


def markdown(records: Sequence[KidneyRecord], command: str) -> str:
    """The table for the model card."""
    studies = len({one.seed for one in records})
    kidneys = sum(one.present for one in records)
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
