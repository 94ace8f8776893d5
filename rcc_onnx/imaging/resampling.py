"""Resampling of a slice to the 160x160 grid of 2 mm (docs/pipeline.md section 1).

Per axis, an image of `size` pixels is resized to `resized` pixels with the nearest neighbour, and
of that the middle 160 are kept, or it is put in the middle of zeros. So each of the 160 places
either shows one source pixel or stays zero.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from rcc_onnx.types import GRID_SIZE

PIXEL_MM = 2.0
"""Pixel spacing of the network grid."""


@dataclass(frozen=True)
class AxisMap:
    """Which source pixels one axis of the grid shows.

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
