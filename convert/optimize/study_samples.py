"""What the networks see of whole studies: phantoms, or the user's own."""

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from convert.errors import QuantizeError
from rcc_onnx.batch.cases import find_cases
from rcc_onnx.dicom import SeriesSelection, read_study
from rcc_onnx.errors import IntakeError
from rcc_onnx.phantom import network_samples
from rcc_onnx.pipeline.localization import crop_around, locate_kidney
from rcc_onnx.pipeline.preprocess import network_volume
from rcc_onnx.runtime.networks import Networks, network_input, split_sides
from rcc_onnx.types import CROP_SHAPE_ZYX, SIDES, Profile, Thresholds, is_above

_log = logging.getLogger(__name__)

_SLICES_A_CALL = 16


@dataclass(frozen=True)
class StudySample:
    """One study.

    Attributes:
        slices: float32 (n, 160, 160), 0 to 1.
        crops: float32 (m, 40, 64, 64), 0 to 1: one for each kidney, so there may be none.
    """

    slices: NDArray[np.float32]
    crops: NDArray[np.float32]


def phantom_studies(seeds: Iterable[int]) -> Iterator[StudySample]:
    for seed in seeds:
        samples = network_samples(seed)
        yield StudySample(network_input(samples.slices), network_input(samples.crops))


def user_studies(folder: Path, networks: Networks, thresholds: Thresholds) -> Iterator[StudySample]:
    """The studies in a folder; their crops are where the networks given find kidneys.

    A study that cannot be analysed is passed over with a warning.

    Raises:
        QuantizeError: none can be analysed.
        InputFolderError, AmbiguousInputError: the folder holds no studies.
    """
    found = 0
    for case in find_cases(folder):
        try:
            volume = network_volume(read_study(case.folder, Profile.STANDARD, SeriesSelection()))
        except IntakeError as error:
            _log.warning("%s passed over: %s", case.name, error)
            continue
        found += 1
        slices = network_input(volume.values)
        kidneys = split_sides(in_parts(networks, slices))
        halves = split_sides(slices)
        crops = []
        for side in SIDES:
            kidney_sum = float(kidneys[side].sum(dtype=np.float64))
            enough = is_above(kidney_sum, thresholds.kidney)
            centre = locate_kidney(kidneys[side]) if enough else None
            if centre is not None:
                crops.append(crop_around(halves[side], centre))
        empty = np.zeros((0, *CROP_SHAPE_ZYX), np.float32)
        yield StudySample(slices, np.stack(crops) if crops else empty)
    if not found:
        raise QuantizeError(f"{folder} holds no study that can be analysed")


def in_parts(networks: Networks, slices: NDArray[np.float32]) -> NDArray[np.float32]:
    """Kidney probability of slices, some at a time."""
    parts = [
        networks.kidney_probability(slices[start : start + _SLICES_A_CALL])
        for start in range(0, len(slices), _SLICES_A_CALL)
    ]
    return np.concatenate(parts)
