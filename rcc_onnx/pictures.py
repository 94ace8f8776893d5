"""The published picture: a slice of the crop with the box in red (docs/pipeline.md section 3)."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from rcc_onnx.values import LesionBox

RED = (255, 0, 0)


def lesion_picture(crop: NDArray[np.uint8], box: LesionBox) -> Image.Image:
    """RGB, 64x64: the box's slice in grey, its four edges (corners included) in pure red.

    Args:
        crop: uint8 (40, 64, 64), what the lesion network saw.
        box: in voxels of the crop, edges included.
    """
    grey = crop[box.slice]
    pixels = np.repeat(grey[:, :, None], 3, axis=2)
    rows, columns = slice(box.top, box.bottom + 1), slice(box.left, box.right + 1)
    for edge in ((box.top, columns), (box.bottom, columns), (rows, box.left), (rows, box.right)):
        pixels[edge] = RED
    return Image.fromarray(pixels)


def picture_notes(*sentences: str) -> PngInfo:
    """What travels inside the PNG beside its pixels: who made it and what it is not."""
    notes = PngInfo()
    notes.add_text("Software", "rcc-onnx")
    notes.add_text("Comment", " ".join(sentences))
    return notes
