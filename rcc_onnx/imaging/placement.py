"""Geometry of the network volume in the source series and in the patient (docs/outputs.md).

Three frames meet here, all with axes z, y, x:

- the *network volume*: (slices, 160, 160), 2 mm pixels, slices about 5 mm apart, padded with blank
  slices where the study is short;
- the *canonical volume*: the slices of the series head first, each reoriented to rows anterior ->
  posterior and columns patient right -> left;
- the *file*: the arrays as the DICOM files hold them.

The network volume takes single pixels and slices of the canonical one (docs/pipeline.md section 1).
Per axis, an image of `size` pixels is resized to `resized` pixels of 2 mm with the nearest
neighbour, and of that the middle 160 are kept, or it is put in the middle of zeros: each of the 160
places either shows one source pixel or stays zero.
On the way back a source pixel lies between picked ones, on each axis, and is interpolated.
"""

import math
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from rcc_onnx.types import GRID_SIZE

Span = tuple[int, int]
"""First and last row, or column."""
PIXEL_MM = 2.0
"""Pixel spacing of the network grid."""


@dataclass(frozen=True)
class AxisMap:
    """The source pixels that one axis of the grid shows.

    Attributes:
        sources: index of the source pixel for each of the places from `first` on.
        first: first place of the grid that shows the image; places outside stay zero.
    """

    sources: NDArray[np.intp]
    first: int

    @property
    def places(self) -> slice:
        """The places of the grid that show the image."""
        return slice(self.first, self.first + self.sources.size)


def resized_length(size: int, spacing_mm: float) -> int:
    """Return the number of 2 mm pixels for `size` pixels of `spacing_mm`, rounded down."""
    return int(size * spacing_mm / PIXEL_MM)


@lru_cache(maxsize=64)
def axis_map(size: int, resized: int) -> AxisMap:
    """Return the map of one axis. `resized` may be larger or smaller than the grid, at least 1."""
    nearest = _nearest_indices(size, resized)
    if resized > GRID_SIZE:
        offset = (resized - GRID_SIZE) // 2
        nearest = nearest[offset : offset + GRID_SIZE]
    nearest.setflags(write=False)
    return AxisMap(sources=nearest, first=max((GRID_SIZE - resized) // 2, 0))


def _nearest_indices(size: int, resized: int) -> NDArray[np.intp]:
    """Return the source index for each resized pixel, by Pillow's NEAREST itself.

    Pillow adds up a step in floating point; floor((i + 0.5) x size / resized) differs from that for
    some lengths.
    """
    ramp = Image.fromarray(np.arange(size, dtype=np.int32)[np.newaxis, :])
    picked = ramp.resize((resized, 1), Image.Resampling.NEAREST)
    indices: NDArray[np.intp] = np.array(picked, dtype=np.intp)[0]
    return indices


@dataclass(frozen=True)
class Reorientation:
    """From a file's array to rows anterior -> posterior, columns patient right -> left.

    First the transposition, then the flips of the transposed array's axes.
    """

    transpose: bool = False
    flip_rows: bool = False
    flip_columns: bool = False

    def apply(self, array: NDArray[Any]) -> NDArray[Any]:
        """Return the canonical array: a view, of shape (columns, rows) if transposed."""
        return (array.T if self.transpose else array)[self._steps]

    def undo(self, array: NDArray[Any]) -> NDArray[Any]:
        """Return the array as the file has it, from a canonical one: a view."""
        flipped = array[self._steps]
        return flipped.T if self.transpose else flipped

    @property
    def _steps(self) -> tuple[slice, slice]:
        row_step, column_step = (-1 if flip else 1 for flip in (self.flip_rows, self.flip_columns))
        return slice(None, None, row_step), slice(None, None, column_step)


class SourceImage(NamedTuple):
    """The image of a file that one canonical slice comes from.

    `frame` counts from 1, as DICOM references do; None in a single-frame file. `position_mm` is its
    ImagePositionPatient, if it is known.
    """

    file_name: str
    sop_class_uid: str
    sop_instance_uid: str
    frame: int | None
    position_mm: tuple[float, ...] | None = None


@dataclass(frozen=True)
class Placement:
    """The relation between a network volume and the canonical volume that it was made from.

    Attributes:
        images: where each canonical slice comes from, head first.
        reorientation: from each file's array to the canonical slice.
        shape_yx: rows and columns of the canonical slices.
        affine_zyx_lps: 4x4, from (slice, row, column, 1) of the canonical volume to the patient's
            x, y, z in mm, voxel centres (`Study.affine_zyx_lps`).
        rows, columns: which canonical pixels the grid shows.
        stride: the network volume shows canonical slices 0, stride, 2 x stride ...
        padding_before: blank slices before the first.
        depth: slices of the network volume.
    """

    images: tuple[SourceImage, ...]
    reorientation: Reorientation
    shape_yx: tuple[int, int]
    affine_zyx_lps: NDArray[np.float64]
    rows: AxisMap
    columns: AxisMap
    stride: int
    padding_before: int
    depth: int

    @property
    def shape_zyx(self) -> tuple[int, int, int]:
        """Shape of the canonical volume."""
        return (len(self.images), *self.shape_yx)

    @property
    def spacing_zyx_mm(self) -> tuple[float, float, float]:
        """Distances between slices, rows and columns."""
        z, y, x = np.linalg.norm(self.affine_zyx_lps[:3, :3], axis=0).tolist()
        return z, y, x

    @property
    def voxel_mm3(self) -> float:
        """Volume of a source voxel."""
        return float(abs(np.linalg.det(self.affine_zyx_lps[:3, :3])))

    @property
    def network_voxel_mm3(self) -> float:
        """Volume in the patient of a voxel of the network volume."""
        return self.voxel_mm3 * self.stride * _step(self.rows) * _step(self.columns)

    @property
    def real_places(self) -> slice:
        """The slices of the network volume that are not blank."""
        return slice(
            self.padding_before, self.padding_before + math.ceil(len(self.images) / self.stride)
        )

    @cached_property
    def between(self) -> tuple["LinearInterpolation", "LinearInterpolation", "LinearInterpolation"]:
        """Places of each canonical slice, row and column in the network volume.

        Slices behind the last analysed one, fewer than the stride, are at its place.
        """
        indices = np.arange(len(self.images))
        at = np.minimum(indices / self.stride, (len(self.images) - 1) // self.stride)
        return (
            LinearInterpolation.of(self.padding_before + at, np.ones(at.shape, np.bool_)),
            pixels_between(self.rows, self.shape_yx[0]),
            pixels_between(self.columns, self.shape_yx[1]),
        )

    def source_slice(self, place: int) -> int:
        """Return the canonical slice that a (not blank) slice of the network volume shows."""
        return (place - self.padding_before) * self.stride

    def resample_slice(
        self, volume: NDArray[np.float32], index: int, fill: float = 0.0
    ) -> NDArray[np.float32]:
        """Return one canonical slice of a volume (depth, 160, 160), linear between voxels.

        Shape (rows, columns), `fill` beyond the grid. At the pixels that the grid shows, it equals
        the volume to the bit.
        """
        z, y, x = self.between
        resampled = np.full(self.shape_yx, fill, np.float32)
        rows, columns = np.flatnonzero(y.reached), np.flatnonzero(x.reached)
        plane = z.pick(volume, np.array([index]))[0]
        resampled[np.ix_(rows, columns)] = x.pick(y.pick(plane, rows).T, columns).T
        return resampled

    def to_lps(self, zyx: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return positions in mm, (..., 3), of canonical indices, whole or not."""
        moved: NDArray[np.float64] = (
            zyx @ self.affine_zyx_lps[:3, :3].T + self.affine_zyx_lps[:3, 3]
        )
        return moved

    def file_pixels(self, rows: Span, columns: Span) -> tuple[Span, Span]:
        """Return the rows and columns of the file from those of the canonical slice."""
        rows, columns = self._flipped(rows, columns)
        return (columns, rows) if self.reorientation.transpose else (rows, columns)

    def canonical_pixels(self, rows: Span, columns: Span) -> tuple[Span, Span]:
        """Return the rows and columns of the canonical slice from those of the file."""
        if self.reorientation.transpose:
            rows, columns = columns, rows
        return self._flipped(rows, columns)

    def _flipped(self, rows: Span, columns: Span) -> tuple[Span, Span]:
        height, width = self.shape_yx
        if self.reorientation.flip_rows:
            rows = (height - 1 - rows[1], height - 1 - rows[0])
        if self.reorientation.flip_columns:
            columns = (width - 1 - columns[1], width - 1 - columns[0])
        return rows, columns


@dataclass(frozen=True)
class LinearInterpolation:
    """Places of source indices of one axis in the network volume, each between two voxels.

    Attributes:
        low, high: the two places; the same where a source pixel is at a place.
        weight: float32, of `high`; 0 at a place.
        reached: False for source pixels beyond the grid, whose places are not meaningful.
    """

    low: NDArray[np.intp]
    high: NDArray[np.intp]
    weight: NDArray[np.float32]
    reached: NDArray[np.bool_]

    @classmethod
    def of(cls, at: NDArray[np.float64], reached: NDArray[np.bool_]) -> "LinearInterpolation":
        """Return it for places that need not be whole numbers."""
        low = np.floor(at).astype(np.intp)
        weight = (at - low).astype(np.float32)
        return cls(low, np.where(weight > 0, low + 1, low), weight, reached)

    def pick(self, values: NDArray[np.float32], indices: NDArray[np.intp]) -> NDArray[np.float32]:
        """Return values at source indices, from those of all places along the first axis."""
        weight = self.weight[indices].reshape(-1, *(1,) * (values.ndim - 1))
        low, high = values[self.low[indices]], values[self.high[indices]]
        picked: NDArray[np.float32] = low * (1 - weight) + high * weight
        return picked


def pixels_between(axis: AxisMap, size: int) -> LinearInterpolation:
    """Return where each of `size` source pixels of an axis is on the grid.

    Reached are pixels up to half a step before the first and behind the last that the grid shows.
    Where pixels are larger than 2 mm, the grid shows one several times; it is at the first.
    """
    pixels = np.arange(size)
    sources, firsts = np.unique(axis.sources, return_index=True)
    half_step = _step(axis) / 2
    reached = (pixels >= sources[0] - half_step) & (pixels <= sources[-1] + half_step)
    return LinearInterpolation.of(axis.first + np.interp(pixels, sources, firsts), reached)


def _step(axis: AxisMap) -> float:
    """Return source pixels from one place to the next, on average."""
    return float(axis.sources[-1] - axis.sources[0]) / max(axis.sources.size - 1, 1)
