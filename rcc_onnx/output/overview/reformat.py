"""Multiplanar reformats: cuts through a patient with masks, marks and scale, not drawn yet.

All planes are shown as radiologists do: axial from the feet, patient's right on the left; coronal
from the front, the head up; sagittal from the patient's left, the front on the left, the head up.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rcc_onnx.imaging.images import PatientImages
from rcc_onnx.imaging.placement import PIXEL_MM, AxisMap, Placement
from rcc_onnx.results import LesionMeasures

WINDOW_HU = (-160.0, 240.0)
"""Black and white: the window that the networks see."""

Point = tuple[float, float]
Rectangle = tuple[float, float, float, float]


@dataclass(frozen=True)
class Plane:
    """One cut.

    Attributes:
        name: what it is, as its caption begins.
        position: which slice, and where in the patient.
        values: uint8 (rows, columns), windowed.
        labels: uint8 (rows, columns), `Structure` or 0.
        mm_yx: from one row to the next and from one column to the next.
        letters: of the patient's sides at the left, right, top and bottom edge.
        box: first and last row, first and last column, outer edges of pixels (pixel 0 is 0 to 1).
        level: row at which the axial slice lies, where this is another cut.
        line: two points (row, column), edges as in `box`: the longest diameter.
        middle: (row, column) of what is shown; where a zoom looks.
    """

    name: str
    position: str
    values: NDArray[np.uint8]
    labels: NDArray[np.uint8]
    mm_yx: tuple[float, float]
    letters: tuple[str, str, str, str]
    middle: Point
    box: Rectangle | None = None
    line: tuple[Point, Point] | None = None
    level: float | None = None


@dataclass(frozen=True)
class Spot:
    """The place through which cuts are made.

    Attributes:
        zyx: voxel of the canonical volume, whole or not.
        axial: the slice of the stack that is shown.
        lesion: its measurements; None without one to mark.
    """

    zyx: tuple[float, float, float]
    axial: int
    lesion: LesionMeasures | None = None


def windowed(hu: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Return grey values of HU, of any shape; NaN is black."""
    low, high = WINDOW_HU
    scaled = (np.nan_to_num(hu, nan=low) - low) * 255.0 / (high - low)
    grey: NDArray[np.uint8] = np.clip(scaled, 0.0, 255.0).astype(np.uint8)
    return grey


def axial_plane(patient: PatientImages, spot: Spot) -> Plane:
    """Return the whole source slice, decoded anew, at its own resolution.

    Raises:
        PixelsError: it cannot be decoded any more.
    """
    placement, lesion = patient.placement, spot.lesion
    z_mm = placement.to_lps(np.array([spot.axial, *spot.zyx[1:]]))[2]
    return Plane(
        "axial",
        f"slice {spot.axial + 1} of {len(placement.images)}, z {z_mm:.0f} mm",
        windowed(patient.read_hu(spot.axial)),
        patient.label_slice(spot.axial),
        placement.spacing_zyx_mm[1:],
        ("R", "L", "A", "P"),
        (spot.zyx[1] + 0.5, spot.zyx[2] + 0.5),
        None if lesion is None else _box_of(lesion, placement),
        None if lesion is None else _diameter_of(lesion, placement),
    )


def coronal_plane(patient: PatientImages, spot: Spot) -> Plane:
    """Return the cut through the spot on the networks' grid: 2 mm, every analysed slice."""
    return _upright(patient, spot, 1)


def sagittal_plane(patient: PatientImages, spot: Spot) -> Plane:
    """Return the same at right angles to the coronal one."""
    return _upright(patient, spot, 2)


def _upright(patient: PatientImages, spot: Spot, axis: int) -> Plane:
    """Return the cut across an axis of the canonical volume: 1 coronal, 2 sagittal."""
    placement, is_coronal = patient.placement, axis == 1
    across = placement.columns if is_coronal else placement.rows
    place = _nearest_place(placement.rows if is_coronal else placement.columns, spot.zyx[axis])
    cut = (placement.real_places, *((place, slice(None)) if is_coronal else (slice(None), place)))
    hu, labels = patient.hu[cut], patient.labels[cut]
    x_mm, y_mm, _ = placement.to_lps(np.array(spot.zyx))
    spacing = placement.spacing_zyx_mm
    return Plane(
        "coronal" if is_coronal else "sagittal",
        f"y {y_mm:.0f} mm" if is_coronal else f"x {x_mm:.0f} mm",
        windowed(hu[:, across.places]),
        labels[:, across.places],
        (spacing[0] * placement.stride, spacing[3 - axis] * _step(across)),
        ("R", "L", "H", "F") if is_coronal else ("A", "P", "H", "F"),
        (
            spot.zyx[0] / placement.stride + 0.5,
            _place(across, spot.zyx[3 - axis]) - across.first + 0.5,
        ),
        level=spot.axial / placement.stride + 0.5,
    )


def _step(axis: AxisMap) -> float:
    """Return the source pixels from one place of the grid to the next."""
    sources = axis.sources
    return float(sources[-1] - sources[0]) / (sources.size - 1) if sources.size > 1 else PIXEL_MM


def _place(axis: AxisMap, source: float) -> float:
    """Return the place of the grid, whole or not, of a source pixel."""
    return axis.first + (source - float(axis.sources[0])) / _step(axis)


def _nearest_place(axis: AxisMap, source: float) -> int:
    last = axis.first + axis.sources.size - 1
    return min(max(round(_place(axis, source)), axis.first), last)


def _box_of(lesion: LesionMeasures, placement: Placement) -> Rectangle:
    rows, columns = placement.canonical_pixels(lesion.box.rows, lesion.box.columns)
    return rows[0], rows[1] + 1, columns[0], columns[1] + 1


def _diameter_of(lesion: LesionMeasures, placement: Placement) -> tuple[Point, Point]:
    ends = []
    for row, column in lesion.longest_axial_diameter.ends_row_column:
        (y, _), (x, _) = placement.canonical_pixels((row, row), (column, column))
        ends.append((y + 0.5, x + 0.5))
    return ends[0], ends[1]


def zyx_of(lps_mm: NDArray[np.float64], placement: Placement) -> NDArray[np.float64]:
    """Return the index of the canonical volume, whole or not, of a place in the patient."""
    affine = placement.affine_zyx_lps
    return np.linalg.solve(affine[:3, :3], lps_mm - affine[:3, 3]).astype(np.float64)
