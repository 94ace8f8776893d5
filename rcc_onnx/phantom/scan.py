"""How a phantom is scanned and stored: field of view, spacing, noise, DICOM storage."""

from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np

from rcc_onnx.phantom.shapes import Grid
from rcc_onnx.phantom.surroundings import Body

SPACINGS_MM = ((5.0, 5.0), (5.0, 5.0), (5.0, 5.0), (2.5, 2.5), (3.0, 3.0), (3.0, 2.5), (2.0, 2.0))
"""(thickness, spacing) pairs that a seed chooses from."""


class Storage(StrEnum):
    """How Hounsfield units become stored values."""

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
        """Voxel centres, head first."""
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
    """The scan of a seed: a field of view that holds the body, varied spacing, noise, storage."""
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
    """The same scan at half the matrix, for tests: a quarter of the pixels, same field of view."""
    return replace(scan, matrix=scan.matrix // 2, pixel_mm=scan.pixel_mm * 2)
