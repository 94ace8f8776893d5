"""Compares networks in fewer bits with those in float32, on phantoms or on studies of the user."""

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from convert.errors import QuantizeError
from convert.keras.verification import Probabilities, dice
from rcc_onnx.batch.cases import find_cases
from rcc_onnx.bundles.manifest import ByNetwork, VariantComparison
from rcc_onnx.dicom import SeriesSelection, read_study
from rcc_onnx.errors import IntakeError
from rcc_onnx.phantom import network_samples
from rcc_onnx.pipeline.localization import bound_lesion, crop_around, locate_kidney
from rcc_onnx.pipeline.preprocess import network_volume
from rcc_onnx.runtime.networks import Networks, network_input, split_sides
from rcc_onnx.types import CROP_SHAPE_ZYX, SIDES, Profile, Thresholds, is_above

_log = logging.getLogger(__name__)

_SLICES_A_CALL = 16


@dataclass(frozen=True)
class StudySample:
    """The inputs of both networks for one study.

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
    """Yield the studies in a folder, with crops where the given networks find kidneys.

    A study that cannot be analysed is skipped with a warning.

    Raises:
        QuantizeError: none can be analysed.
        InputFolderError, AmbiguousInputError: the folder holds no studies.
    """
    found = 0
    for case in find_cases(folder):
        try:
            volume = network_volume(read_study(case.folder, Profile.STANDARD, SeriesSelection()))
        except IntakeError as error:
            _log.warning("%s skipped: %s", case.name, error)
            continue
        found += 1
        slices = network_input(volume.values)
        kidneys = split_sides(_kidney_probability(networks, slices))
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


@dataclass
class Tally:
    """Figures of one network so far.

    Attributes:
        decided: how many maps were decided on: sides of a volume, or crops.
        differing: maps on which one network finds and locates something, and the other does not.
        moved: maps on which both locate something, but not at the same place.
        closest: the float32 sum that came closest to the threshold, as a share of it.
    """

    threshold: float
    inputs: int = 0
    decided: int = 0
    differing: int = 0
    located: int = 0
    moved: int = 0
    largest: float = 0.0
    largest_sum: float = 0.0
    least_dice: float = 1.0
    closest: float = 0.0

    def add(
        self, expected: Probabilities, given: Probabilities, locations: tuple[object, object]
    ) -> None:
        """Count one map.

        Args:
            expected: of the float32 network.
            given: of the network in fewer bits.
            locations: where each of the two locates what it finds, or None.
        """
        sums = [float(probability.sum(dtype=np.float64)) for probability in (expected, given)]
        above = [is_above(total, self.threshold) for total in sums]
        self.decided += 1
        found = [
            large and location is not None for large, location in zip(above, locations, strict=True)
        ]
        self.differing += above[0] != above[1] or found[0] != found[1]
        self.located += all(found)
        self.moved += all(found) and locations[0] != locations[1]
        self.largest = max(self.largest, float(np.abs(expected - given).max()))
        share = abs(sums[0] - sums[1]) / max(sums[0], self.threshold, 1.0)
        self.largest_sum = max(self.largest_sum, share)
        if self.threshold > 0 and abs(sums[0] / self.threshold - 1) < abs(self.closest - 1):
            self.closest = sums[0] / self.threshold
        if any(above):
            self.least_dice = min(self.least_dice, dice(expected, given))

    @property
    def variant_comparison(self) -> VariantComparison:
        """The figures as a variant's entry in the manifest."""
        return VariantComparison(
            inputs=self.inputs,
            decisions=self.decided,
            decisions_equal=not self.differing,
            largest_difference=self.largest,
            largest_sum_difference=self.largest_sum,
            least_dice=self.least_dice,
        )


def compare_precisions(
    plain: Networks, quantized: Networks, thresholds: Thresholds, studies: Iterable[StudySample]
) -> ByNetwork[Tally]:
    """Run both pairs of networks on the same slices and crops."""
    kidney, lesion = Tally(thresholds.kidney), Tally(thresholds.lesion)
    for study in studies:
        kidney.inputs += len(study.slices)
        expected, given = (
            split_sides(_kidney_probability(networks, study.slices))
            for networks in (plain, quantized)
        )
        for side in SIDES:
            pair = expected[side], given[side]
            kidney.add(*pair, (locate_kidney(pair[0]), locate_kidney(pair[1])))
        lesion.inputs += len(study.crops)
        for crop in study.crops:
            pair = plain.lesion_probability(crop), quantized.lesion_probability(crop)
            lesion.add(*pair, (bound_lesion(pair[0]), bound_lesion(pair[1])))
    return ByNetwork(kidney, lesion)


def _kidney_probability(networks: Networks, slices: NDArray[np.float32]) -> Probabilities:
    """Run the kidney network on some slices at a time, which bounds memory."""
    parts = [
        networks.kidney_probability(slices[start : start + _SLICES_A_CALL])
        for start in range(0, len(slices), _SLICES_A_CALL)
    ]
    return np.concatenate(parts)
