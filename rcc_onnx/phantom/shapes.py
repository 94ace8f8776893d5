"""Soft-edged solids, painted onto a grid of patient coordinates.

Coordinates are millimetres in DICOM's patient frame (PS3.3 C.7.6.2.1.1): +x to the patient's left,
+y to the back, +z to the head. A solid covers 0 to 1 of each voxel, which gives partial volume at
its edge; along z the coverage is averaged over the slice thickness.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Point = tuple[float, float, float]

EDGE_MM = 1.0
"""Width over which an edge goes from inside to outside in plane: about a CT's point spread."""

KEEP_LABEL = -1
"""Label of a solid that leaves the truth mask alone."""


@dataclass(frozen=True)
class Grid:
    """The voxel centres of a volume.

    Attributes:
        x_mm, y_mm, z_mm: ascending x and y, z in slice order (head first), float32, one dimension.
        thickness_mm: extent of a slice along z, over which solids are averaged.
    """

    x_mm: Floats
    y_mm: Floats
    z_mm: Floats
    thickness_mm: float

    @property
    def shape(self) -> tuple[int, int, int]:
        return self.z_mm.size, self.y_mm.size, self.x_mm.size

    def window(self, low: Point, high: Point) -> tuple[slice, slice, slice]:
        """Return index ranges (z, y, x) of the voxels between two corners and half a slice more."""
        spare = self.thickness_mm / 2
        inside_z = np.flatnonzero((self.z_mm >= low[2] - spare) & (self.z_mm <= high[2] + spare))
        zs = slice(int(inside_z[0]), int(inside_z[-1]) + 1) if inside_z.size else slice(0, 0)
        ys = slice(*np.searchsorted(self.y_mm, (low[1], high[1])).tolist())
        xs = slice(*np.searchsorted(self.x_mm, (low[0], high[0])).tolist())
        return zs, ys, xs


def point(values: Iterable[float]) -> Point:
    x, y, z = (float(value) for value in values)
    return x, y, z


def rotation(about_x: float, about_y: float, about_z: float) -> NDArray[np.float64]:
    """Return the matrix of three rotations in degrees: about x, then y, then z."""
    ax, ay, az = np.deg2rad((about_x, about_y, about_z))
    rx = np.array([[1, 0, 0], [0, np.cos(ax), -np.sin(ax)], [0, np.sin(ax), np.cos(ax)]])
    ry = np.array([[np.cos(ay), 0, np.sin(ay)], [0, 1, 0], [-np.sin(ay), 0, np.cos(ay)]])
    rz = np.array([[np.cos(az), -np.sin(az), 0], [np.sin(az), np.cos(az), 0], [0, 0, 1]])
    product: NDArray[np.float64] = rz @ ry @ rx
    return product


@dataclass(frozen=True)
class Ellipsoid:
    """Semi-axes in mm along the columns of `axes` (the identity: along x, y, z)."""

    centre: Point
    semi_mm: Point
    axes: NDArray[np.float64] = field(default_factory=lambda: np.eye(3))

    def bounds(self) -> tuple[Point, Point]:
        reach = np.sqrt(((self.axes * np.array(self.semi_mm)) ** 2).sum(axis=1)) + EDGE_MM
        return point(self.centre - reach), point(self.centre + reach)

    def distance_mm(self, x: Floats, y: Floats, z: Floats) -> Floats:
        """Return about how far outside (positive) or inside (negative) points are, in mm."""
        dx, dy, dz = (
            (axis - np.float32(c)) for axis, c in zip((x, y, z), self.centre, strict=True)
        )
        squared = np.float32(0)
        for axis, semi in zip(self.axes.T.astype(np.float32), self.semi_mm, strict=True):
            along = (axis[0] * dx + axis[1] * dy) + axis[2] * dz
            squared = squared + (along * np.float32(1 / semi)) ** 2
        # Exact on a sphere; elsewhere the edge is a little wider along the long axes.
        mean = np.float32(np.prod(self.semi_mm) ** (1 / 3))
        return np.asarray((np.sqrt(squared) - 1) * mean, np.float32)

    def grown(self, by_mm: float) -> "Ellipsoid":
        a, b, c = self.semi_mm
        return Ellipsoid(self.centre, (a + by_mm, b + by_mm, c + by_mm), self.axes)

    def at(self, direction: Iterable[float], fraction: float) -> Point:
        """Return the point at `fraction` of the way from the centre to the surface, along a
        direction given in the ellipsoid's own axes."""
        along = np.array(point(direction))
        unit = along / np.linalg.norm(along)
        return point(self.centre + self.axes @ (unit * np.array(self.semi_mm) * fraction))


@dataclass(frozen=True)
class Capsule:
    """A round rod between two points: vessels."""

    start: Point
    end: Point
    radius_mm: float

    def bounds(self) -> tuple[Point, Point]:
        low, high = np.minimum(self.start, self.end), np.maximum(self.start, self.end)
        return point(low - self.radius_mm - EDGE_MM), point(high + self.radius_mm + EDGE_MM)

    def distance_mm(self, x: Floats, y: Floats, z: Floats) -> Floats:
        a, b = np.array(self.start, np.float32), np.array(self.end, np.float32)
        d = b - a
        px, py, pz = x - a[0], y - a[1], z - a[2]
        t = np.clip((px * d[0] + py * d[1] + pz * d[2]) / np.float32(d @ d), 0, 1)
        squared = (px - t * d[0]) ** 2 + (py - t * d[1]) ** 2 + (pz - t * d[2]) ** 2
        return np.asarray(np.sqrt(squared) - np.float32(self.radius_mm), np.float32)


Solid = Ellipsoid | Capsule


@dataclass(frozen=True)
class Part:
    """A solid and its material.

    Attributes:
        hu: Hounsfield units inside.
        label: for the truth mask, where it covers at least half of a voxel.
        carve: a solid that is cut out (the sinus of a kidney).
    """

    solid: Solid
    hu: float
    label: int = KEEP_LABEL
    carve: Solid | None = None


def coverage(solid: Solid, grid: Grid, window: tuple[slice, slice, slice]) -> Floats:
    """Return the part of each voxel in the window that the solid fills: float32, 0 to 1."""
    zs, ys, xs = window
    x = grid.x_mm[xs][None, None, :]
    y = grid.y_mm[ys][None, :, None]
    z = grid.z_mm[zs][:, None, None]
    # Three samples across a thick slice stand for its average; a thin slice needs one.
    offsets = (-1 / 3, 0.0, 1 / 3) if grid.thickness_mm > 1.5 else (0.0,)
    total: Floats | None = None
    for offset in offsets:
        distance = solid.distance_mm(x, y, z + np.float32(offset * grid.thickness_mm))
        part = np.clip(0.5 - distance / np.float32(EDGE_MM), 0, 1)
        total = part if total is None else total + part
    assert total is not None
    return np.asarray(total / np.float32(len(offsets)), np.float32)


def paint(part: Part, grid: Grid, hu: Floats, labels: NDArray[np.uint8]) -> None:
    """Blend a part into `hu` (float32) and `labels` (uint8), both of the grid's shape, in place."""
    window = grid.window(*part.solid.bounds())
    target = hu[window]
    if target.size == 0:
        return
    alpha = coverage(part.solid, grid, window)
    if part.carve is not None:
        alpha *= 1 - coverage(part.carve, grid, window)
    target += alpha * (np.float32(part.hu) - target)
    if part.label != KEEP_LABEL:
        labels[window][alpha >= 0.5] = part.label
