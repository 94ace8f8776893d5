"""Phantoms straight on the network grid: for training, and for checking a converted network.

Rendering only the 160 by 160 pixels that the pipeline would sample costs a hundredth of writing and
reading a DICOM study. Accuracy is never measured on these: benchmarks go through real files.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from rcc_onnx.imaging.placement import PIXEL_MM
from rcc_onnx.phantom.anatomy import Anatomy, Label, Prevalence, draw_anatomy
from rcc_onnx.phantom.scan import Scan, body_depth_mm, draw_scan, noise, render
from rcc_onnx.phantom.shapes import Grid
from rcc_onnx.types import CROP_SHAPE_ZYX, GRID_SIZE, HALF_WIDTH, MIN_SLICES

TRAINING = range(1_000_000, 2_000_000)
TUNING = range(2_000_000, 3_000_000)
"""For looking at while choosing how to train."""
EVALUATION = range(3_001_000, 4_000_000)
"""For the figures in the model card, and for nothing else. The thousand seeds before it were looked
at before the last phase of training was added: they judge nothing any more."""
EXAMPLES = range(1_000)
"""The demo, the tests and the documentation."""
STRIDED_MM = 5.0
"""The pipeline takes every n-th slice so that they lie at least this far apart."""
WINDOW_HU = (-160.0, 240.0)


@dataclass(frozen=True)
class NetworkSamples:
    """The network input of one phantom, with the truth.

    Attributes:
        slices: uint8 (n, 160, 160); `slice_labels` the same shape (`Label`).
        crops: uint8 (m, 40, 64, 64), one a kidney; `crop_labels` the same shape.
    """

    slices: NDArray[np.uint8]
    slice_labels: NDArray[np.uint8]
    crops: NDArray[np.uint8]
    crop_labels: NDArray[np.uint8]


def network_samples(seed: int, prevalence: Prevalence | None = None) -> NetworkSamples:
    """Return a seed's network volume and a crop round each kidney, moved at random."""
    rng = np.random.default_rng((seed, 0x5A3B))
    anatomy = draw_anatomy(seed, prevalence)
    scan = draw_scan(seed, anatomy.body)
    grid = network_grid(scan, rng)
    hu, labels = render(anatomy, grid)
    volume = _to_network_values(anatomy, grid, hu + noise(rng, hu.shape, scan.noise_hu))
    volume, labels = _pad(volume), _pad(labels)
    cuts = [cut for side in (0, 1) if (cut := _crop(rng, labels, side)) is not None]
    empty = np.zeros((0, *CROP_SHAPE_ZYX), np.uint8)
    return NetworkSamples(
        slices=volume,
        slice_labels=labels,
        crops=np.stack([volume[cut] for cut in cuts]) if cuts else empty,
        crop_labels=np.stack([labels[cut] for cut in cuts]) if cuts else empty,
    )


def network_grid(scan: Scan, rng: np.random.Generator) -> Grid:
    """Return the points that the pipeline would sample: 2 mm pixels, every n-th slice."""
    stride = int(np.ceil(STRIDED_MM / scan.spacing_mm - 1e-6))
    strided = replace(scan, spacing_mm=scan.spacing_mm * stride).grid()
    across = (np.arange(GRID_SIZE) - (GRID_SIZE - 1) / 2) * PIXEL_MM
    shift = rng.uniform(-scan.pixel_mm, scan.pixel_mm, size=2)
    return Grid(
        x_mm=(across + scan.offset_xy_mm[0] + shift[0]).astype(np.float32),
        y_mm=(across + scan.offset_xy_mm[1] + shift[1]).astype(np.float32),
        z_mm=strided.z_mm,
        thickness_mm=scan.thickness_mm,
    )


def _to_network_values(anatomy: Anatomy, grid: Grid, hu: NDArray[np.float32]) -> NDArray[np.uint8]:
    low, high = WINDOW_HU
    values = np.round((np.clip(hu, low, high) - low) * (255 / (high - low))).astype(np.uint8)
    values[:, body_depth_mm(anatomy.body, grid) < 0] = 0
    return values


def _pad(volume: NDArray[np.uint8]) -> NDArray[np.uint8]:
    missing = max(MIN_SLICES - volume.shape[0], 0)
    before = missing // 2
    return np.pad(volume, ((before, missing - before), (0, 0), (0, 0)))


def _crop(
    rng: np.random.Generator, labels: NDArray[np.uint8], side: int
) -> tuple[slice, slice, slice] | None:
    """Return the crop round a kidney, its centre moved as a network would; None without one."""
    own = int(Label.RIGHT_KIDNEY if side == 0 else Label.LEFT_KIDNEY)
    points = np.argwhere(labels[:, :, side * HALF_WIDTH : (side + 1) * HALF_WIDTH] == own)
    if len(points) == 0:
        return None
    centre = points.mean(axis=0) + rng.normal(0, (3.0, 4.0, 4.0))
    sizes = (labels.shape[0], GRID_SIZE, HALF_WIDTH)
    z, y, x = (
        min(max(0, int(c - length / 2)), size - length)
        for c, length, size in zip(centre, CROP_SHAPE_ZYX, sizes, strict=True)
    )
    x += side * HALF_WIDTH
    depth, height, width = CROP_SHAPE_ZYX
    return slice(z, z + depth), slice(y, y + height), slice(x, x + width)
