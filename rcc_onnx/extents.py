"""How far a mask reaches in the patient: longest diameter, centre and box (docs/outputs.md).

All take a mask with at least one voxel in the source series.
"""

import numpy as np
from numpy.typing import NDArray

from rcc_onnx.measures import Diameter, Position, SourceBox
from rcc_onnx.placement import Placement
from rcc_onnx.source_masks import MaskPart, SourceMask


def longest_diameter(mask: SourceMask) -> Diameter:
    """The longest line between two voxel centres of one slice; of equals the one nearest to the
    head."""
    placement = mask.placement
    length, index, ends = -1.0, 0, np.zeros((2, 3))
    for at, part in mask.slices():
        points = _row_ends(at, part)
        lps = placement.to_lps(points)
        distances = np.linalg.norm(lps[:, None] - lps[None], axis=2)
        one, other = np.unravel_index(int(distances.argmax()), distances.shape)
        if distances[one, other] > length:
            length, index, ends = float(distances[one, other]), at, points[[one, other]]
    one_lps, other_lps = (_position(end) for end in placement.to_lps(ends))
    one_file, other_file = (_file_pixel(placement, end) for end in ends)
    image = placement.images[index]
    return Diameter(
        length_mm=length,
        slice=index,
        sop_instance_uid=image.sop_instance_uid,
        frame=image.frame,
        ends_lps_mm=(one_lps, other_lps),
        ends_file=(one_file, other_file),
    )


def centre_of(mask: SourceMask) -> Position:
    """Centre of mass."""
    total, voxels = np.zeros(3), 0
    for at, part in mask.slices():
        rows, columns = np.nonzero(part.mask)
        total += (
            at * rows.size,
            rows.sum() + part.first_row * rows.size,
            columns.sum() + part.first_column * rows.size,
        )
        voxels += rows.size
    return _position(mask.placement.to_lps(total / voxels))


def box_of(mask: SourceMask) -> SourceBox:
    """The smallest box that holds it."""
    placement = mask.placement
    low, high = np.full(3, np.iinfo(np.int64).max), np.full(3, -1)
    for at, part in mask.slices():
        rows, columns = np.flatnonzero(part.mask.any(axis=1)), np.flatnonzero(part.mask.any(axis=0))
        first = (at, part.first_row + rows[0], part.first_column + columns[0])
        last = (at, part.first_row + rows[-1], part.first_column + columns[-1])
        low, high = np.minimum(low, first), np.maximum(high, last)
    slices, rows_span, columns_span = (
        (int(first), int(last)) for first, last in zip(low, high, strict=True)
    )
    edges = [(first - 0.5, last + 0.5) for first, last in (slices, rows_span, columns_span)]
    corners = placement.to_lps(
        np.array([(z, y, x) for z in edges[0] for y in edges[1] for x in edges[2]])
    )
    rows_file, columns_file = placement.file_pixels(rows_span, columns_span)
    images = placement.images
    return SourceBox(
        slices=slices,
        sop_instance_uids=(images[slices[0]].sop_instance_uid, images[slices[1]].sop_instance_uid),
        rows=rows_file,
        columns=columns_file,
        lowest_lps_mm=_position(corners.min(axis=0)),
        highest_lps_mm=_position(corners.max(axis=0)),
    )


def _row_ends(index: int, part: MaskPart) -> NDArray[np.float64]:
    """(slice, row, column) of the first and last voxel of each row: the two voxels of a slice that
    are farthest apart are among them."""
    rows = np.flatnonzero(part.mask.any(axis=1))
    left = part.mask[rows].argmax(axis=1)
    right = part.mask.shape[1] - 1 - part.mask[rows, ::-1].argmax(axis=1)
    both_rows = np.concatenate([rows, rows]) + part.first_row
    both_columns = np.concatenate([left, right]) + part.first_column
    return np.stack([np.full(both_rows.size, index), both_rows, both_columns], 1).astype(float)


def _file_pixel(placement: Placement, zyx: NDArray[np.float64]) -> tuple[int, int]:
    _, row, column = (int(value) for value in zyx)
    (file_row, _), (file_column, _) = placement.file_pixels((row, row), (column, column))
    return file_row, file_column


def _position(xyz: NDArray[np.float64]) -> Position:
    x, y, z = xyz.tolist()
    return x, y, z
