"""Masks of kidneys and suspected lesions on the network volume (docs/outputs.md)."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from rcc_onnx.findings import NetworkImages, SideFinding
from rcc_onnx.values import HALF_WIDTH, SIDES, Outcome, Side, Structure

KIDNEYS: dict[Side, Structure] = {
    "right": Structure.RIGHT_KIDNEY,
    "left": Structure.LEFT_KIDNEY,
}
SUSPECTED = (Outcome.LESION, Outcome.LESION_NOT_LOCATED)
"""Outcomes whose lesion sum exceeds its threshold."""


def half_of(side: Side) -> tuple[slice, slice, slice]:
    """Where a side lies in the network volume."""
    columns = slice(0, HALF_WIDTH) if side == "right" else slice(HALF_WIDTH, 2 * HALF_WIDTH)
    return slice(None), slice(None), columns


def structure_labels(
    images: NetworkImages, sides: Mapping[Side, SideFinding], cutoff: float
) -> NDArray[np.uint8]:
    """Labels of the network volume: uint8, `Structure`, 0 elsewhere; same shape.

    A side has its kidney's mask if a kidney was found there, and its lesion's if the lesion sum
    exceeds the threshold: masks say what the outcome says. Where they overlap it is the lesion.
    """
    labels = np.zeros(images.kidney_probability.shape, np.uint8)
    for side in SIDES:
        outcome, half = sides[side].outcome, half_of(side)
        if outcome is Outcome.KIDNEY_NOT_FOUND:
            continue
        labels[half][images.kidney_probability[half] >= cutoff] = KIDNEYS[side]
        if outcome in SUSPECTED:
            crop = images.crops[side]
            labels[crop.where][crop.probability >= cutoff] = Structure.SUSPECTED_LESION
    return labels
