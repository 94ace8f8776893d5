"""Flags: why a side without a finding may be a side that could not be judged.

They change no outcome. "No lesion" of a kidney that is cut off is not "no lesion" of a kidney.
"""

import numpy as np
from numpy.typing import NDArray

from rcc_onnx.types import MIN_SLICES, NetworkVolume, Note, Side

KIDNEY_PROBABILITY = 0.5
ENHANCED_FROM_HU = 70.0
"""Renal parenchyma measures 20 to 50 HU without contrast, and beyond 80 in every phase with it."""
CUT_KIDNEY_PIXELS = 25
"""Pixels of the grid, 1 square centimetre: less is the tip of a pole, or noise."""


def study_flags(
    analysed_slices: int, has_contrast: bool, kidney_hu: float | None = None
) -> tuple[Note, ...]:
    """Return the flags that concern both sides.

    Args:
        analysed_slices: slices that went to the networks.
        has_contrast: whether a file records contrast in a vessel.
        kidney_hu: mean HU of the kidneys that were found; None without kidneys.
    """
    flags = []
    if analysed_slices < MIN_SLICES:
        text = (
            f"Only {analysed_slices} slices were analysed, fewer than the {MIN_SLICES} of a crop: "
            "parts of what the lesion network saw were blank."
        )
        flags.append(Note("few-slices", text))
    if not has_contrast:
        text = "No contrast in a vessel is recorded; the networks expect a contrast-enhanced phase."
        flags.append(Note("no-contrast-recorded", text))
    if kidney_hu is not None and kidney_hu < ENHANCED_FROM_HU:
        text = (
            f"The kidneys measure {kidney_hu:.0f} HU, as without contrast (below "
            f"{ENHANCED_FROM_HU:.0f} HU); the networks expect a contrast-enhanced phase."
        )
        flags.append(Note("no-enhancement-seen", text))
    return tuple(flags)


def side_flags(
    side: Side, volume: NetworkVolume, kidney_probability: NDArray[np.float64]
) -> tuple[Note, ...]:
    """Return the flags that concern one side.

    Args:
        side: the side.
        volume: what the networks saw.
        kidney_probability: of this side, shape (slices, 160, 80).
    """
    flags = []
    first, last = volume.padding_before, volume.padding_before + volume.real_slices - 1
    for name, index in (("first", first), ("last", last)):
        pixels = int((kidney_probability[index] >= KIDNEY_PROBABILITY).sum())
        if pixels >= CUT_KIDNEY_PIXELS:
            text = f"The {side} kidney is cut off by the {name} slice."
            flags.append(Note(f"kidney-cut-by-{name}-slice", text))
    beyond = [edge for edge in (side, "front", "back") if edge in volume.body_beyond]
    if beyond:
        text = f"The body goes on beyond the 320 mm that the networks see: {', '.join(beyond)}."
        flags.append(Note("body-outside-grid", text))
    return tuple(flags)
