"""Copies of slices: dropped if they are the same image, else kept, and refused later."""

from collections.abc import Sequence

import numpy as np

from rcc_onnx.errors import IntakeError, PixelsError
from rcc_onnx.intake.geometry import DUPLICATE_MM, depths_to_feet
from rcc_onnx.intake.headers import SliceHeader
from rcc_onnx.intake.pixels import read_stored_values
from rcc_onnx.intake.sources import LeftOut

COPY = "identical copy of another slice"


def drop_copies(
    headers: Sequence[SliceHeader], *, same_instance: bool
) -> tuple[list[SliceHeader], list[LeftOut]]:
    """Of slices at the same place with the same values, the first by name; and the others.

    Args:
        headers: slices of one group.
        same_instance: only those are compared that are the same SOP instance.
    """
    try:
        depths = depths_to_feet(headers)
    except IntakeError:
        return list(headers), []
    order = sorted(range(len(headers)), key=lambda i: (depths[i], headers[i].file_name))
    kept: list[int] = []
    dropped: list[LeftOut] = []
    for index in order:
        here = headers[index]
        twin = kept and depths[index] - depths[kept[-1]] < DUPLICATE_MM
        original = headers[kept[-1]] if twin else here
        same = (original.sop_instance_uid, original.frame) == (here.sop_instance_uid, here.frame)
        if twin and (same or not same_instance) and _same_image(original, here):
            dropped.append(LeftOut(here.file_name, COPY))
        else:
            kept.append(index)
    return [headers[index] for index in kept], dropped


def _same_image(one: SliceHeader, other: SliceHeader) -> bool:
    if (one.position, one.rescale_slope, one.rescale_intercept, one.padding) != (
        other.position,
        other.rescale_slope,
        other.rescale_intercept,
        other.padding,
    ):
        return False
    try:
        return np.array_equal(read_stored_values(one), read_stored_values(other))
    except PixelsError:
        return False
