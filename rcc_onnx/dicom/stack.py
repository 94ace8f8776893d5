"""A stack: slices that can be analysed as one volume, head first and evenly spaced.

A stack meets all of these, checked in this order by `build_stack`. Slices that break one are
refused with an IntakeError of the code in brackets, never repaired:

1. Every slice has ImagePositionPatient, ImageOrientationPatient and PixelSpacing
   [missing-attribute, invalid-attribute].
2. ImageOrientationPatient is a right-angled pair of unit vectors [invalid-attribute].
3. Slices are axial, tilted by `MAX_TILT_DEGREES` at most [gantry-tilt, not-axial].
4. There are `MIN_SLICES_FOR_SPACING` or more [too-few-slices].
5. No two are closer than `DUPLICATE_MM` [duplicate-positions].
6. Gaps between neighbours differ by `GAP_TOLERANCE_MM` at most [missing-slices if the gap is a
   multiple of the others, else uneven-spacing].
7. Slices lie straight above one another, within `MAX_SHIFT_MM` [sheared-series].
8. Each has RescaleSlope, not 0, and RescaleIntercept, or a Modality LUT [missing-attribute,
   invalid-attribute].
9. RescaleType does not name another unit than HU [values-not-hu].
10. The spacing is within `SLICE_SPACING_MM` and `PIXEL_SPACING_MM` [spacing-out-of-range].

One patient, orientation, matrix and pixel spacing for all slices is settled before, by `grouping`;
whether pixels can be decoded and are HU shows when they are read.

Coordinates are DICOM's patient coordinates in mm: x grows to the patient's left, y to posterior, z
to the head (PS3.3 C.7.6.2.1.1), however the patient lies in the scanner. Only position and
orientation decide where a slice is; SliceLocation, InstanceNumber, PatientPosition, SliceThickness
and the gantry's tilt are not used.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rcc_onnx.dicom.headers import SliceHeader
from rcc_onnx.dicom.study import NETWORK_SLICE_MM, StudySlice
from rcc_onnx.errors import DuplicatePositionsError, IntakeError
from rcc_onnx.imaging.placement import Reorientation

COSINE_TOLERANCE = 1e-3
"""Largest error of cosines of a right-angled pair of unit vectors: files have three digits or more.
"""
MAX_TILT_DEGREES = 1.0
"""Largest angle to the patient's axes. Across half a body (200 mm) it is 3.5 mm, less than one
slice of the network volume."""
MIN_COSINE_OF_TILT = 0.707
"""Gantries tilt up to 30 degrees; a slice at more than 45 is nearer to coronal."""
MAX_SHIFT_MM = 2.0
"""Largest shift of slices against each other in their plane: one pixel of the grid."""
DUPLICATE_MM = 0.01
"""Slices closer than this are at the same place: no scanner makes such a spacing."""
GAP_TOLERANCE_MM = 0.15
"""Largest deviation from the usual gap. Some positions are written to a tenth of a millimetre,
which makes gaps wrong by up to 0.1."""
MIN_SLICES_FOR_SPACING = 3
"""With two slices there is one gap, and nothing to compare it with."""
STRIDE_TOLERANCE = 1e-4
"""Relative. Spacings are written with four decimals or more, so 2.4999 mm is 2.5 mm; a larger
difference is another spacing, and its stride then is the notebook's."""
SLICE_SPACING_MM = (0.2, 10.0)
"""Thinner than any body CT, or so thick that a kidney is on too few slices to be judged."""
PIXEL_SPACING_MM = (0.1, 4.0)
"""Fields of view of 5 cm to 2 m at 512 pixels: beyond, the number is not in mm."""
OTHER_UNITS = {"OD", "Z_EFF", "ED", "EDW", "MGML", "PCT"}
"""RescaleTypes that name another unit than HU (PS3.3 C.11.1.1.2), as maps of dual-energy CT do."""


@dataclass(frozen=True)
class Stack:
    """Slices head first, evenly spaced, all reoriented alike.

    Attributes:
        spacing_mm: mean distance of neighbours.
        spacing_error_mm: how wrong that mean may be, for positions are rounded in files.
        extent_mm: distance of the first and the last slice.
    """

    slices: tuple[StudySlice, ...]
    spacing_mm: float
    spacing_error_mm: float
    extent_mm: float

    @property
    def reorientation(self) -> Reorientation:
        return self.slices[0].reorientation

    @property
    def spacing_zyx_mm(self) -> tuple[float, float, float]:
        return (self.spacing_mm, *self.slices[0].spacing_yx_mm)

    @property
    def stride(self) -> int:
        return slice_stride(self.spacing_mm, self.spacing_error_mm)


def build_stack(headers: Sequence[SliceHeader]) -> Stack:
    """Return the stack that slices of one group form, in any order.

    Raises:
        IntakeError: the first requirement that is not met.
    """
    for header in headers:
        for keyword in ("ImageOrientationPatient", "ImagePositionPatient", "PixelSpacing"):
            header.required(keyword)
    reorientation = find_reorientation(headers[0])
    ordered, depths = _order_slices(headers)
    intervals = len(depths) - 1
    extent_mm = float(depths[-1] - depths[0])
    even = np.linspace(depths[0], depths[-1], len(depths))
    # Each end is off its true place by no more than the positions are off an even row.
    error_mm = 2 * float(np.abs(depths - even).max()) / intervals
    slices = tuple(_slice(header, reorientation) for header in ordered)
    stack = Stack(slices, extent_mm / intervals, error_mm, extent_mm)
    _check_spacing_range(headers[0], stack.spacing_zyx_mm)
    return stack


def slice_stride(spacing_mm: float, error_mm: float = 0.0) -> int:
    """Return the number of slices from one that the networks see to the next, so that they are 5 mm
    apart or more.

    Args:
        spacing_mm: distance of neighbours.
        error_mm: how wrong it may be; a spacing that may just reach 5 mm / n is taken to do so.
    """
    longest = spacing_mm + max(STRIDE_TOLERANCE * spacing_mm, error_mm)
    return math.ceil(NETWORK_SLICE_MM / longest)


def find_reorientation(header: SliceHeader) -> Reorientation:
    """Return the reorientation to rows anterior -> posterior, columns patient right -> left.

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


def is_axial(header: SliceHeader) -> bool:
    """Return whether `find_reorientation` accepts the slice."""
    try:
        find_reorientation(header)
    except IntakeError:
        return False
    return True


def depths_to_feet(headers: Sequence[SliceHeader]) -> NDArray[np.float64]:
    """Return positions of slices of one orientation along their normal, in mm, larger to the feet.

    Raises:
        IntakeError (missing-attribute, invalid-attribute): a slice without position or orientation.
    """
    positions, to_feet = _positions(headers)
    depths: NDArray[np.float64] = positions @ to_feet
    return depths


def _order_slices(
    headers: Sequence[SliceHeader],
) -> tuple[list[SliceHeader], NDArray[np.float64]]:
    """Return slices of one orientation head first, and their depths; raise if their positions are
    not those of a stack."""
    if len(headers) < MIN_SLICES_FOR_SPACING:
        raise IntakeError(
            f"{headers[0].file_name}: a series of {len(headers)} slices; the spacing can be "
            f"checked from {MIN_SLICES_FOR_SPACING} slices on",
            code="too-few-slices",
        )
    positions, to_feet = _positions(headers)
    depths = positions @ to_feet
    order = np.argsort(depths, kind="stable")
    ordered = [headers[index] for index in order]
    depths = depths[order]
    _check_gaps(ordered, np.diff(depths))
    _check_shift(ordered, positions[order] - np.outer(depths, to_feet))
    return ordered, depths


def _positions(
    headers: Sequence[SliceHeader],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return positions, shape (slices, 3), and the unit normal that points to the feet."""
    positions = np.array([header.required("ImagePositionPatient") for header in headers])
    normal = np.cross(*_directions(headers[0]))
    return positions, (-normal if normal[2] > 0 else normal)


def _directions(header: SliceHeader) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return unit vectors along a row (to the next column) and a column (to the next row)."""
    cosines = np.array(header.required("ImageOrientationPatient"))
    along_row, along_column = cosines[:3], cosines[3:]
    lengths = np.array([along_row @ along_row, along_column @ along_column])
    if (
        np.abs(lengths - 1).max() > 2 * COSINE_TOLERANCE
        or abs(along_row @ along_column) > COSINE_TOLERANCE
    ):
        raise IntakeError(
            f"{header.file_name}: ImageOrientationPatient {_listed(cosines)} is not a pair of "
            "directions at a right angle; export the series again from its source",
            code="invalid-attribute",
        )
    return along_row / np.sqrt(lengths[0]), along_column / np.sqrt(lengths[1])


def _check_gaps(ordered: Sequence[SliceHeader], gaps: NDArray[np.float64]) -> None:
    def neighbours(gap: int) -> str:
        return f"{ordered[gap].file_name} and {ordered[gap + 1].file_name}"

    narrowest = int(np.argmin(gaps))
    if gaps[narrowest] < DUPLICATE_MM:
        raise DuplicatePositionsError(
            f"{neighbours(narrowest)}: two slices at the same position; if the folder holds "
            "copies, or several phases under one series number, keep one of each"
        )
    # The lower median: with one of two gaps doubled, the single one is the usual one.
    usual = float(np.sort(gaps)[(len(gaps) - 1) // 2])
    deviations = np.abs(gaps - usual)
    if deviations.max() <= GAP_TOLERANCE_MM:
        return
    worst = int(np.argmax(deviations))
    steps = round(float(gaps[worst]) / usual)
    if steps >= 2 and abs(gaps[worst] - steps * usual) <= steps * GAP_TOLERANCE_MM:
        are_missing = "1 slice is" if steps == 2 else f"{steps - 1} slices are"
        raise IntakeError(
            f"{neighbours(worst)}: {are_missing} missing in between (the gap is "
            f"{gaps[worst]:.2f} mm, elsewhere {usual:.2f} mm); fetch the series again, complete",
            code="missing-slices",
        )
    raise IntakeError(
        f"{neighbours(worst)}: {gaps[worst]:.2f} mm apart, other neighbours {usual:.2f} mm; "
        "give a series of evenly spaced slices",
        code="uneven-spacing",
    )


def _check_shift(ordered: Sequence[SliceHeader], in_plane: NDArray[np.float64]) -> None:
    """Raise unless the slices' corners, without their depth, are all at one place."""
    shifts = np.linalg.norm(in_plane - in_plane[0], axis=1)
    worst = int(np.argmax(shifts))
    if shifts[worst] > MAX_SHIFT_MM:
        raise IntakeError(
            f"{ordered[0].file_name} and {ordered[worst].file_name}: shifted against each other "
            f"by {shifts[worst]:.1f} mm in their plane, as with a tilted gantry; give a series "
            "whose slices lie straight above each other",
            code="sheared-series",
        )


def _slice(header: SliceHeader, reorientation: Reorientation) -> StudySlice:
    slope, intercept = 1.0, 0.0
    if not header.modality_lut:
        slope = header.required("RescaleSlope")[0]
        intercept = header.required("RescaleIntercept")[0]
    if slope == 0:
        raise IntakeError(
            f"{header.file_name}: RescaleSlope is 0, which makes every pixel the same; "
            "export the series again from its source",
            code="invalid-attribute",
        )
    if header.rescale_type in OTHER_UNITS:
        raise IntakeError(
            f"{header.file_name}: the values are not Hounsfield units (RescaleType "
            f"{header.rescale_type}); give a series of plain CT images",
            code="values-not-hu",
        )
    return StudySlice(header, reorientation, slope, intercept)


def _check_spacing_range(header: SliceHeader, spacing_zyx_mm: tuple[float, float, float]) -> None:
    limits = (SLICE_SPACING_MM, PIXEL_SPACING_MM, PIXEL_SPACING_MM)
    names = ("slices", "rows", "columns")
    for name, value, (low, high) in zip(names, spacing_zyx_mm, limits, strict=True):
        if not low <= value <= high:
            raise IntakeError(
                f"{header.file_name}: {name} are {value:.4g} mm apart; {low} to {high} mm can "
                "be analysed",
                code="spacing-out-of-range",
            )


def _listed(numbers: Sequence[float] | NDArray[np.float64]) -> str:
    return "\\".join(f"{number:.4g}" for number in numbers)
