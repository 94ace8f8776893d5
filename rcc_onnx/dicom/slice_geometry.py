"""Where slices lie: how their arrays are turned, their order from the head, their spacing.

Coordinates are DICOM's patient coordinates in mm: x grows to the patient's left, y to posterior, z
to the head (DICOM PS3.3 C.7.6.2.1.1), however the patient lies in the scanner.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rcc_onnx.dicom.headers import SliceHeader
from rcc_onnx.errors import DuplicatePositionsError, IntakeError
from rcc_onnx.imaging.placement import Reorientation

COSINE_TOLERANCE = 1e-3
"""How far cosines may be from a right-angled pair of unit vectors: files have three digits or more.
"""
MAX_TILT_DEGREES = 1.0
"""Largest angle to the patient's axes. Across half a body (200 mm) it is 3.5 mm, less than one
slice of the network volume."""
MIN_COSINE_OF_TILT = 0.707
"""Gantries tilt up to 30 degrees; what is turned by more than 45 is nearer to coronal."""
MAX_SHIFT_MM = 2.0
"""How far slices may be shifted against each other in their plane: one pixel of the grid."""
DUPLICATE_MM = 0.01
"""Slices closer than this are at the same place: no scanner makes such a spacing."""
GAP_TOLERANCE_MM = 0.15
"""How far a gap may be from the usual one. Positions are at times written to a tenth of a
millimetre, which makes gaps wrong by up to 0.1."""
MIN_SLICES_FOR_SPACING = 3
"""With two slices there is one gap, and nothing to compare it with."""


class SliceOrder(NamedTuple):
    """The order of slices and how far apart they are.

    Attributes:
        order: indices of the slices given, head first.
        spacing_mm: mean distance of neighbours.
        spacing_error_mm: how wrong that mean may be, for positions are rounded in files.
        extent_mm: distance of the first and the last slice.
    """

    order: tuple[int, ...]
    spacing_mm: float
    spacing_error_mm: float
    extent_mm: float


def axis_turn(header: SliceHeader) -> Reorientation:
    """How a slice is turned to rows anterior -> posterior, columns patient right -> left.

    Raises:
        IntakeError (missing-attribute, invalid-attribute): no orientation, or an impossible one.
        IntakeError (gantry-tilt): tilted by less than 45 degrees about the left-right axis.
        IntakeError (not-axial): coronal, sagittal or oblique.
    """
    along_row, along_column = _directions(header)
    transpose = bool(abs(along_row[1]) > abs(along_row[0]))
    right_to_left, front_to_back = (
        (along_column, along_row) if transpose else (along_row, along_column)
    )
    least = np.cos(np.radians(MAX_TILT_DEGREES))
    if abs(right_to_left[0]) >= least > abs(front_to_back[1]) > MIN_COSINE_OF_TILT:
        degrees = np.degrees(np.arccos(abs(front_to_back[1])))
        raise IntakeError(
            f"{header.file_name}: the slices are tilted by {degrees:.1f} degrees, as by a tilted "
            "gantry; give a series without tilt, or an axial reformat of it",
            code="gantry-tilt",
        )
    if abs(right_to_left[0]) < least or abs(front_to_back[1]) < least:
        raise IntakeError(
            f"{header.file_name}: the slice is not axial (ImageOrientationPatient "
            f"{_listed((*along_row, *along_column))}); give an axial series",
            code="not-axial",
        )
    return Reorientation(
        transpose=transpose,
        flip_rows=bool(front_to_back[1] < 0),
        flip_columns=bool(right_to_left[0] < 0),
    )


def order_slices(headers: Sequence[SliceHeader]) -> SliceOrder:
    """Slices of one orientation from head to feet, by position along their normal.

    Raises:
        IntakeError (missing-attribute, invalid-attribute): a slice without position.
        DuplicatePositionsError, IntakeError (too-few-slices, missing-slices, uneven-spacing,
            sheared-series): the slices are not an evenly spaced stack.
    """
    if len(headers) < MIN_SLICES_FOR_SPACING:
        raise IntakeError(
            f"{headers[0].file_name}: a series of {len(headers)} slices; the spacing shows "
            f"from {MIN_SLICES_FOR_SPACING} slices on",
            code="too-few-slices",
        )
    positions, to_feet = _positions(headers)
    depths = positions @ to_feet
    order = np.argsort(depths, kind="stable")
    ordered = [headers[index] for index in order]
    depths = depths[order]
    _check_gaps(ordered, np.diff(depths))
    _check_shift(ordered, positions[order] - np.outer(depths, to_feet))
    extent = float(depths[-1] - depths[0])
    even = np.linspace(depths[0], depths[-1], len(depths))
    # Each end is off its true place by no more than the positions are off an even row.
    error = 2 * float(np.abs(depths - even).max()) / (len(depths) - 1)
    return SliceOrder(
        order=tuple(int(index) for index in order),
        spacing_mm=extent / (len(depths) - 1),
        spacing_error_mm=error,
        extent_mm=extent,
    )


def depths_to_feet(headers: Sequence[SliceHeader]) -> NDArray[np.float64]:
    """Positions of slices of one orientation along their normal, in mm, larger to the feet.

    Raises:
        IntakeError (missing-attribute, invalid-attribute): a slice without position or orientation.
    """
    positions, to_feet = _positions(headers)
    depths: NDArray[np.float64] = positions @ to_feet
    return depths


def _positions(
    headers: Sequence[SliceHeader],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Positions, shape (slices, 3), and the unit vector along the normal that leads to the feet."""
    positions = np.array([header.required("ImagePositionPatient") for header in headers])
    normal = np.cross(*_directions(headers[0]))
    return positions, (-normal if normal[2] > 0 else normal)


def _directions(header: SliceHeader) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Unit vectors along a row (to the next column) and along a column (to the next row)."""
    cosines = np.array(header.required("ImageOrientationPatient"))
    along_row, along_column = cosines[:3], cosines[3:]
    lengths = np.array([along_row @ along_row, along_column @ along_column])
    if (
        np.abs(lengths - 1).max() > 2 * COSINE_TOLERANCE
        or abs(along_row @ along_column) > COSINE_TOLERANCE
    ):
        raise IntakeError(
            f"{header.file_name}: ImageOrientationPatient {_listed(cosines)} is no pair of "
            "directions at a right angle; export the series again from its source",
            code="invalid-attribute",
        )
    return along_row / np.sqrt(lengths[0]), along_column / np.sqrt(lengths[1])


def _check_gaps(ordered: Sequence[SliceHeader], gaps: NDArray[np.float64]) -> None:
    """Raise for gaps, head first, that are not all the same."""

    def between(gap: int) -> str:
        return f"{ordered[gap].file_name} and {ordered[gap + 1].file_name}"

    narrowest = int(np.argmin(gaps))
    if gaps[narrowest] < DUPLICATE_MM:
        raise DuplicatePositionsError(
            f"{between(narrowest)}: two slices at the same position; if the folder holds copies, "
            "or several phases under one series number, keep one of each"
        )
    # The lower median: with one of two gaps doubled, the single one is the usual one.
    usual = float(np.sort(gaps)[(len(gaps) - 1) // 2])
    off = np.abs(gaps - usual)
    if off.max() <= GAP_TOLERANCE_MM:
        return
    worst = int(np.argmax(off))
    steps = round(float(gaps[worst]) / usual)
    if steps >= 2 and abs(gaps[worst] - steps * usual) <= steps * GAP_TOLERANCE_MM:
        are_missing = "1 slice is" if steps == 2 else f"{steps - 1} slices are"
        raise IntakeError(
            f"{between(worst)}: {are_missing} missing in between (the gap is "
            f"{gaps[worst]:.2f} mm, elsewhere {usual:.2f} mm); fetch the series again, complete",
            code="missing-slices",
        )
    raise IntakeError(
        f"{between(worst)}: {gaps[worst]:.2f} mm apart, other neighbours {usual:.2f} mm; "
        "give a series of evenly spaced slices",
        code="uneven-spacing",
    )


def _check_shift(ordered: Sequence[SliceHeader], in_plane: NDArray[np.float64]) -> None:
    """Raise if the slices' corners, without their depth, are not all at one place."""
    shifts = np.linalg.norm(in_plane - in_plane[0], axis=1)
    worst = int(np.argmax(shifts))
    if shifts[worst] > MAX_SHIFT_MM:
        raise IntakeError(
            f"{ordered[0].file_name} and {ordered[worst].file_name}: shifted against each other "
            f"by {shifts[worst]:.1f} mm in their plane, as with a tilted gantry; give a series "
            "whose slices lie straight above each other",
            code="sheared-series",
        )


def _listed(numbers: Sequence[float] | NDArray[np.float64]) -> str:
    return "\\".join(f"{number:.4g}" for number in numbers)
