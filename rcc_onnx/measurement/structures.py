"""Masks of kidneys and suspected lesions: which there are (docs/outputs.md).

A side has its kidney's mask if a kidney was found there, and its lesion's if the lesion sum exceeds
the threshold: masks say what the outcome says. Where they overlap it is the lesion.
"""

from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from rcc_onnx.imaging.images import NetworkImages
from rcc_onnx.imaging.mask_resampling import SourceMask, source_mask
from rcc_onnx.imaging.placement import Placement
from rcc_onnx.results import SUSPECTED, SideFinding
from rcc_onnx.types import HALF_WIDTH, SIDES, Outcome, Side, Structure

KIDNEYS: dict[Side, Structure] = {
    "right": Structure.RIGHT_KIDNEY,
    "left": Structure.LEFT_KIDNEY,
}


def half_of(side: Side) -> tuple[slice, slice, slice]:
    """Return the place of a side in the network volume."""
    columns = slice(0, HALF_WIDTH) if side == "right" else slice(HALF_WIDTH, 2 * HALF_WIDTH)
    return slice(None), slice(None), columns


def structure_labels(
    images: NetworkImages, sides: Mapping[Side, SideFinding], cutoff: float
) -> NDArray[np.uint8]:
    """Return labels of the network volume: uint8, `Structure`, 0 elsewhere; same shape."""
    labels = np.zeros(images.kidney_probability.shape, np.uint8)
    for _, structure, probability in _probabilities(images, sides):
        labels[probability >= cutoff] = structure
    return labels


def source_masks(
    images: NetworkImages,
    sides: Mapping[Side, SideFinding],
    placement: Placement,
    cutoff: float,
) -> tuple[SourceMask, ...]:
    """Return the masks that have a voxel, at the voxels of the series; lesions come last."""
    made = (
        source_mask(side, structure, placement, probability, cutoff)
        for side, structure, probability in _probabilities(images, sides)
    )
    return tuple(mask for mask in made if mask is not None)


def _probabilities(
    images: NetworkImages, sides: Mapping[Side, SideFinding]
) -> Iterator[tuple[Side, Structure, NDArray[np.float32]]]:
    """Yield every structure that was found, with its own probability in the network volume."""
    for side in SIDES:
        if sides[side].outcome is not Outcome.KIDNEY_NOT_FOUND:
            kidney = np.zeros_like(images.kidney_probability)
            kidney[half_of(side)] = images.kidney_probability[half_of(side)]
            yield side, KIDNEYS[side], kidney
    for side in SIDES:
        if sides[side].outcome in SUSPECTED:
            yield side, Structure.SUSPECTED_LESION, images.lesion_probability(side)
