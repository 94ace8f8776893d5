"""Centre of a kidney, its crop, and the box of a suspected lesion (docs/pipeline.md sections 2, 3).

Both decisions are made on a probability map: on its slice with the largest sum, and there on the
longest run of rows and the longest run of pixels of the middle one of these.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rcc_onnx.errors import ProbabilityMapError
from rcc_onnx.types import CROP_SHAPE_ZYX, Centre, LesionBox

KIDNEY_MIN_ROW_SUM = 2.0
LESION_MIN_ROW_SUM = 1.0
"""A row belongs to the structure from this sum of probabilities on."""
KIDNEY_MIN_PROBABILITY = 0.5
LESION_MIN_PROBABILITY = 0.5
"""A pixel on the centre row belongs to the structure from this probability on."""
BOX_MARGIN = 12
"""Pixels that the square box is larger than the lesion's longer side."""


class Run(NamedTuple):
    """Indices of a run. `end` is the first index after it, or the last index of the line."""

    start: int
    end: int

    @property
    def middle(self) -> int:
        """Half way between the two indices, rounded down."""
        return (self.start + self.end) // 2

    @property
    def length(self) -> int:
        return self.end - self.start


def longest_run(hits: NDArray[np.bool_]) -> Run | None:
    """Return the longest run of hits on a line, of equals the first; None without a hit.

    A run that is still open at the end of the line ends at the last index, not after it, so it
    counts as one shorter than it is (docs/pipeline.md section 2).
    """
    steps = np.diff(hits.astype(np.int8), prepend=0, append=0)
    starts = np.flatnonzero(steps == 1)
    if starts.size == 0:
        return None
    ends = np.minimum(np.flatnonzero(steps == -1), hits.size - 1)
    longest = int(np.argmax(ends - starts))
    return Run(int(starts[longest]), int(ends[longest]))


def as_probability_map(values: ArrayLike) -> NDArray[Any]:
    """Return the map in C order and native bytes, in its own dtype; the input is not changed.

    C order, because the rounding of a sum depends on the order of its terms. Half precision
    becomes float32: sums of a whole volume overflow it.

    Raises:
        ProbabilityMapError: not three axes, an empty axis, not real numbers, masked, or NaN or
            infinity.
    """
    if np.ma.isMaskedArray(values):
        raise ProbabilityMapError(
            "the probability map is a masked array; fill in what masked voxels count as first"
        )
    try:
        array = np.asarray(values)
    except ValueError as error:
        raise ProbabilityMapError(
            "a probability map is an array (slices, rows, columns), not rows of unequal length"
        ) from error
    if array.ndim != 3 or 0 in array.shape:
        raise ProbabilityMapError(
            "a probability map has three axes (slices, rows, columns), none of them empty; "
            f"this one has the shape {array.shape}"
        )
    if array.dtype.kind not in "biuf":
        raise ProbabilityMapError(
            f"a probability map holds real numbers; this one has the dtype {array.dtype}"
        )
    if not np.isfinite(array).all():
        raise ProbabilityMapError(
            "the probability map holds NaN or infinite values: the network that made it, or its "
            "input, is broken"
        )
    native = np.dtype(np.float32) if array.dtype == np.float16 else array.dtype.newbyteorder("=")
    return np.ascontiguousarray(array, dtype=native)


def locate_kidney(probability: ArrayLike) -> Centre | None:
    """Return the centre of the kidney in the map of one side; None if it cannot be located.

    Args:
        probability: any real dtype, shape (slices, rows, columns), of the pipeline
            (slices, 160, 80). Not changed.

    Returns:
        Indices into the map. z is the slice with the largest sum, y the middle of its longest run
        of rows that sum to 2 or more, x the middle of the longest run of pixels at 0.5 or more on
        row y. None if there is no such run of rows, or of pixels. Whether the map's sum is enough
        for a kidney at all is not asked here.

    Raises:
        ProbabilityMapError: as `as_probability_map`.
    """
    volume = as_probability_map(probability)
    found = _runs_on_largest_slice(volume, KIDNEY_MIN_ROW_SUM, KIDNEY_MIN_PROBABILITY)
    if found is None:
        return None
    z, rows, columns = found
    return Centre(z=z, y=rows.middle, x=columns.middle)


def _runs_on_largest_slice(
    volume: NDArray[Any], min_row_sum: float, min_probability: float
) -> tuple[int, Run, Run] | None:
    """Return the slice with the largest sum, and its runs of rows and of pixels on their middle."""
    z = int(np.argmax(volume.sum(axis=(1, 2))))
    rows = longest_run(volume[z].sum(axis=1) >= min_row_sum)
    columns = longest_run(volume[z, rows.middle] >= min_probability) if rows else None
    return (z, rows, columns) if rows and columns else None


def crop_around(half_volume: NDArray[Any], centre: Centre) -> NDArray[Any]:
    """Return the 40x64x64 voxels round a centre, moved inside where they would stick out: a view.

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
    """Return the place of the crop round a centre in a half volume of at least (40, 64, 64)."""
    z, y, x = (
        min(max(0, int(at - length / 2)), size - length)
        for at, length, size in zip(centre, CROP_SHAPE_ZYX, shape, strict=True)
    )
    depth, height, width = CROP_SHAPE_ZYX
    return slice(z, z + depth), slice(y, y + height), slice(x, x + width)


def bound_lesion(probability: ArrayLike, margin: int = BOX_MARGIN) -> LesionBox | None:
    """Return the square box round the suspected lesion of a crop; None if it cannot be located.

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
        ProbabilityMapError: as `as_probability_map`, or the margin is negative.
    """
    if margin < 0:
        raise ProbabilityMapError(f"the margin of a lesion box is 0 or more, not {margin}")
    crop = as_probability_map(probability)
    found = _runs_on_largest_slice(crop, LESION_MIN_ROW_SUM, LESION_MIN_PROBABILITY)
    if found is None:
        return None
    z, rows, columns = found
    half = int((max(rows.length, columns.length) + margin) / 2)
    return LesionBox(
        slice=z,
        top=max(rows.middle - half, 0),
        bottom=min(rows.middle + half, crop.shape[1] - 1),
        left=max(columns.middle - half, 0),
        right=min(columns.middle + half, crop.shape[2] - 1),
    )
