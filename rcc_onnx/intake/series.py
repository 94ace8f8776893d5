"""The intake of the standard profile: one series, in order (docs/pipeline.md section 1)."""

import math
from collections.abc import Sequence
from pathlib import Path

from rcc_onnx.errors import InvalidAttributeError, MixedSeriesError, SpacingRangeError
from rcc_onnx.intake.geometry import COSINE_TOLERANCE, SliceOrder, axis_turn, order_slices
from rcc_onnx.intake.grouping import find_slices, one_series
from rcc_onnx.intake.headers import LeftOut, SliceHeader
from rcc_onnx.intake.study import NETWORK_SLICE_MM, AxisTurn, Study, StudySlice
from rcc_onnx.values import Profile

STRIDE_TOLERANCE = 1e-4
"""Relative. Spacings are written with four decimals or more, so 2.4999 mm is 2.5 mm; what differs
by more is another spacing, and its stride then is the notebook's."""
SPACING_TOLERANCE = 1e-3
"""Relative difference of PixelSpacing within a series that rounding to three digits explains."""
SLICE_SPACING_MM = (0.2, 10.0)
"""Thinner than any body CT, or so thick that a kidney is on too few slices to be judged."""
PIXEL_SPACING_MM = (0.1, 4.0)
"""Fields of view of 5 cm to 2 m at 512 pixels: beyond, the number is not in mm."""
SHORT_EXTENT_MM = 100.0
"""Kidneys are about 110 mm long: a shorter series cannot show them whole."""


def read_standard_study(folder: Path) -> Study:
    """The one axial CT series of a folder, whatever its files are named, head first.

    Raises:
        IntakeError: one of its leaves, for anything that would have to be guessed.
    """
    found, left_out = find_slices(folder)
    headers = one_series(found)
    _check_alike(headers)
    turn = axis_turn(headers[0])
    order = order_slices(headers)
    slices = tuple(_slice(headers[index], turn) for index in order.order)
    spacing = (order.spacing_mm, *slices[0].spacing_yx_mm)
    _check_range(headers[0], spacing)
    return Study(
        folder=folder,
        profile=Profile.STANDARD,
        slices=slices,
        spacing_zyx_mm=spacing,
        stride=slice_stride(order.spacing_mm, order.spacing_error_mm),
        files_found=len(found) + len(left_out),
        left_out=tuple(left_out),
        warnings=tuple(_warnings(headers, order, left_out)),
    )


def slice_stride(spacing_mm: float, error_mm: float = 0.0) -> int:
    """Every how many slices one is taken, so that they are 5 mm apart or more.

    Args:
        spacing_mm: distance of neighbours.
        error_mm: how wrong it may be; a spacing that may just reach 5 mm / n is taken to do so.
    """
    longest = spacing_mm + max(STRIDE_TOLERANCE * spacing_mm, error_mm)
    return math.ceil(NETWORK_SLICE_MM / longest)


def _slice(header: SliceHeader, turn: AxisTurn) -> StudySlice:
    """A slice with what is needed to decode it.

    Raises:
        MissingAttributeError, InvalidAttributeError: no rescale, or a slope of zero.
    """
    slope = header.required("RescaleSlope")[0]
    if slope == 0:
        raise InvalidAttributeError(
            f"{header.file_name}: RescaleSlope is 0, which makes every pixel the same; "
            "export the series again from its source"
        )
    between_rows, between_columns = header.required("PixelSpacing")
    shape, spacing = (header.rows, header.columns), (between_rows, between_columns)
    return StudySlice(
        header=header,
        turn=turn,
        shape=shape[::-1] if turn.transpose else shape,
        spacing_yx_mm=spacing[::-1] if turn.transpose else spacing,
        slope=slope,
        intercept=header.required("RescaleIntercept")[0],
    )


def _check_alike(headers: Sequence[SliceHeader]) -> None:
    """Raise unless all slices have the first one's matrix, orientation and pixel spacing."""
    first = headers[0]
    for other in headers[1:]:
        differs = {
            "Rows and Columns": (other.rows, other.columns) != (first.rows, first.columns),
            "ImageOrientationPatient": _differ(
                first, other, "ImageOrientationPatient", absolute=COSINE_TOLERANCE
            ),
            "PixelSpacing": _differ(first, other, "PixelSpacing", relative=SPACING_TOLERANCE),
        }
        names = [name for name, yes in differs.items() if yes]
        if names:
            raise MixedSeriesError(
                f"{first.file_name} and {other.file_name}: slices of one series differ in "
                f"{' and '.join(names)}; put those that belong together into a folder of their own"
            )


def _differ(
    one: SliceHeader,
    other: SliceHeader,
    keyword: str,
    relative: float = 0.0,
    absolute: float = 0.0,
) -> bool:
    """Whether a number of the attribute differs by more than the tolerance."""
    pairs = zip(one.required(keyword), other.required(keyword), strict=True)
    return not all(math.isclose(a, b, rel_tol=relative, abs_tol=absolute) for a, b in pairs)


def _check_range(header: SliceHeader, spacing_zyx_mm: tuple[float, float, float]) -> None:
    """Raise for a spacing that cannot be meant, or that the networks cannot be given."""
    limits = (SLICE_SPACING_MM, PIXEL_SPACING_MM, PIXEL_SPACING_MM)
    names = ("slices", "rows", "columns")
    for name, value, (low, high) in zip(names, spacing_zyx_mm, limits, strict=True):
        if not low <= value <= high:
            raise SpacingRangeError(
                f"{header.path.parent}: {name} are {value:.4g} mm apart; {low} to {high} mm can "
                "be analysed"
            )


def _warnings(
    headers: Sequence[SliceHeader], order: SliceOrder, left_out: Sequence[LeftOut]
) -> list[str]:
    """What does not stop the analysis, but should be read next to its result."""
    said = []
    if order.extent_mm < SHORT_EXTENT_MM:
        said.append(
            f"The series covers {order.extent_mm:.0f} mm from head to feet; a kidney may be "
            "missing or cut off."
        )
    if order.spacing_mm > NETWORK_SLICE_MM * (1 + STRIDE_TOLERANCE):
        said.append(
            f"Slices are {order.spacing_mm:.2f} mm apart; the networks expect "
            f"{NETWORK_SLICE_MM:.0f} mm."
        )
    if any(header.rescale_type not in ("", "HU") for header in headers):
        said.append(
            "RescaleType is not HU; the values are taken for Hounsfield units all the same."
        )
    unread = sum(file.reason == "damaged DICOM header" for file in left_out)
    if unread:
        said.append(f"{unread} DICOM files could not be read and were left out.")
    return said
