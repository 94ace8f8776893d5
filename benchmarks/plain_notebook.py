"""The notebook's preprocessing (docs/pipeline.md, section 1), as a baseline for benchmarks.

SciPy's morphology on whole slices, Pillow's resizing, one slice after the other.
"""

from math import ceil
from pathlib import Path

import numpy as np
import pydicom
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

Pixels = NDArray[np.int16]

_CROSS = ndimage.generate_binary_structure(2, 1)
_SQUARE = ndimage.generate_binary_structure(2, 2)


def notebook_volume(folder: Path) -> NDArray[np.uint8]:
    """Return the network volume of .dcm files, uint8 (slices, 160, 160), 40 slices or more."""
    files = sorted(folder.glob("*.dcm"), key=lambda path: path.name)
    stride = ceil(5.0 / float(pydicom.dcmread(files[0]).SliceThickness))
    slices = [_slice(path) for path in files[::stride]]
    missing = max(40 - len(slices), 0)
    before = missing // 2
    return np.pad(np.stack(slices), ((before, missing - before), (0, 0), (0, 0)))


def _slice(path: Path) -> NDArray[np.uint8]:
    dataset = pydicom.dcmread(path)
    masked = _body_only(dataset.pixel_array)
    hu = masked * float(dataset.RescaleSlope) + float(dataset.RescaleIntercept)
    grey = np.round((np.clip(hu, -160, 240) + 160) * 255 / 400).astype(np.uint8)
    size = int(256 * float(dataset.PixelSpacing[0]))
    image = Image.fromarray(grey).resize((size, size), resample=Image.Resampling.NEAREST)
    return _to_160(np.asarray(image))


def _body_only(stored: Pixels) -> Pixels:
    body = ndimage.binary_erosion(stored > -300, _CROSS)
    body = ndimage.binary_dilation(body, _CROSS)
    body = ndimage.binary_fill_holes(ndimage.binary_closing(body, _CROSS))
    labels, _ = ndimage.label(body, _SQUARE)
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    return np.where(labels == np.argmax(sizes), stored, stored.min())


def _to_160(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    size = len(image)
    if size >= 160:
        at = (size - 160) // 2
        return image[at : at + 160, at : at + 160]
    at = (160 - size) // 2
    rest = 160 - size - at
    return np.pad(image, ((at, rest), (at, rest)))
