"""The computation, from slices to findings, to be read from top to bottom (docs/pipeline.md)."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from rcc_onnx.assessable import side_flags
from rcc_onnx.findings import KidneyFinding, LesionFinding, SideFinding
from rcc_onnx.intake import Study
from rcc_onnx.kidneys import crop_around, locate_kidney, split_sides
from rcc_onnx.lesions import bound_lesion
from rcc_onnx.networks import Networks
from rcc_onnx.preprocess import network_input, network_volume
from rcc_onnx.stopwatch import Stopwatch
from rcc_onnx.values import SIDES, NetworkVolume, Outcome, Side, Thresholds

SLICES_A_CALL = 16
"""Slices given to the kidney network at once: enough to work well, few enough to show progress."""


def analyse_study(
    study: Study, networks: Networks, thresholds: Thresholds, watch: Stopwatch
) -> dict[Side, SideFinding]:
    """Decode the slices a study needs and look for kidneys and suspected lesions on both sides.

    Raises:
        IntakeError: a slice cannot be decoded, or does not hold what its header says.
        NetworkError: a network failed or answered nonsense.
    """
    with watch.stage("preprocessing"):
        volume = network_volume(study)
    return analyse_volume(volume, networks, thresholds, watch)


def analyse_volume(
    volume: NetworkVolume, networks: Networks, thresholds: Thresholds, watch: Stopwatch
) -> dict[Side, SideFinding]:
    """Findings on both sides of a network volume."""
    with watch.stage("kidney_network"):
        kidneys = split_sides(_kidney_probability(volume.values, networks, watch))
    halves = split_sides(volume.values)
    found = {
        side: _analyse_side(halves[side], kidneys[side], networks, thresholds, watch)
        for side in SIDES
    }
    return {
        side: replace(finding, flags=side_flags(side, volume, kidneys[side]))
        for side, finding in found.items()
    }


def _kidney_probability(
    values: NDArray[np.uint8], networks: Networks, watch: Stopwatch
) -> NDArray[np.float64]:
    """Kidney probability of every voxel, in float64, as the notebook keeps and sums it.

    Slices that are the same, as all blank ones are, are given to the network once.
    """
    first, same_as = _distinct_slices(values)
    answers = np.empty((first.size, *values.shape[1:]), np.float32)
    for start in range(0, first.size, SLICES_A_CALL):
        part = slice(start, start + SLICES_A_CALL)
        answers[part] = networks.kidney_probability(network_input(values[first[part]]))
        watch.progress("kidney_network", min((start + SLICES_A_CALL) / first.size, 1.0))
    return answers[same_as].astype(np.float64)


def _distinct_slices(values: NDArray[np.uint8]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Indices of the slices that no earlier one equals; and for each slice the place among those
    of the one it equals."""
    places: dict[bytes, int] = {}
    same_as = np.array([places.setdefault(one.tobytes(), len(places)) for one in values])
    return np.unique(same_as, return_index=True)[1], same_as


def _analyse_side(
    half_volume: NDArray[np.uint8],
    kidney_probability: NDArray[np.float64],
    networks: Networks,
    thresholds: Thresholds,
    watch: Stopwatch,
) -> SideFinding:
    kidney_sum = float(np.sum(kidney_probability))
    if not kidney_sum > thresholds.kidney:
        return SideFinding(Outcome.KIDNEY_NOT_FOUND, KidneyFinding(kidney_sum, None))
    centre = locate_kidney(kidney_probability)
    kidney = KidneyFinding(kidney_sum, centre)
    if centre is None:
        return SideFinding(Outcome.KIDNEY_NOT_LOCATED, kidney)

    crop = crop_around(half_volume, centre).copy()
    with watch.stage("lesion_network"):
        probability = networks.lesion_probability(network_input(crop))
    # In float32, as the notebook sums it.
    lesion_sum = float(np.sum(probability))
    if not lesion_sum > thresholds.lesion:
        return SideFinding(Outcome.NO_LESION, kidney, LesionFinding(lesion_sum, None, crop))
    box = bound_lesion(probability)
    outcome = Outcome.LESION_NOT_LOCATED if box is None else Outcome.LESION
    return SideFinding(outcome, kidney, LesionFinding(lesion_sum, box, crop))
