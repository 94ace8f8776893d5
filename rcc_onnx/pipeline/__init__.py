"""The computation, from slices to findings, to be read from top to bottom (docs/pipeline.md)."""

from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from rcc_onnx.dicom import Study
from rcc_onnx.imaging.images import CropImage, NetworkImages
from rcc_onnx.pipeline.localization import bound_lesion, crop_place, locate_kidney
from rcc_onnx.pipeline.preprocess import VolumeReading
from rcc_onnx.pipeline.quality_flags import side_flags
from rcc_onnx.pipeline.timing import Stopwatch
from rcc_onnx.results import KidneyFinding, LesionFinding, SideFinding
from rcc_onnx.runtime.networks import Networks, network_input, split_sides
from rcc_onnx.types import HALF_WIDTH, SIDES, NetworkVolume, Outcome, Side, Thresholds, is_above

SLICES_A_CALL = 16
"""Slices given to the kidney network at once: enough to work well, few enough to show progress."""


@dataclass(frozen=True)
class Analysis:
    """Findings on both sides, and the arrays behind them; for `hu` see `VolumeReading`."""

    sides: Mapping[Side, SideFinding]
    images: NetworkImages
    volume: NetworkVolume
    hu: NDArray[np.float32]
    images_sha256: str


def analyse_study(
    study: Study, networks: Networks, thresholds: Thresholds, watch: Stopwatch
) -> Analysis:
    """Decode the slices a study needs and look for kidneys and suspected lesions on both sides.

    Raises:
        IntakeError: a slice cannot be decoded, or does not hold what its header says.
        NetworkError: a network failed or answered nonsense.
    """
    reading = VolumeReading(study)
    parts = _read_ahead(reading.parts(SLICES_A_CALL), watch)
    kidneys = kidney_probability(reading.values, parts, networks, watch)
    volume = reading.volume()
    sides, images = analyse_sides(volume, kidneys, networks, thresholds, watch)
    return Analysis(sides, images, volume, reading.hu, reading.images_sha256)


def _read_ahead(parts: Iterator[slice], watch: Stopwatch) -> Iterator[slice]:
    """Yield the same parts; a thread reads the next part while the caller works on the last.

    The time spent waiting for it counts as preprocessing.
    """
    with ThreadPoolExecutor(max_workers=1) as reader:
        ahead = reader.submit(lambda: next(parts, None))
        is_first = True
        while True:
            with watch.stage("preprocessing", 0.0 if is_first else None):
                part = ahead.result()
            if part is None:
                return
            ahead = reader.submit(lambda: next(parts, None))
            is_first = False
            yield part


def kidney_probability(
    values: NDArray[np.uint8], parts: Iterable[slice], networks: Networks, watch: Stopwatch
) -> NDArray[np.float64]:
    """Return the kidney probability of every voxel, in float64, as the notebook keeps and sums it.

    Equal slices, such as all blank ones, are given to the network once. `parts` are the places of
    all slices, in order; the values of a part need be there only when it comes.
    """
    probability = np.empty(values.shape, np.float64)
    place_of: dict[bytes, int] = {}
    for part in parts:
        with watch.stage("kidney_network", part.start / len(values)):
            places = range(part.start, part.stop)
            same_as = [place_of.setdefault(values[at].tobytes(), at) for at in places]
            new = [at for at, same in zip(places, same_as, strict=True) if at == same]
            if new:
                probability[new] = networks.kidney_probability(network_input(values[new]))
            probability[part] = probability[same_as]
        watch.progress("kidney_network", part.stop / len(values))
    return probability


def analyse_sides(
    volume: NetworkVolume,
    kidney_probability: NDArray[np.float64],
    networks: Networks,
    thresholds: Thresholds,
    watch: Stopwatch,
) -> tuple[dict[Side, SideFinding], NetworkImages]:
    """Return the findings on both sides, given the kidney probability (depth, 160, 160)."""
    halves, kidneys = split_sides(volume.values), split_sides(kidney_probability)
    sides: dict[Side, SideFinding] = {}
    crops: dict[Side, CropImage] = {}
    for side in SIDES:
        finding, crop = _analyse_side(halves[side], kidneys[side], networks, thresholds, watch)
        sides[side] = replace(finding, flags=side_flags(side, volume, kidneys[side]))
        if crop is not None:
            z, y, x = crop.start_zyx
            first_column = HALF_WIDTH if side == "left" else 0
            crops[side] = replace(crop, start_zyx=(z, y, x + first_column))
    # The network answers in float32, so nothing is lost.
    return sides, NetworkImages(kidney_probability.astype(np.float32), crops)


def _analyse_side(
    half_volume: NDArray[np.uint8],
    kidney_probability: NDArray[np.float64],
    networks: Networks,
    thresholds: Thresholds,
    watch: Stopwatch,
) -> tuple[SideFinding, CropImage | None]:
    """Return the finding, and the crop, placed in the half volume, if the lesion network ran."""
    kidney_sum = float(np.sum(kidney_probability))
    kidney_margin = thresholds.margin("kidney", kidney_sum)
    if not is_above(kidney_sum, thresholds.kidney):
        kidney = KidneyFinding(kidney_sum, kidney_margin, None)
        return SideFinding(Outcome.KIDNEY_NOT_FOUND, kidney), None
    centre = locate_kidney(kidney_probability)
    kidney = KidneyFinding(kidney_sum, kidney_margin, centre)
    if centre is None:
        return SideFinding(Outcome.KIDNEY_NOT_LOCATED, kidney), None

    where = crop_place(half_volume.shape, centre)
    values = half_volume[where].copy()
    with watch.stage("lesion_network"):
        probability = networks.lesion_probability(network_input(values))
    crop = CropImage((where[0].start, where[1].start, where[2].start), values, probability)
    # In float32, as the notebook sums it.
    lesion_sum = float(np.sum(probability))
    lesion_margin = thresholds.margin("lesion", lesion_sum)
    if not is_above(lesion_sum, thresholds.lesion):
        lesion = LesionFinding(lesion_sum, lesion_margin, None)
        return SideFinding(Outcome.NO_LESION, kidney, lesion), crop
    lesion = LesionFinding(lesion_sum, lesion_margin, bound_lesion(probability))
    outcome = Outcome.LESION_NOT_LOCATED if lesion.box is None else Outcome.LESION
    return SideFinding(outcome, kidney, lesion), crop
