"""What the two decisions on probability maps share: checking a map, and runs on a line."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rcc_onnx.errors import ProbabilityMapError


class Run(NamedTuple):
    """Indices of a run. `end` is the first index after it, or the last index of the line."""

    start: int
    end: int

    @property
    def middle(self) -> int:
        """Half way between the two indices, rounded down."""
        return (self.start + self.end) // 2


def longest_run(hits: NDArray[np.bool_]) -> Run | None:
    """The longest run of consecutive hits on a line; of equals the first; None without a hit.

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
    """The map as an array in C order and native bytes, in its own dtype; the input is not changed.

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
