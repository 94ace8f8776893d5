"""Hounsfield units and the truth mask of a patient on any grid."""

import numpy as np
from numpy.typing import NDArray

from rcc_onnx.phantom.anatomy import Anatomy
from rcc_onnx.phantom.shapes import Floats, Grid, paint
from rcc_onnx.phantom.surroundings import Body

AIR_HU = -1000.0
SKIN_MM = 2.0
RIB_SPACING_MM = 32.0


def render(anatomy: Anatomy, grid: Grid) -> tuple[Floats, NDArray[np.uint8]]:
    """The noise-free image (float32 HU) and truth mask (uint8, `Label`), both of the grid's shape.

    Outside the body there is air; no table and no noise yet, see `add_table` and `noise`.
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
    """How deep under the skin each pixel lies, in mm, negative outside; shape (rows, columns)."""
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
    """Noise with a short in-plane correlation, as reconstruction filters leave; float32."""
    slices, rows, columns = shape
    white = rng.standard_normal((slices, rows + 1, columns + 1), dtype=np.float32)
    mixed = white[:, 1:, 1:] + white[:, :-1, 1:]
    mixed += white[:, 1:, :-1]
    mixed += white[:, :-1, :-1]
    mixed *= np.float32(sd_hu / 2)
    return mixed


def _trunk(body: Body, depth_mm: Floats) -> Floats:
    """Skin, fat, muscle and the fat inside, in one slice: the same at every height."""
    image = np.full(depth_mm.shape, AIR_HU, np.float32)
    starts = (0.0, SKIN_MM, SKIN_MM + body.fat_mm, SKIN_MM + body.fat_mm + body.muscle_mm)
    for start, hu in zip(starts, (20.0, body.fat_hu, body.muscle_hu, body.fat_hu), strict=True):
        alpha = np.clip(0.5 + (depth_mm - np.float32(start)), 0, 1)
        image += alpha * (np.float32(hu) - image)
    return image


def _paint_ribs(body: Body, grid: Grid, depth_mm: Floats, hu: Floats) -> None:
    """Ribs lie in the muscle wall and fall towards the front, above the waist."""
    wall = SKIN_MM + body.fat_mm
    shell = (depth_mm > wall + 2) & (depth_mm < wall + min(9, body.muscle_mm))
    fall = grid.y_mm[:, None] * np.float32(0.45) + np.zeros_like(depth_mm)
    for index, z in enumerate(grid.z_mm):
        if z < 5:
            continue
        height = np.mod(z - fall + 1000, RIB_SPACING_MM)
        hu[index, shell & (height < 10)] = 380.0
