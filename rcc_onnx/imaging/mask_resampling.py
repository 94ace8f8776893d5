"""Masks at the voxels of the source series, from probabilities on the network volume.

Between two analysed slices the outline moves evenly from the first to the second: shape-based
interpolation, after Raya and Udupa, IEEE Trans Med Imaging 1990;9:32-42. The distance to the
outline is interpolated, with the probability as its fraction of a pixel; so that at every pixel
that the network saw, the mask is the network's own.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rcc_onnx.imaging.body_mask import Mask
from rcc_onnx.imaging.placement import Placement
from rcc_onnx.types import GRID_SIZE, Side, Structure

REACH = 8
"""Pixels of the grid (16 mm) up to which distances are computed: outlines of kidneys move less from
one analysed slice to the next."""


class MaskPart(NamedTuple):
    """A piece of a slice of the canonical volume, from `first_row` and `first_column` on."""

    first_row: int
    first_column: int
    mask: Mask

    @property
    def where(self) -> tuple[slice, slice]:
        """Its rows and columns in the slice."""
        rows, columns = self.mask.shape
        return (
            slice(self.first_row, self.first_row + rows),
            slice(self.first_column, self.first_column + columns),
        )


@dataclass(frozen=True)
class SourceMask:
    """The mask of one structure of one side, computed slice by slice when asked for.

    Attributes:
        box: where in the network volume it lies, with a margin of one voxel.
        depth_inside: float32 of the box's shape: 0 or more inside.
    """

    side: Side
    structure: Structure
    placement: Placement
    box: tuple[slice, slice, slice]
    depth_inside: NDArray[np.float32]

    def slices(self) -> Iterator[tuple[int, MaskPart]]:
        """Yield every canonical slice that holds a voxel of the mask, with that part."""
        for index in np.flatnonzero(self._within(0)).tolist():
            part = self.slice(index)
            if part is not None:
                yield index, part

    def slice(self, index: int) -> MaskPart | None:
        """Return the mask's part of a canonical slice; None without a voxel there."""
        z, y, x = self.placement.between
        rows, columns = np.flatnonzero(self._within(1)), np.flatnonzero(self._within(2))
        if not (self._within(0)[index] and rows.size and columns.size):
            return None
        low, high = z.low[index] - self.box[0].start, z.high[index] - self.box[0].start
        weight = z.weight[index]
        plane = self.depth_inside[low] * (1 - weight) + self.depth_inside[high] * weight
        if not (plane >= 0).any():
            return None
        grid = np.full((GRID_SIZE, GRID_SIZE), -1.0, np.float32)
        grid[self.box[1:]] = plane
        mask = x.pick(y.pick(grid, rows).T, columns).T >= 0
        return MaskPart(int(rows[0]), int(columns[0]), mask) if mask.any() else None

    def _within(self, axis: int) -> Mask:
        """Return which source indices of an axis lie between places of the box."""
        between, span = self.placement.between[axis], self.box[axis]
        within: Mask = between.reached & (between.low >= span.start) & (between.high < span.stop)
        return within


def source_mask(
    side: Side,
    structure: Structure,
    placement: Placement,
    probability: NDArray[np.float32],
    cutoff: float,
) -> SourceMask | None:
    """Return the mask of probabilities (depth, 160, 160) from a cut-off on; None if it is empty.

    Blank slices of the network volume are not in the patient and have no mask.
    """
    hits = np.zeros(probability.shape, np.bool_)
    hits[placement.real_places] = probability[placement.real_places] >= cutoff
    if not hits.any():
        return None
    spans: list[slice] = []
    size: int
    for axis, size in enumerate(hits.shape):
        others = tuple(other for other in range(3) if other != axis)
        there = np.flatnonzero(hits.any(axis=others))
        spans.append(slice(max(int(there[0]) - 1, 0), min(int(there[-1]) + 2, size)))
    z, y, x = spans
    real = placement.real_places
    box = (slice(max(z.start, real.start), min(z.stop, real.stop)), y, x)
    depth = depth_inside(probability[box], cutoff)
    return SourceMask(side, structure, placement, box, depth)


def depth_inside(probability: NDArray[np.float32], cutoff: float) -> NDArray[np.float32]:
    """Return the depth in pixels of slices (n, rows, columns) inside their own masks.

    0 or more exactly where the probability reaches the cut-off. Next to the outline it is the
    probability less the cut-off; each pixel farther off adds one, up to `REACH`.
    """
    inside = probability >= cutoff
    steps = np.where(inside, distance_to(~inside), -distance_to(inside))
    farther = np.sign(steps) * np.maximum(np.abs(steps) - 1, 0)
    depth: NDArray[np.float32] = farther + (probability - np.float32(cutoff))
    return depth


def distance_to(mask: Mask) -> NDArray[np.float32]:
    """Return the Euclidean distance in pixels to the mask of the same slice, at most `REACH`.

    0 on the mask. Shape (n, rows, columns).
    """
    along_rows = _distance_along_rows(mask).astype(np.float32) ** 2
    nearest = np.full(mask.shape, REACH**2, np.float32)
    rows = mask.shape[1]
    for step in range(-min(REACH, rows - 1), min(REACH, rows - 1) + 1):
        own = slice(max(-step, 0), rows - max(step, 0))
        other = slice(max(step, 0), rows - max(-step, 0))
        np.minimum(nearest[:, own], along_rows[:, other] + step**2, out=nearest[:, own])
    return np.sqrt(nearest)


def _distance_along_rows(mask: Mask) -> NDArray[np.intp]:
    """Return the distance in pixels to the mask on the same row, at most `REACH`."""
    columns = np.arange(mask.shape[2])
    last_seen = np.maximum.accumulate(np.where(mask, columns, -REACH), axis=2)
    to_come = np.where(mask, columns, mask.shape[2] + REACH)[:, :, ::-1]
    next_seen = np.minimum.accumulate(to_come, axis=2)[:, :, ::-1]
    return np.minimum(np.minimum(columns - last_seen, next_seen - columns), REACH)
