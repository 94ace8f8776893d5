"""Reading pictures, for tests of what was drawn."""

import numpy as np
from PIL import Image


def near(picture: Image.Image, colour: tuple[int, int, int], off: int = 40) -> np.ndarray:
    """Which pixels have about this colour."""
    return (np.abs(np.asarray(picture).astype(int) - colour) <= off).all(axis=2)


def extent(mask: np.ndarray) -> tuple[int, int, int, int]:
    """First and last row, first and last column."""
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    return rows[0], rows[-1], columns[0], columns[-1]
