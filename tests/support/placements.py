"""Network volumes placed in made-up series."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from rcc_onnx.imaging.placement import (
    Placement,
    Reorientation,
    SourceImage,
    axis_map,
    resized_length,
)
from rcc_onnx.types import GRID_SIZE


def make_placement(
    slices: int = 50, shape_yx: tuple[int, int] = (300, 260), mm: float = 0.9, stride: int = 1
) -> Placement:
    needed = len(range(0, slices, stride))
    depth = max(needed, 40)
    rows, columns = (axis_map(size, resized_length(size, mm)) for size in shape_yx)
    affine = np.eye(4)
    affine[:3, :3] = [[0, 0, mm], [0, mm, 0], [-2.5, 0, 0]]
    return Placement(
        images=tuple(SourceImage(f"{i}.dcm", "1.2", f"1.2.{i}", None) for i in range(slices)),
        reorientation=Reorientation(),
        shape_yx=shape_yx,
        affine_zyx_lps=affine,
        rows=rows,
        columns=columns,
        stride=stride,
        padding_before=(depth - needed) // 2,
        depth=depth,
    )


def on_grid(placement: Placement, canonical: NDArray[Any]) -> NDArray[Any]:
    """The network volume of an array of the canonical volume's shape; zeros where it is blank.

    Undoes `resample_slice` wherever the grid does not show one source pixel twice, which it does
    only where pixels are larger than 2 mm.
    """
    volume = np.zeros((placement.depth, GRID_SIZE, GRID_SIZE), canonical.dtype)
    rows, columns = placement.rows, placement.columns
    needed = canonical[:: placement.stride, rows.sources[:, None], columns.sources[None, :]]
    volume[placement.real_places, rows.places, columns.places] = needed
    return volume
