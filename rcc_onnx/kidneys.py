"""Where a kidney is, from the 2D network's probabilities (docs/pipeline.md section 2)."""

from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rcc_onnx.errors import ProbabilityMapError
from rcc_onnx.runs import as_probability_map, longest_run
from rcc_onnx.values import CROP_SHAPE_ZYX, GRID_SIZE, HALF_WIDTH, Centre, Side

MIN_ROW_SUM = 2.0
"""A row belongs to the kidney from this sum of probabilities on."""
MIN_PROBABILITY = 0.5
"""A pixel on the centre row belongs to the kidney from this probability on."""

_Scalar = TypeVar("_Scalar", bound=np.generic)


def split_sides(volume: NDArray[_Scalar]) -> dict[Side, NDArray[_Scalar]]:
    """Views of the two halves of a (slices, 160, 160) volume: columns 0-79 right, 80-159 left.

    Raises:
        ProbabilityMapError: the shape is another one.
    """
    if volume.ndim != 3 or volume.shape[1:] != (GRID_SIZE, GRID_SIZE):
        raise ProbabilityMapError(
            f"a volume to split has the shape (slices, {GRID_SIZE}, {GRID_SIZE}), "
            f"not {volume.shape}"
        )
    return {"right": volume[:, :, :HALF_WIDTH], "left": volume[:, :, HALF_WIDTH:]}


def locate_kidney(probability: ArrayLike) -> Centre | None:
    """Centre of the kidney in the probability map of one side, or None if it cannot be located.

    Args:
        probability: any real dtype, shape (slices, rows, columns), of the pipeline
            (slices, 160, 80). Not changed.

    Returns:
        Indices into the map. z is the slice with the largest sum, y the middle of its longest run
        of rows that sum to 2 or more, x the middle of the longest run of pixels at 0.5 or more on
        row y. None if there is no such run of rows, or of pixels. Whether the map's sum is enough
        for a kidney at all is not asked here.

    Raises:
        ProbabilityMapError: not three axes, an empty axis, not real numbers, or NaN or infinity.
    """
    volume = as_probability_map(probability)
    z = int(np.argmax(volume.sum(axis=(1, 2))))
    rows = longest_run(volume[z].sum(axis=1) >= MIN_ROW_SUM)
    if rows is None:
        return None
    y = rows.middle
    columns = longest_run(volume[z, y] >= MIN_PROBABILITY)
    if columns is None:
        return None
    return Centre(z=z, y=y, x=columns.middle)


def crop_around(half_volume: NDArray[Any], centre: Centre) -> NDArray[Any]:
    """View of the 40x64x64 voxels round a centre, moved inside where they would stick out.

    Args:
        half_volume: one side, shape (slices, 160, 80) in the pipeline; at least (40, 64, 64).
        centre: indices into `half_volume`.

    Raises:
        ProbabilityMapError: the half volume is smaller than the crop, or has not three axes.
    """
    if half_volume.ndim != 3 or any(
        size < length for size, length in zip(half_volume.shape, CROP_SHAPE_ZYX, strict=True)
    ):
        raise ProbabilityMapError(
            f"a crop of {CROP_SHAPE_ZYX} cannot be cut from an array of shape {half_volume.shape}"
        )
    return half_volume[crop_place(half_volume.shape, centre)]


def crop_place(shape: tuple[int, ...], centre: Centre) -> tuple[slice, slice, slice]:
    """Where the crop round a centre lies in a half volume of a shape, at least (40, 64, 64)."""
    z, y, x = (
        _span(at, length, size)
        for at, length, size in zip(centre, CROP_SHAPE_ZYX, shape, strict=True)
    )
    return z, y, x


def _span(centre: int, length: int, size: int) -> slice:
    """`length` indices round the centre, pushed back into 0 ... size - 1."""
    start = min(max(0, int(centre - length / 2)), size - length)
    return slice(start, start + length)
