"""Cuts through a patient with their masks, marks and scale, before anything is drawn.

All planes are shown as radiologists do: axial from the feet, patient's right on the left; coronal
from the front, the head up; sagittal from the patient's left, the front on the left, the head up.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rcc_onnx.imaging.images import PatientImages
from rcc_onnx.imaging.placement import PIXEL_MM, AxisMap, Placement, Reorientation
from rcc_onnx.results import LesionMeasures, SourceBox

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

    @property
    def size_mm(self) -> tuple[float, float]:
        """Height and width."""
        height, width = self.values.shape
        return height * self.mm_yx[0], width * self.mm_yx[1]


@dataclass(frozen=True)
class Spot:
    """What cuts are laid through.

    Attributes:
        zyx: voxel of the canonical volume, whole or not.
        axial: the slice of the stack that is shown.
        lesion: its measurements; None where there is none to mark.
    """

    zyx: tuple[float, float, float]
    axial: int
    lesion: LesionMeasures | None = None


def windowed(hu: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Grey values of HU, of any shape; NaN is black."""
    low, high = WINDOW_HU
    scaled = (np.nan_to_num(hu, nan=low) - low) * 255.0 / (high - low)
    grey: NDArray[np.uint8] = np.clip(scaled, 0.0, 255.0).astype(np.uint8)
    return grey


def axial_plane(patient: PatientImages, spot: Spot) -> Plane:
    """The whole source slice, decoded anew, at its own resolution.

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
        None if lesion is None else _turned_box(lesion.box, placement),
        None if lesion is None else _diameter(lesion, placement),
    )


def coronal_plane(patient: PatientImages, spot: Spot) -> Plane:
    """Through the spot, on the grid that the networks saw: 2 mm, every analysed slice."""
    place = _nearest_place(patient.placement.rows, spot.zyx[1])
    y_mm = patient.placement.to_lps(np.array(spot.zyx))[1]
    return _upright(patient, spot, "coronal", f"y {y_mm:.0f} mm", (slice(None), place, slice(None)))


def sagittal_plane(patient: PatientImages, spot: Spot) -> Plane:
    """As `coronal_plane`."""
    place = _nearest_place(patient.placement.columns, spot.zyx[2])
    x_mm = patient.placement.to_lps(np.array(spot.zyx))[0]
    return _upright(
        patient, spot, "sagittal", f"x {x_mm:.0f} mm", (slice(None), slice(None), place)
    )


def _upright(
    patient: PatientImages,
    spot: Spot,
    name: str,
    position: str,
    cut: tuple[slice, slice | int, slice | int],
) -> Plane:
    placement = patient.placement
    shown = placement.real_places
    is_coronal = name == "coronal"
    across = placement.columns if is_coronal else placement.rows
    at = spot.zyx[2] if is_coronal else spot.zyx[1]
    column = _place(across, at) - across.first
    row = spot.zyx[0] / placement.stride
    values, labels = patient.hu[cut][shown], patient.labels[cut][shown]
    mm = placement.spacing_zyx_mm[2 if is_coronal else 1] * _step(across)
    return Plane(
        name,
        position,
        windowed(values[:, across.places]),
        labels[:, across.places],
        (placement.spacing_zyx_mm[0] * placement.stride, mm),
        ("R", "L", "H", "F") if is_coronal else ("A", "P", "H", "F"),
        (row + 0.5, column + 0.5),
        level=spot.axial / placement.stride + 0.5,
    )


def _step(axis: AxisMap) -> float:
    """Source pixels between two places of the grid."""
    sources = axis.sources
    return float(sources[-1] - sources[0]) / (sources.size - 1) if sources.size > 1 else PIXEL_MM


def _place(axis: AxisMap, source: float) -> float:
    """The place of the grid, whole or not, of a source pixel."""
    return axis.first + (source - float(axis.sources[0])) / _step(axis)


def _nearest_place(axis: AxisMap, source: float) -> int:
    last = axis.first + axis.sources.size - 1
    return min(max(round(_place(axis, source)), axis.first), last)


def _turned_box(box: SourceBox, placement: Placement) -> Rectangle:
    """The box of the file's image on the canonical slice."""
    rows, columns = turned_pixels(
        placement.reorientation, placement.shape_yx, box.rows, box.columns
    )
    return rows[0], rows[1] + 1, columns[0], columns[1] + 1


def turned_pixels(
    reorientation: Reorientation,
    shape_yx: tuple[int, int],
    rows: tuple[int, int],
    columns: tuple[int, int],
) -> tuple[tuple[int, int], tuple[int, int]]:
    """Spans of canonical rows and columns, from those of the file: undoes `file_pixels`."""
    spans = (columns, rows) if reorientation.transpose else (rows, columns)
    turned = []
    flips = (reorientation.flip_rows, reorientation.flip_columns)
    for (first, last), flip, size in zip(spans, flips, shape_yx, strict=True):
        turned.append((size - 1 - last, size - 1 - first) if flip else (first, last))
    return turned[0], turned[1]


def _diameter(lesion: LesionMeasures, placement: Placement) -> tuple[Point, Point]:
    ends = lesion.longest_axial_diameter.ends_lps_mm
    first, last = (zyx_of(np.array(end), placement)[1:] + 0.5 for end in ends)
    return (first[0], first[1]), (last[0], last[1])


def zyx_of(lps_mm: NDArray[np.float64], placement: Placement) -> NDArray[np.float64]:
    """The index of the canonical volume, whole or not, of a place in the patient."""
    affine = placement.affine_zyx_lps
    return np.linalg.solve(affine[:3, :3], lps_mm - affine[:3, 3]).astype(np.float64)
