"""The scan of a phantom: field of view, spacing, noise, storage; Hounsfield units on any grid.

`network_samples` renders straight on the network grid, for training and for checking a converted
network: that costs a hundredth of writing and reading a DICOM study. Accuracy is never measured on
these: benchmarks go through real files.
"""

from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from rcc_onnx.imaging.hounsfield import AIR_HU
from rcc_onnx.imaging.placement import PIXEL_MM
from rcc_onnx.phantom.anatomy import Anatomy, Body, Label, Prevalence, draw_anatomy
from rcc_onnx.phantom.shapes import Floats, Grid, paint
from rcc_onnx.types import CROP_SHAPE_ZYX, GRID_SIZE, HALF_WIDTH, MIN_SLICES

SPACINGS_MM = ((5.0, 5.0), (5.0, 5.0), (5.0, 5.0), (2.5, 2.5), (3.0, 3.0), (3.0, 2.5), (2.0, 2.0))
"""(thickness, spacing) pairs that a seed chooses from."""

# Seeds.
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


class Storage(StrEnum):
    """The relation of Hounsfield units to stored values."""

    SIGNED = "signed"
    UNSIGNED_1024 = "unsigned-1024"
    SIGNED_PADDED = "signed-padded"


@dataclass(frozen=True)
class Scan:
    """The acquisition of one phantom.

    Attributes:
        matrix: rows and columns.
        pixel_mm: PixelSpacing, both axes.
        thickness_mm, spacing_mm: SliceThickness and distance between slice centres.
        top_mm, bottom_mm: z of the first and at least reached z of the last slice; the kidneys lie
            about z = 0.
        offset_xy_mm: where the middle of the image lies off the middle of the body.
        noise_hu: standard deviation of the noise.
    """

    matrix: int
    pixel_mm: float
    thickness_mm: float
    spacing_mm: float
    top_mm: float
    bottom_mm: float
    offset_xy_mm: tuple[float, float]
    noise_hu: float
    storage: Storage

    def grid(self) -> Grid:
        """Return voxel centres, head first."""
        half = (self.matrix - 1) / 2
        across = (np.arange(self.matrix) - half) * self.pixel_mm
        count = int(np.floor((self.top_mm - self.bottom_mm) / self.spacing_mm)) + 1
        return Grid(
            x_mm=(across + self.offset_xy_mm[0]).astype(np.float32),
            y_mm=(across + self.offset_xy_mm[1]).astype(np.float32),
            z_mm=(self.top_mm - np.arange(count) * self.spacing_mm).astype(np.float32),
            thickness_mm=self.thickness_mm,
        )


def draw_scan(seed: int, body: Body) -> Scan:
    """Return the scan of a seed: a field of view round the body; spacing, noise, storage vary."""
    rng = np.random.default_rng((seed, 0x5CA7))
    thickness, spacing = SPACINGS_MM[rng.integers(len(SPACINGS_MM))]
    field_mm = 2 * body.half_width_mm + rng.uniform(40, 90)
    # Thinner slices catch fewer photons; scanners make up for half of it.
    noise_hu = rng.uniform(7, 15) * (5 / thickness) ** 0.25
    return Scan(
        matrix=512,
        pixel_mm=round(field_mm / 512, 4),
        thickness_mm=thickness,
        spacing_mm=spacing,
        top_mm=float(rng.uniform(92, 150)),
        bottom_mm=float(rng.uniform(-150, -100)),
        offset_xy_mm=(float(rng.uniform(-8, 8)), float(rng.uniform(-10, 10))),
        noise_hu=noise_hu,
        storage=list(Storage)[rng.integers(len(Storage))],
    )


def quick_scan(scan: Scan) -> Scan:
    """Return the scan at half the matrix and the same field of view, for tests."""
    return replace(scan, matrix=scan.matrix // 2, pixel_mm=scan.pixel_mm * 2)


SKIN_MM = 2.0
RIB_SPACING_MM = 32.0


def render(anatomy: Anatomy, grid: Grid) -> tuple[Floats, NDArray[np.uint8]]:
    """Return the image (float32 HU) and truth mask (uint8, `Label`), both of the grid's shape.

    Outside the body there is air; `add_table` and `noise` add the rest.
    """
    depth_mm = body_depth_mm(anatomy.body, grid)
    layers = _trunk(anatomy.body, depth_mm)
    hu = np.repeat(layers[None], grid.z_mm.size, axis=0)
    labels = np.zeros(grid.shape, np.uint8)
    for part in anatomy.parts:
        paint(part, grid, hu, labels)
    if anatomy.body.ribs:
        _paint_ribs(anatomy.body, grid, depth_mm, hu)
    # Organs drawn beyond the muscle wall end there.
    wall = anatomy.body.fat_mm + SKIN_MM + 3
    outside = depth_mm < wall
    hu[:, outside] = layers[outside]
    labels[:, outside] = 0
    return hu, labels


def body_depth_mm(body: Body, grid: Grid) -> Floats:
    """Return the depth under the skin in mm, negative outside; shape (rows, columns)."""
    p = np.float32(body.roundness)
    x = np.abs(grid.x_mm[None, :] / np.float32(body.half_width_mm))
    y = np.abs(grid.y_mm[:, None] / np.float32(body.half_depth_mm))
    level = (x**p + y**p) ** (1 / p)
    radius = np.hypot(grid.x_mm[None, :], grid.y_mm[:, None])
    surface = radius / np.maximum(level, np.float32(1e-3))
    return np.asarray((1 - level) * np.maximum(surface, body.half_depth_mm), np.float32)


def add_table(body: Body, grid: Grid, hu: Floats) -> None:
    """Paint a curved patient table under the body, clear of it, in place."""
    top = body.half_depth_mm + 9 - grid.x_mm[None, :] ** 2 / 2400
    below = grid.y_mm[:, None] - top
    width = np.abs(grid.x_mm)[None, :] < 215
    hu[:, (below > 0) & (below < 3) & width] = 60.0
    hu[:, (below >= 3) & (below < 28) & width] = -880.0
    hu[:, (below >= 28) & (below < 31) & width] = 90.0


def noise(rng: np.random.Generator, shape: tuple[int, int, int], sd_hu: float) -> Floats:
    """Return noise with a short in-plane correlation, as of reconstruction filters; float32."""
    slices, rows, columns = shape
    white = rng.standard_normal((slices, rows + 1, columns + 1), dtype=np.float32)
    mixed = white[:, 1:, 1:] + white[:, :-1, 1:]
    mixed += white[:, 1:, :-1]
    mixed += white[:, :-1, :-1]
    mixed *= np.float32(sd_hu / 2)
    return mixed


def _trunk(body: Body, depth_mm: Floats) -> Floats:
    """Return skin, fat, muscle and the fat inside, in one slice: the same at every height."""
    image = np.full(depth_mm.shape, AIR_HU, np.float32)
    starts = (0.0, SKIN_MM, SKIN_MM + body.fat_mm, SKIN_MM + body.fat_mm + body.muscle_mm)
    for start, hu in zip(starts, (20.0, body.fat_hu, body.muscle_hu, body.fat_hu), strict=True):
        alpha = np.clip(0.5 + (depth_mm - np.float32(start)), 0, 1)
        image += alpha * (np.float32(hu) - image)
    return image


def _paint_ribs(body: Body, grid: Grid, depth_mm: Floats, hu: Floats) -> None:
    """Paint ribs: in the muscle wall, falling towards the front, above the waist."""
    wall = SKIN_MM + body.fat_mm
    shell = (depth_mm > wall + 2) & (depth_mm < wall + min(9, body.muscle_mm))
    fall = grid.y_mm[:, None] * np.float32(0.45) + np.zeros_like(depth_mm)
    for index, z in enumerate(grid.z_mm):
        if z < 5:
            continue
        height = np.mod(z - fall + 1000, RIB_SPACING_MM)
        hu[index, shell & (height < 10)] = 380.0


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
