"""One group of slices judged: a stack that can be analysed, or the refusal that says why."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from rcc_onnx.errors import InvalidAttributeError, SpacingRangeError, ValuesNotHuError
from rcc_onnx.intake.geometry import SliceOrder, axis_turn, order_slices
from rcc_onnx.intake.headers import SliceHeader
from rcc_onnx.intake.study import NETWORK_SLICE_MM, StudySlice
from rcc_onnx.intake_record import Note
from rcc_onnx.placement import AxisTurn

STRIDE_TOLERANCE = 1e-4
"""Relative. Spacings are written with four decimals or more, so 2.4999 mm is 2.5 mm; what differs
by more is another spacing, and its stride then is the notebook's."""
SLICE_SPACING_MM = (0.2, 10.0)
"""Thinner than any body CT, or so thick that a kidney is on too few slices to be judged."""
PIXEL_SPACING_MM = (0.1, 4.0)
"""Fields of view of 5 cm to 2 m at 512 pixels: beyond, the number is not in mm."""
OTHER_UNITS = {"OD", "Z_EFF", "ED", "EDW", "MGML", "PCT"}
"""RescaleTypes that name another unit than HU (PS3.3 C.11.1.1.2), as maps of dual-energy CT do."""
SHORT_EXTENT_MM = 100.0
"""Kidneys are about 110 mm long: a shorter series cannot show them whole."""


@dataclass(frozen=True)
class Stack:
    """Slices head first, evenly spaced, all turned alike.

    Attributes:
        order: `order.order` are indices into what was judged.
    """

    slices: tuple[StudySlice, ...]
    turn: AxisTurn
    order: SliceOrder

    @property
    def spacing_zyx_mm(self) -> tuple[float, float, float]:
        return (self.order.spacing_mm, *self.slices[0].spacing_yx_mm)

    @property
    def stride(self) -> int:
        return slice_stride(self.order.spacing_mm, self.order.spacing_error_mm)


def judge(headers: Sequence[SliceHeader]) -> Stack:
    """The stack that slices of one group form.

    Raises:
        IntakeError: one of its leaves, for anything that would have to be guessed.
    """
    for header in headers:
        for keyword in ("ImageOrientationPatient", "ImagePositionPatient", "PixelSpacing"):
            header.required(keyword)
    turn = axis_turn(headers[0])
    order = order_slices(headers)
    stack = Stack(tuple(_slice(headers[index], turn) for index in order.order), turn, order)
    _check_range(headers[0], stack.spacing_zyx_mm)
    return stack


def slice_stride(spacing_mm: float, error_mm: float = 0.0) -> int:
    """Every how many slices one is taken, so that they are 5 mm apart or more.

    Args:
        spacing_mm: distance of neighbours.
        error_mm: how wrong it may be; a spacing that may just reach 5 mm / n is taken to do so.
    """
    longest = spacing_mm + max(STRIDE_TOLERANCE * spacing_mm, error_mm)
    return math.ceil(NETWORK_SLICE_MM / longest)


def warnings_of(stack: Stack) -> list[Note]:
    """What does not stop the analysis, but should be read next to its result."""
    headers = [one.header for one in stack.slices]
    order = stack.order
    said = {
        "short-extent": order.extent_mm < SHORT_EXTENT_MM
        and f"The series covers {order.extent_mm:.0f} mm from head to feet; a kidney may be "
        "missing or cut off.",
        "thick-slices": order.spacing_mm > NETWORK_SLICE_MM * (1 + STRIDE_TOLERANCE)
        and f"Slices are {order.spacing_mm:.2f} mm apart; the networks expect "
        f"{NETWORK_SLICE_MM:.0f} mm.",
        "rescale-type": any(one.rescale_type not in ("", "HU") for one in headers)
        and "RescaleType is not HU; the values are taken for Hounsfield units all the same.",
        "modality-lut": any(one.modality_lut for one in headers)
        and "A Modality LUT takes the place of rescale slope and intercept.",
        "no-slice-thickness": any(one.slice_thickness is None for one in headers)
        and "SliceThickness is missing; only positions are used, so nothing hangs on it.",
        "no-patient-position": not all(one.patient_position for one in headers)
        and "PatientPosition is missing; only direction cosines are used, so nothing hangs on it.",
        "no-modality": not all(one.modality for one in headers)
        and "Modality is missing; the SOP class says that it is CT.",
        "lossy": any(one.lossy for one in headers) and "The pixels went through lossy compression.",
    }
    return [Note(code, sentence) for code, sentence in said.items() if sentence]


def _slice(header: SliceHeader, turn: AxisTurn) -> StudySlice:
    """A slice with what is needed to decode it.

    Raises:
        MissingAttributeError, InvalidAttributeError: no rescale and no LUT, or a slope of zero.
        ValuesNotHuError: RescaleType names another unit.
    """
    slope, intercept = 1.0, 0.0
    if not header.modality_lut:
        slope = header.required("RescaleSlope")[0]
        intercept = header.required("RescaleIntercept")[0]
    if slope == 0:
        raise InvalidAttributeError(
            f"{header.file_name}: RescaleSlope is 0, which makes every pixel the same; "
            "export the series again from its source"
        )
    if header.rescale_type in OTHER_UNITS:
        raise ValuesNotHuError(
            f"{header.file_name}: RescaleType {header.rescale_type} says that the values are no "
            "Hounsfield units; give a series of plain CT images"
        )
    between_rows, between_columns = header.required("PixelSpacing")
    shape, spacing = (header.rows, header.columns), (between_rows, between_columns)
    return StudySlice(
        header=header,
        turn=turn,
        shape=shape[::-1] if turn.transpose else shape,
        spacing_yx_mm=spacing[::-1] if turn.transpose else spacing,
        slope=slope,
        intercept=intercept,
    )


def _check_range(header: SliceHeader, spacing_zyx_mm: tuple[float, float, float]) -> None:
    """Raise for a spacing that cannot be meant, or that the networks cannot be given."""
    limits = (SLICE_SPACING_MM, PIXEL_SPACING_MM, PIXEL_SPACING_MM)
    names = ("slices", "rows", "columns")
    for name, value, (low, high) in zip(names, spacing_zyx_mm, limits, strict=True):
        if not low <= value <= high:
            raise SpacingRangeError(
                f"{header.file_name}: {name} are {value:.4g} mm apart; {low} to {high} mm can "
                "be analysed"
            )
