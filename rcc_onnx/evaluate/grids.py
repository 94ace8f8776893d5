"""A reference mask brought onto the grid of the predicted one, by their affines.

An affine takes a voxel's indices to millimetres (right to left, back to front: RAS, as in NIfTI). A
voxel belongs to the place of its centre; nearest neighbour, so labels stay labels.
"""

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from rcc_onnx.errors import MaskError

Floats = NDArray[np.float64]

LEAST_SHARED = 0.9
"""Two grids of one series share all of their volume. So much of the smaller one must lie inside the
other: a few slices more or less are common, a mask of another place is not."""
MOST_LOST = 0.01
"""So much of what is drawn in one mask may lie outside the other's grid: rounding at the edges."""
MOST_GROWN_MM = 500.0
"""How far slices are added to a grid that leaves out empty ones: more than an abdomen is wrong."""
SAME_PLACE_MM = 1e-3
"""Corners of two grids that are closer than this are the same: NIfTI keeps affines in float32."""


@dataclass(frozen=True)
class LabelImage:
    """A mask: uint8 (three axes), and the 4x4 affine from voxel indices to RAS millimetres.

    Attributes:
        empty_left_out: slices (first axis) before the first and after the last may have been left
            out because nothing is drawn on them, as DICOM SEG does; outside is background.
        frame_uid: DICOM's Frame of Reference UID, if known.
    """

    values: NDArray[np.uint8]
    affine: Floats
    empty_left_out: bool = False
    frame_uid: str | None = None

    def __post_init__(self) -> None:
        if self.values.ndim != 3 or 0 in self.values.shape or self.affine.shape != (4, 4):
            raise ValueError(f"a label image has three axes, not {self.values.shape}")
        if not np.isfinite(self.affine).all() or abs(np.linalg.det(self.affine[:3, :3])) < 1e-9:
            raise MaskError("its affine takes voxels to no place in space", code="mask-place")


def voxel_volume_ml(affine: Floats) -> float:
    """Volume of a voxel in millilitres."""
    return float(abs(np.linalg.det(affine[:3, :3]))) / 1000


def onto_grid(reference: LabelImage, target: LabelImage) -> NDArray[np.uint8]:
    """The reference's labels at the centres of the target's voxels; 0 outside of its grid.

    The target must hold the reference's slices (`grown`).

    Raises:
        MaskError (mask-place): the positions differ, or one mask reaches out of the other's
            grid, so that a part of it would be lost without a word.
    """
    if reference.frame_uid and target.frame_uid and reference.frame_uid != target.frame_uid:
        raise MaskError(
            "the reference mask and the predicted mask have different Frame of Reference UIDs; "
            "they are not of one scan",
            code="mask-place",
        )
    if _same_grid(reference, target):
        return reference.values
    shared = max(_share_inside(reference, target), _share_inside(target, reference))
    if shared < LEAST_SHARED:
        raise MaskError(
            f"the reference mask and the predicted mask share {shared:.0%} of the smaller grid; "
            "they are not of one series, or one of the affines is wrong",
            code="mask-place",
        )
    lost = _share_drawn_outside(reference, target)
    if lost > MOST_LOST:
        raise MaskError(
            f"{lost:.0%} of what the reference mask marks lies outside the analysed series; give a "
            "reference mask of this series",
            code="mask-place",
        )
    lost = 0.0 if reference.empty_left_out else _share_drawn_outside(target, reference)
    if lost > MOST_LOST:
        raise MaskError(
            f"{lost:.0%} of what the predicted mask marks lies outside the reference mask's grid; "
            "give a reference mask that covers the analysed series",
            code="mask-place",
        )
    return _resampled(reference, target)


def _resampled(reference: LabelImage, target: LabelImage) -> NDArray[np.uint8]:
    """The nearest label of each of the target's voxels, computed only where some are drawn."""
    from scipy.ndimage import affine_transform  # noqa: PLC0415  an extra

    values = np.zeros(target.values.shape, np.uint8)
    points = _drawn(reference)
    if not points.size:
        return values
    to_target, to_reference = _steps(reference, target), _steps(target, reference)
    places = to_target[:3, :3] @ points + to_target[:3, 3:]
    # A voxel of the reference reaches this far around its centre, in the target's voxels.
    reach = np.abs(to_target[:3, :3]).sum(axis=1) / 2 + 1
    sizes = np.asarray(values.shape, np.intp)
    first = np.clip(np.floor(places.min(axis=1) - reach).astype(int), 0, sizes)
    end = np.clip(np.ceil(places.max(axis=1) + reach).astype(int) + 1, first, sizes)
    if (first == end).any():
        return values
    box = tuple(slice(*pair) for pair in zip(first, end, strict=True))
    values[box] = affine_transform(
        reference.values,
        to_reference[:3, :3],
        to_reference[:3, :3] @ first + to_reference[:3, 3],
        output_shape=tuple(end - first),
        order=0,
        # Beyond the outermost centres a voxel goes on for half its size.
        mode="grid-constant",
        cval=0,
        prefilter=False,
    )
    return values


def grown(target: LabelImage, reference: LabelImage) -> LabelImage:
    """The target with slices added where the reference is drawn and the target left out empty ones.

    Raises:
        MaskError (mask-place): they are too far apart to be of one scan.
    """
    points = _drawn(reference) if target.empty_left_out else np.empty((3, 0))
    if not points.size:
        return target
    steps = _steps(reference, target)
    slices = steps[0, :3] @ points + steps[0, 3]
    before = max(0, math.ceil(-float(slices.min()) - 0.5))
    after = max(0, math.ceil(float(slices.max()) - 0.5) - (target.values.shape[0] - 1))
    if max(before, after) * np.linalg.norm(target.affine[:3, 0]) > MOST_GROWN_MM:
        raise MaskError(
            f"what the reference mask marks lies more than {MOST_GROWN_MM:.0f} mm away from the "
            "predicted mask; they are not of one series, or one of the affines is wrong",
            code="mask-place",
        )
    shift = np.eye(4, dtype=np.float64)
    shift[0, 3] = -before
    values = np.pad(target.values, ((before, after), (0, 0), (0, 0)))
    return replace(target, values=values, affine=target.affine @ shift)


def _same_grid(one: LabelImage, other: LabelImage) -> bool:
    if one.values.shape != other.values.shape:
        return False
    ends = np.array(np.meshgrid(*((0, size - 1) for size in one.values.shape))).reshape(3, -1)
    corners = np.vstack([ends, np.ones(ends.shape[1])])
    return bool(np.abs((one.affine - other.affine) @ corners).max() < SAME_PLACE_MM)


def _steps(from_image: LabelImage, to_image: LabelImage) -> Floats:
    """4x4: indices of one grid to indices of the other."""
    return np.asarray(np.linalg.solve(to_image.affine, from_image.affine), np.float64)


def box_of_drawn(*masks: NDArray[np.uint8]) -> tuple[slice, ...]:
    """The smallest box around what any mask marks, and a voxel more where there is one."""
    box = []
    for axis in range(3):
        others = tuple(at for at in range(3) if at != axis)
        places = np.flatnonzero(np.any([one.any(axis=others) for one in masks], axis=0))
        first, last = (int(places[0]), int(places[-1])) if places.size else (0, 0)
        box.append(slice(max(0, first - 1), last + 2))
    return tuple(box)


def _drawn(image: LabelImage) -> Floats:
    """Indices (3, n) of the voxels that are drawn."""
    box = box_of_drawn(image.values)
    inside = np.stack(np.nonzero(image.values[box])).astype(np.float64)
    return np.asarray(inside + np.array([[one.start] for one in box]), np.float64)


def _share_inside(one: LabelImage, other: LabelImage) -> float:
    """Share of one grid's volume inside the other, probed at 33 places along each axis."""
    probes = [np.linspace(-0.5, size - 0.5, 33) for size in one.values.shape]
    points = np.stack(np.meshgrid(*probes, indexing="ij")).reshape(3, -1)
    return float(_inside(points, one, other).mean())


def _share_drawn_outside(one: LabelImage, other: LabelImage) -> float:
    """Share of the voxels that are drawn in one mask whose centres the other's grid lacks."""
    points = _drawn(one)
    return float(1 - _inside(points, one, other).mean()) if points.size else 0.0


def _inside(points: Floats, one: LabelImage, other: LabelImage) -> NDArray[np.bool_]:
    """Whether indices (3, n) of one grid lie in a voxel of the other."""
    steps = _steps(one, other)
    there = steps[:3, :3] @ points + steps[:3, 3:]
    sizes = np.array(other.values.shape)[:, None]
    # Half a voxel beyond the outer centres; probes lie exactly on that edge.
    edge = 0.5 + 1e-6
    inside: NDArray[np.bool_] = np.all((there >= -edge) & (there <= sizes - 1 + edge), axis=0)
    return inside
