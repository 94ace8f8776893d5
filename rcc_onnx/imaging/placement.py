"""Where the network volume lies in the source series and in the patient (docs/outputs.md).

Three frames meet here, all with axes z, y, x:

- the *network volume*: (slices, 160, 160), 2 mm pixels, slices about 5 mm apart, padded with blank
  slices where the study is short;
- the *turned stack*: the slices of the series head first, each turned to rows anterior -> posterior
  and columns patient right -> left;
- the *file*: the arrays as the DICOM files hold them.

The way into the network volume picks pixels, slices and places (docs/pipeline.md section 1). On the
way back a source pixel lies between picked ones, on each axis, and gets what lies between theirs.
"""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from rcc_onnx.imaging.resampling import AxisMap
from rcc_onnx.types import GRID_SIZE

_Scalar = TypeVar("_Scalar", bound=np.generic)


@dataclass(frozen=True)
class Reorientation:
    """How a file's array is turned to rows anterior -> posterior, columns patient right -> left.

    First the transposition, then the flips of the transposed array's axes.
    """

    transpose: bool = False
    flip_rows: bool = False
    flip_columns: bool = False

    def apply(self, array: NDArray[Any]) -> NDArray[Any]:
        """The turned array: a view, of shape (columns, rows) if transposed."""
        turned = array.T if self.transpose else array
        return turned[self._steps]

    def undo(self, array: NDArray[Any]) -> NDArray[Any]:
        """The array as the file has it, from a turned one: a view."""
        flipped = array[self._steps]
        return flipped.T if self.transpose else flipped

    @property
    def _steps(self) -> tuple[slice, slice]:
        row_step, column_step = (-1 if flip else 1 for flip in (self.flip_rows, self.flip_columns))
        return slice(None, None, row_step), slice(None, None, column_step)


class SourceImage(NamedTuple):
    """The image of a file that one slice of the stack comes from.

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
    """How a network volume came from a stack of slices, and the way back.

    Attributes:
        images: where each slice of the stack comes from, head first.
        turn: how each file's array was turned.
        shape_yx: rows and columns of the turned slices.
        affine_zyx_lps: 4x4, from (slice, row, column, 1) of the turned stack to the patient's x, y,
            z in mm, voxel centres (`Study.affine_zyx_lps`).
        rows, columns: which pixels of the turned slices the grid shows.
        stride: every how many slices of the stack one is in the network volume.
        padding_before: blank slices before the first.
        depth: slices of the network volume.
    """

    images: tuple[SourceImage, ...]
    turn: Reorientation
    shape_yx: tuple[int, int]
    affine_zyx_lps: NDArray[np.float64]
    rows: AxisMap
    columns: AxisMap
    stride: int
    padding_before: int
    depth: int

    @property
    def shape_zyx(self) -> tuple[int, int, int]:
        """Of the turned stack."""
        return (len(self.images), *self.shape_yx)

    @property
    def spacing_zyx_mm(self) -> tuple[float, float, float]:
        """Lengths of the steps between slices, rows and columns."""
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
        """Where each slice, row and column of the turned stack lies in the network volume.

        Slices behind the last analysed one, fewer than the stride, have its place.
        """
        return (
            self._slices_between(),
            pixels_between(self.rows, self.shape_yx[0]),
            pixels_between(self.columns, self.shape_yx[1]),
        )

    def source_slice(self, place: int) -> int:
        """The slice of the stack that a (not blank) slice of the network volume shows."""
        return (place - self.padding_before) * self.stride

    def resample_slice(
        self, volume: NDArray[np.float32], index: int, fill: float = 0.0
    ) -> NDArray[np.float32]:
        """One slice of the turned stack from a volume (depth, 160, 160), linear between voxels.

        Shape (rows, columns), `fill` beyond the grid. At the pixels that the grid shows, it is what
        the volume has there, to the bit.
        """
        z, y, x = self.between
        carried = np.full(self.shape_yx, fill, np.float32)
        rows, columns = np.flatnonzero(y.reached), np.flatnonzero(x.reached)
        plane = z.pick(volume, np.array([index]))[0]
        carried[np.ix_(rows, columns)] = x.pick(y.pick(plane, rows).T, columns).T
        return carried

    def sample(self, stack: NDArray[_Scalar]) -> NDArray[_Scalar]:
        """What the network volume shows of an array of the turned stack's shape; zeros elsewhere.

        Undoes `resample_slice` wherever the grid does not show one source pixel twice, which it
        does only where pixels are larger than 2 mm.
        """
        volume = np.zeros(self._network_shape, stack.dtype)
        needed = stack[:: self.stride, self.rows.sources[:, None], self.columns.sources[None, :]]
        slices = slice(self.padding_before, self.padding_before + len(needed))
        volume[slices, self.rows.places, self.columns.places] = needed
        return volume

    def to_lps(self, zyx: NDArray[np.float64]) -> NDArray[np.float64]:
        """Positions in the patient, mm, of indices of the turned stack, whole or not: (..., 3)."""
        moved: NDArray[np.float64] = (
            zyx @ self.affine_zyx_lps[:3, :3].T + self.affine_zyx_lps[:3, 3]
        )
        return moved

    def file_pixels(
        self, rows: tuple[int, int], columns: tuple[int, int]
    ) -> tuple[tuple[int, int], tuple[int, int]]:
        """First and last row, first and last column of the file, from those of the turned slice."""
        spans = []
        flips = (self.turn.flip_rows, self.turn.flip_columns)
        for (first, last), flip, size in zip((rows, columns), flips, self.shape_yx, strict=True):
            spans.append((size - 1 - last, size - 1 - first) if flip else (first, last))
        file_rows, file_columns = reversed(spans) if self.turn.transpose else spans
        return file_rows, file_columns

    @property
    def _network_shape(self) -> tuple[int, int, int]:
        return (self.depth, GRID_SIZE, GRID_SIZE)

    def _slices_between(self) -> "LinearInterpolation":
        slices = np.arange(len(self.images))
        at = np.minimum(slices / self.stride, (len(self.images) - 1) // self.stride)
        return LinearInterpolation.of(self.padding_before + at, np.ones(at.shape, np.bool_))


@dataclass(frozen=True)
class LinearInterpolation:
    """Where source indices of one axis lie: between which two places, and how near to which.

    Attributes:
        low, high: the two places; the same where a source pixel is at a place.
        weight: float32, of `high`; 0 at a place.
        reached: False for source pixels beyond the grid, whose places mean nothing.
    """

    low: NDArray[np.intp]
    high: NDArray[np.intp]
    weight: NDArray[np.float32]
    reached: NDArray[np.bool_]

    @classmethod
    def of(cls, at: NDArray[np.float64], reached: NDArray[np.bool_]) -> "LinearInterpolation":
        """From places that need not be whole numbers."""
        low = np.floor(at).astype(np.intp)
        weight = (at - low).astype(np.float32)
        return cls(low, np.where(weight > 0, low + 1, low), weight, reached)

    def pick(self, values: NDArray[np.float32], indices: NDArray[np.intp]) -> NDArray[np.float32]:
        """Values for source indices, from those of all places along the first axis."""
        weight = self.weight[indices].reshape(-1, *(1,) * (values.ndim - 1))
        low, high = values[self.low[indices]], values[self.high[indices]]
        picked: NDArray[np.float32] = low * (1 - weight) + high * weight
        return picked


def pixels_between(axis: AxisMap, size: int) -> LinearInterpolation:
    """Where each of `size` source pixels of an axis lies on the grid.

    Reached are pixels up to half a step before the first and behind the last that the grid shows.
    Where pixels are larger than 2 mm, the grid shows one several times; it lies at the first.
    """
    pixels = np.arange(size)
    sources, firsts = np.unique(axis.sources, return_index=True)
    half_step = _step(axis) / 2
    reached = (pixels >= sources[0] - half_step) & (pixels <= sources[-1] + half_step)
    return LinearInterpolation.of(axis.first + np.interp(pixels, sources, firsts), reached)


def _step(axis: AxisMap) -> float:
    """Source pixels from one place to the next, on average."""
    return float(axis.sources[-1] - axis.sources[0]) / max(axis.sources.size - 1, 1)
