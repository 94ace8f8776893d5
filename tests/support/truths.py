"""Analyses that answer the truth, to test what becomes of an answer and not the answer."""

import numpy as np
from numpy.typing import NDArray

from rcc_onnx.dicom import Study
from rcc_onnx.imaging.images import CropImage, NetworkImages
from rcc_onnx.measurement.measure import half_of
from rcc_onnx.measurement.patient_space import placement_of
from rcc_onnx.pipeline import Analysis
from rcc_onnx.pipeline.localization import bound_lesion, crop_place, locate_kidney
from rcc_onnx.pipeline.preprocess import VolumeReading
from rcc_onnx.results import KidneyFinding, LesionFinding, SideFinding
from rcc_onnx.types import SIDES, Outcome, Side, Structure, Thresholds
from tests.support.placements import on_grid

THRESHOLDS = Thresholds()


def true_analysis(study: Study, labels: NDArray[np.uint8]) -> Analysis:
    """What networks that know the truth would have answered.

    Args:
        study: of the standard profile.
        labels: `Structure` at the voxels of the canonical volume.
    """
    reading = VolumeReading(study)
    for _ in reading.parts(len(reading.values)):
        pass
    volume = reading.volume()
    placement = placement_of(study, volume.padding_before, len(volume.values))
    truth = on_grid(placement, labels)
    kidney = (truth > 0).astype(np.float32)
    sides: dict[Side, SideFinding] = {}
    crops: dict[Side, CropImage] = {}
    for side in SIDES:
        half = half_of(side)
        total = float(kidney[half].sum())
        margin = THRESHOLDS.margin("kidney", total)
        found = KidneyFinding(total, margin, locate_kidney(kidney[half]))
        if found.centre_zyx is None:
            sides[side] = SideFinding(Outcome.KIDNEY_NOT_FOUND, found)
            continue
        z, y, x = crop_place(kidney[half].shape, found.centre_zyx)
        lesion = (truth[half][z, y, x] == Structure.SUSPECTED_LESION).astype(np.float32)
        box = bound_lesion(lesion)
        outcome = Outcome.NO_LESION if box is None else Outcome.LESION
        total = float(lesion.sum())
        margin = THRESHOLDS.margin("lesion", total)
        sides[side] = SideFinding(outcome, found, LesionFinding(total, margin, box))
        start = (z.start, y.start, x.start + (half[2].start or 0))
        crops[side] = CropImage(start, volume.values[half][z, y, x].copy(), lesion)
    images = NetworkImages(kidney, crops)
    return Analysis(sides, images, volume, reading.hu, reading.images_sha256)


def two_kidneys(shape_zyx: tuple[int, int, int], lesion: bool = True) -> NDArray[np.uint8]:
    """Labels of a right kidney, a smaller left one, and a lesion on the right one's outer side."""
    depth, rows, columns = shape_zyx
    z, y, x = np.indices(shape_zyx, dtype=np.float64)

    def ball(centre: tuple[float, float, float], radius: float) -> NDArray[np.bool_]:
        parts = (centre[0] * depth, centre[1] * rows, centre[2] * columns)
        sizes = (0.28 * depth, 0.5 * radius * rows, 0.5 * radius * columns)
        distance = sum(
            ((axis - middle) / size) ** 2
            for axis, middle, size in zip((z, y, x), parts, sizes, strict=True)
        )
        return np.asarray(distance <= 1)

    labels = np.zeros(shape_zyx, np.uint8)
    labels[ball((0.5, 0.6, 0.28), 0.3)] = Structure.RIGHT_KIDNEY
    labels[ball((0.5, 0.55, 0.72), 0.24)] = Structure.LEFT_KIDNEY
    if lesion:
        labels[ball((0.55, 0.5, 0.2), 0.16)] = Structure.SUSPECTED_LESION
    return labels


def dice(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    return float(2 * (one & other).sum() / (one.sum() + other.sum()))
