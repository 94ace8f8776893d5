"""The series as its files hold it: image pixels before they were turned."""

import numpy as np
from numpy.typing import NDArray

from rcc_onnx.imaging.placement import Placement


def file_shape(placement: Placement) -> tuple[int, int]:
    """Rows and columns of the file's images."""
    rows, columns = placement.shape_yx
    return (columns, rows) if placement.reorientation.transpose else (rows, columns)


def file_affine_lps(placement: Placement) -> NDArray[np.float64]:
    """4x4, from (column, row, slice, 1) of the file's images to the patient's x, y, z in mm (LPS).

    Slices from the head, evenly spaced.
    """
    reorientation = placement.reorientation
    to_turned = np.zeros((4, 4))
    # Which axis of the file runs along the canonical slice's rows (1) and columns (2).
    row_axis, column_axis = (0, 1) if reorientation.transpose else (1, 0)
    for axis, source, flip in (
        (1, row_axis, reorientation.flip_rows),
        (2, column_axis, reorientation.flip_columns),
    ):
        to_turned[axis, source] = -1 if flip else 1
        to_turned[axis, 3] = placement.shape_yx[axis - 1] - 1 if flip else 0
    to_turned[0, 2] = to_turned[3, 3] = 1
    affine: NDArray[np.float64] = placement.affine_zyx_lps @ to_turned
    return affine
