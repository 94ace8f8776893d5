"""The body mask as docs/pipeline.md says it, step by step: what the fast one is compared with."""

import numpy as np
from scipy import ndimage

EIGHT_NEIGHBOURS = np.ones((3, 3), dtype=bool)


def plain_body_mask(foreground):
    """`rcc_onnx.imaging.body_mask.body_mask` with SciPy's own morphology."""
    filled = ndimage.binary_fill_holes(plain_open_and_close(foreground))
    return plain_largest(filled)


def plain_open_and_close(mask):
    opened = ndimage.binary_dilation(ndimage.binary_erosion(mask))
    return ndimage.binary_closing(opened)


def plain_largest(mask):
    """Of the pieces the one with the most pixels; SciPy numbers them in raster order."""
    pieces, count = ndimage.label(mask, structure=EIGHT_NEIGHBOURS)
    if count == 0:
        return None
    return pieces == np.argmax(np.bincount(pieces.ravel())[1:]) + 1
