"""Where the network volume lies in the source series and in the patient (docs/outputs.md).

Three frames meet here, all with axes z, y, x:

- the *network volume*: (slices, 160, 160), 2 mm pixels, slices about 5 mm apart, padded with blank
  slices where the study is short;
- the *turned stack*: the slices of the series head first, each turned to rows anterior -> posterior
  and columns patient right -> left;
- the *file*: the arrays as the DICOM files hold them.

The way into the network volume picks pixels, slices and places (docs/pipeline.md section 1). The
way back gives each source pixel what the nearest picked pixel has, axis by axis.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from rcc_onnx.grid import AxisMap
from rcc_onnx.values import GRID_SIZE

_Scalar = TypeVar("_Scalar", bound=np.generic)

NOWHERE = -1
"""For a source pixel that no place of the network volume shows."""


@dataclass(frozen=True)
class AxisTurn:
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

    `frame` counts from 1, as DICOM references do; None in a single-frame file.
    """

    file_name: str
    sop_class_uid: str
    sop_instance_uid: str
    frame: int | None


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
    turn: AxisTurn
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

    @cached_property
    def places(self) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]:
        """For each slice, row and column of the turned stack its place in the network volume.

        `NOWHERE` for rows and columns beyond the grid. Slices all have one: those behind the last
        analysed slice, fewer than the stride, have that slice's.
        """
        return (
            self._slice_places(),
            nearest_places(self.rows, self.shape_yx[0]),
            nearest_places(self.columns, self.shape_yx[1]),
        )

    @cached_property
    def counts(self) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]:
        """How many slices, rows and columns of the stack each place of the network volume stands
        for. Their product is the number of source voxels of a voxel of the network volume."""
        z, y, x = (
            np.bincount(places[places != NOWHERE], minlength=length)
            for places, length in zip(self.places, self._network_shape, strict=True)
        )
        return z, y, x

    def source_slice(self, place: int) -> int:
        """The slice of the stack that a (not blank) slice of the network volume shows."""
        return (place - self.padding_before) * self.stride

    def paste_slice(
        self, volume: NDArray[_Scalar], index: int, fill: float = 0
    ) -> NDArray[_Scalar]:
        """One slice of the turned stack, filled from an array (depth, 160, 160)."""
        z, rows, columns = self.places
        return self._pasted(volume[z[index]], rows, columns, fill)

    def paste(self, volume: NDArray[_Scalar], fill: float = 0) -> NDArray[_Scalar]:
        """The whole turned stack, as large as the series, filled from a (depth, 160, 160) array."""
        pasted = np.empty(self.shape_zyx, volume.dtype)
        for index in range(len(pasted)):
            # Slices that show the same place are the same.
            same = index > 0 and self.places[0][index] == self.places[0][index - 1]
            pasted[index] = pasted[index - 1] if same else self.paste_slice(volume, index, fill)
        return pasted

    def sample(self, stack: NDArray[_Scalar]) -> NDArray[_Scalar]:
        """What the network volume shows of an array of the turned stack's shape; zeros elsewhere.

        Undoes `paste` wherever the grid does not show one source pixel twice, which it does only
        where pixels are larger than 2 mm.
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

    def _slice_places(self) -> NDArray[np.intp]:
        """Of the two analysed slices round a slice the nearer one; of equals the later."""
        slices = np.arange(len(self.images), dtype=np.intp)
        last = (len(self.images) - 1) // self.stride
        nearest = np.minimum((slices + self.stride // 2) // self.stride, last)
        return self.padding_before + nearest

    def _pasted(
        self,
        grid: NDArray[_Scalar],
        rows: NDArray[np.intp],
        columns: NDArray[np.intp],
        fill: float,
    ) -> NDArray[_Scalar]:
        pasted = np.full(self.shape_yx, fill, grid.dtype)
        shown_rows, shown_columns = (np.flatnonzero(each != NOWHERE) for each in (rows, columns))
        pasted[np.ix_(shown_rows, shown_columns)] = grid[
            np.ix_(rows[shown_rows], columns[shown_columns])
        ]
        return pasted


def nearest_places(axis: AxisMap, size: int) -> NDArray[np.intp]:
    """For each of `size` source pixels of an axis the place of the grid whose pixel is nearest.

    Of equals the later, so that with 1 mm pixels, of which every second is picked, the pairs are
    those that Pillow's nearest neighbour sees as one. `NOWHERE` beyond half a step before the first
    and behind the last picked pixel.
    """
    sources = axis.sources
    pixels = np.arange(size, dtype=np.intp)
    after = np.searchsorted(sources, pixels, side="left")
    low, high = np.maximum(after - 1, 0), np.minimum(after, sources.size - 1)
    nearer_high = sources[high] - pixels <= pixels - sources[low]
    nearest = np.where((after < sources.size) & (nearer_high | (after == 0)), high, low)
    half_step = (sources[-1] - sources[0]) / max(sources.size - 1, 1) / 2
    reached = (pixels >= sources[0] - half_step) & (pixels <= sources[-1] + half_step)
    return np.where(reached, axis.first + nearest, NOWHERE).astype(np.intp)
