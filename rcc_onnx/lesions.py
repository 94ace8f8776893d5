"""The box round a suspected lesion, from the 3D network's probabilities (docs/pipeline.md
section 3)."""

import numpy as np
from numpy.typing import ArrayLike

from rcc_onnx.errors import ProbabilityMapError
from rcc_onnx.runs import Run, as_probability_map, longest_run
from rcc_onnx.values import LesionBox

MIN_ROW_SUM = 1.0
"""A row belongs to the lesion from this sum of probabilities on."""
MIN_PROBABILITY = 0.5
"""A pixel on the centre row belongs to the lesion from this probability on."""
BOX_MARGIN = 12
"""Pixels that the square box is larger than the lesion's longer side."""


def bound_lesion(probability: ArrayLike, margin: int = BOX_MARGIN) -> LesionBox | None:
    """Square box round the suspected lesion of a crop, or None if it cannot be located.

    Args:
        probability: any real dtype, shape (slices, rows, columns), of the pipeline (40, 64, 64).
            Not changed.
        margin: how many pixels the box is larger than the lesion's longer side, both ends
            together.

    Returns:
        The slice with the largest sum, and on it the box, edges included, cut at the border of
        the crop. None if no row sums to 1 or more, or no pixel of the centre row reaches 0.5.
        Whether the map's sum is enough for a lesion at all is not asked here.

    Raises:
        ProbabilityMapError: not three axes, an empty axis, not real numbers, NaN or infinity, or
            a negative margin.
    """
    if margin < 0:
        raise ProbabilityMapError(f"the margin of a lesion box is 0 or more, not {margin}")
    crop = as_probability_map(probability)
    z = int(np.argmax(crop.sum(axis=(1, 2))))
    rows = longest_run(crop[z].sum(axis=1) >= MIN_ROW_SUM)
    if rows is None:
        return None
    columns = longest_run(crop[z, rows.middle] >= MIN_PROBABILITY)
    if columns is None:
        return None
    half = int((max(_length(rows), _length(columns)) + margin) / 2)
    last_row, last_column = crop.shape[1] - 1, crop.shape[2] - 1
    return LesionBox(
        slice=z,
        top=max(rows.middle - half, 0),
        bottom=min(rows.middle + half, last_row),
        left=max(columns.middle - half, 0),
        right=min(columns.middle + half, last_column),
    )


def _length(run: Run) -> int:
    return run.end - run.start
