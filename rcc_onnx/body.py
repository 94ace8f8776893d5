"""The body in one slice: what is patient, without table and air (docs/pipeline.md section 1)."""

from rcc_onnx.morphology import Mask, opened_and_closed
from rcc_onnx.regions import largest_filled

FOREGROUND_ABOVE = -300
"""Values above this are foreground: HU, or stored values in the notebook profile."""

__all__ = ["FOREGROUND_ABOVE", "Mask", "body_mask"]


def body_mask(foreground: Mask) -> Mask | None:
    """The body among the foreground pixels of one slice.

    Opening and closing with the 3x3 cross, holes filled, then the largest piece (8-neighbours), of
    equals the one met first in raster order.

    Args:
        foreground: shape (rows, columns). Not changed.

    Returns:
        A new array of the same shape, or None if nothing is left after the opening. The outermost
        rows and columns are never body: outside the image counts as background.
    """
    return largest_filled(opened_and_closed(foreground))
