"""How far two outlines are apart. Masks are bool arrays of one shape."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class SurfaceDistances:
    """Distances in mm: the mean of both directions, and the larger 95th percentile of the two."""

    mean_mm: float
    hausdorff_95_mm: float


def dice(one: Mask, other: Mask) -> float | None:
    """Twice what they share over the sum of both; None where both are empty."""
    total = int(one.sum()) + int(other.sum())
    return 2 * int((one & other).sum()) / total if total else None


def surface_distances(one: Mask, other: Mask, affine: Floats) -> SurfaceDistances | None:
    """Distances between the surfaces of two masks; None where one is empty.

    A surface is made of the voxels of a mask that touch a voxel outside of it by a face; outside
    the image is outside. Each is measured from centre to centre to the nearest one of the other
    surface. The mean runs over the voxels of both surfaces. `affine` (4x4) takes indices to mm.
    """
    if not one.any() or not other.any():
        return None
    from scipy.spatial import KDTree  # noqa: PLC0415  an extra

    ours, theirs = _points_mm(surface(one), affine), _points_mm(surface(other), affine)
    there, back = (
        np.asarray(KDTree(theirs).query(ours)[0]),
        np.asarray(KDTree(ours).query(theirs)[0]),
    )
    return SurfaceDistances(
        mean_mm=float((there.sum() + back.sum()) / (there.size + back.size)),
        hausdorff_95_mm=float(max(np.percentile(there, 95), np.percentile(back, 95))),
    )


def _points_mm(mask: Mask, affine: Floats) -> Floats:
    points: Floats = np.argwhere(mask) @ affine[:3, :3].T + affine[:3, 3]
    return points


def surface(mask: Mask) -> Mask:
    """The voxels of a mask that touch the outside by a face."""
    inner = mask.copy()
    for axis in range(mask.ndim):
        before, after = [slice(None)] * mask.ndim, [slice(None)] * mask.ndim
        before[axis], after[axis] = slice(1, None), slice(None, -1)
        inner[tuple(after)] &= mask[tuple(before)]
        inner[tuple(before)] &= mask[tuple(after)]
        for end in (0, -1):
            edge = [slice(None)] * mask.ndim
            edge[axis] = slice(end, None) if end else slice(0, 1)
            inner[tuple(edge)] = False
    return mask & ~inner
