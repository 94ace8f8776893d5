"""How networks in fewer bits compare with those in float32, study by study."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from convert.optimize.study_samples import StudySample, in_parts
from rcc_onnx.bundles.manifest import ByNetwork
from rcc_onnx.bundles.variants import VariantComparison
from rcc_onnx.pipeline.localization import LESION_MIN_PROBABILITY, bound_lesion, locate_kidney
from rcc_onnx.runtime.networks import Networks, split_sides
from rcc_onnx.types import SIDES, Thresholds, is_above

Probabilities = NDArray[np.float32]


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
        self, expected: Probabilities, given: Probabilities, places: tuple[object, object]
    ) -> None:
        """Count one map. `places`: where each network locates what it finds, None for nowhere."""
        sums = [float(one.sum(dtype=np.float64)) for one in (expected, given)]
        above = [is_above(probability_sum, self.threshold) for probability_sum in sums]
        self.decided += 1
        found = [one and place is not None for one, place in zip(above, places, strict=True)]
        self.differing += above[0] != above[1] or found[0] != found[1]
        self.located += all(found)
        self.moved += all(found) and places[0] != places[1]
        self.largest = max(self.largest, float(np.abs(expected - given).max()))
        share = abs(sums[0] - sums[1]) / max(sums[0], self.threshold, 1.0)
        self.largest_sum = max(self.largest_sum, share)
        if self.threshold > 0 and abs(sums[0] / self.threshold - 1) < abs(self.closest - 1):
            self.closest = sums[0] / self.threshold
        if any(above):
            self.least_dice = min(self.least_dice, dice(expected, given))

    def agreement(self) -> VariantComparison:
        return VariantComparison(
            inputs=self.inputs,
            decisions=self.decided,
            decisions_equal=not self.differing,
            largest_difference=self.largest,
            largest_sum_difference=self.largest_sum,
            least_dice=self.least_dice,
        )


def compare_precisions(
    plain: Networks, small: Networks, thresholds: Thresholds, studies: Iterable[StudySample]
) -> ByNetwork[Tally]:
    """Run both pairs of networks on the same slices and crops."""
    kidney, lesion = Tally(thresholds.kidney), Tally(thresholds.lesion)
    for study in studies:
        kidney.inputs += len(study.slices)
        maps = [split_sides(in_parts(networks, study.slices)) for networks in (plain, small)]
        for side in SIDES:
            one, other = (each[side] for each in maps)
            kidney.add(one, other, (locate_kidney(one), locate_kidney(other)))
        lesion.inputs += len(study.crops)
        for crop in study.crops:
            one, other = (networks.lesion_probability(crop) for networks in (plain, small))
            lesion.add(one, other, (bound_lesion(one), bound_lesion(other)))
    return ByNetwork(kidney, lesion)


def dice(expected: Probabilities, given: Probabilities) -> float:
    """Overlap of the masks at 0.5, 0 to 1; 1 if both are empty."""
    one, other = expected >= LESION_MIN_PROBABILITY, given >= LESION_MIN_PROBABILITY
    total = int(one.sum()) + int(other.sum())
    return 1.0 if not total else 2 * int((one & other).sum()) / total
