"""Compares the Keras network with its ONNX copy: every probability, and every decision."""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import chain
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from convert.errors import OutputActivationError, ParityError
from convert.keras.samples import SampleGroup
from convert.optimize.compare_precisions import dice
from rcc_onnx.bundles.manifest import NetworkCertificate, NetworkName
from rcc_onnx.bundles.variants import VariantComparison
from rcc_onnx.pipeline.localization import LESION_MIN_PROBABILITY, bound_lesion, locate_kidney
from rcc_onnx.runtime.networks import PROBABILITY_TOLERANCE, split_sides
from rcc_onnx.types import LesionBox, Thresholds, is_above

Probabilities = NDArray[np.float32]

TOLERANCE = 1e-4
"""Largest difference in probability that is accepted. Plain U-Nets differ by 1e-6 to 1e-5, from
the order of float32 additions; a layer that was converted wrongly differs by far more."""

TIE = 1e-5
"""A pixel whose probability lies this close to 0.5 may fall on either side from rounding alone.
Such pixels count as 0.5 for both networks when decisions are compared."""

MIN_INPUTS = 32


class Network(Protocol):
    """Anything that turns inputs (n, *shape), float32, into probabilities of the same shape."""

    def predict(self, inputs: NDArray[np.float32]) -> Probabilities: ...


Decision = tuple[bool, tuple[int, ...] | LesionBox | None]
"""Whether a sum is above the threshold, and what was located."""


@dataclass(frozen=True)
class Comparison:
    """Figures of a comparison that both networks passed.

    Attributes:
        decisions: how many decisions were compared (sum above threshold, and location).
        largest_sum_difference: of a volume's or crop's sum of probabilities, relative to it; sums
            below 1 count as 1.
        tied_pixels: pixels within `TIE` of 0.5 that the two networks put on different sides.
    """

    certificate: NetworkCertificate
    decisions: int
    largest_sum_difference: float
    tied_pixels: int


@dataclass(frozen=True)
class Figures:
    """How two networks compared on the same inputs, whatever came of it.

    Attributes:
        kinds: how many inputs of each kind.
        largest: difference in probability; not a number if an answer is none.
        largest_kind: the kind of input on which it was found.
        differing: of `decisions`, how many are not the same.
        largest_share: of a sum, relative to the sum or the threshold, whichever is larger.
        least_dice: of the masks at 0.5, over all groups in which something is found; else 1.
    """

    kinds: tuple[tuple[str, int], ...]
    largest: float
    largest_kind: str
    largest_sum: float
    largest_share: float
    decisions: int
    differing: int
    tied: int
    least_dice: float

    @property
    def inputs(self) -> int:
        return sum(count for _, count in self.kinds)

    def agreement(self) -> VariantComparison:
        """What a variant's entry in the manifest says."""
        return VariantComparison(
            inputs=self.inputs,
            decisions=self.decisions,
            decisions_equal=not self.differing,
            largest_difference=self.largest,
            largest_sum_difference=self.largest_share,
            least_dice=self.least_dice,
        )


def compare(
    reference: Network,
    converted: Network,
    network: NetworkName,
    thresholds: Thresholds,
    groups: Iterable[SampleGroup],
) -> Comparison:
    """Run both networks on all groups.

    Raises OutputActivationError if the reference gives anything but probabilities, ParityError if
    a probability differs by more than `TOLERANCE` or any decision differs.
    """
    figures = measure(reference, converted, network, thresholds, groups)
    problem = disagreement(figures)
    if problem:
        raise ParityError(f"the {network} network: {problem}; nothing was written")
    certificate = NetworkCertificate(
        inputs=figures.inputs,
        largest_difference=figures.largest,
        decisions_equal=True,
        inputs_by_kind=figures.kinds,
    )
    return Comparison(certificate, figures.decisions, figures.largest_sum, figures.tied)


def measure(
    reference: Network,
    converted: Network,
    network: NetworkName,
    thresholds: Thresholds,
    groups: Iterable[SampleGroup],
) -> Figures:
    """Run both networks on all groups, and judge nothing.

    Raises OutputActivationError if a network gives anything but probabilities.
    """
    decide = _deciders(thresholds)[network]
    kinds: Counter[str] = Counter()
    largest, largest_kind, largest_sum, largest_share = 0.0, "", 0.0, 0.0
    decisions = differing = tied = 0
    least_dice = 1.0
    threshold = max(getattr(thresholds, network), 1.0)
    for group in groups:
        expected = _probabilities(reference, group, "Keras")
        given = _probabilities(converted, group, "ONNX Runtime")
        difference = float(np.abs(expected - given).max())
        if difference > largest or not largest_kind:
            largest, largest_kind = difference, group.kind
        sums = [float(each.sum(dtype=np.float64)) for each in (expected, given)]
        largest_sum = max(largest_sum, abs(sums[0] - sums[1]) / max(sums[0], 1.0))
        largest_share = max(largest_share, abs(sums[0] - sums[1]) / max(sums[0], threshold))
        near = np.abs(expected - LESION_MIN_PROBABILITY) <= TIE
        crossed = (expected >= LESION_MIN_PROBABILITY) != (given >= LESION_MIN_PROBABILITY)
        tied += int((crossed & near).sum())
        maps = [
            np.where(near, np.float32(LESION_MIN_PROBABILITY), each)[..., 0]
            for each in (expected, given)
        ]
        pairs = list(zip(decide(maps[0]), decide(maps[1]), strict=True))
        decisions += len(pairs)
        differing += sum(one != other for one, other in pairs) + bool((crossed & ~near).any())
        if any(found for found, _ in chain(*pairs)):
            least_dice = min(least_dice, dice(maps[0], maps[1]))
        kinds[group.kind] += len(group.inputs)
    return Figures(
        tuple(kinds.items()),
        largest,
        largest_kind,
        largest_sum,
        largest_share,
        decisions,
        differing,
        tied,
        least_dice,
    )


def disagreement(figures: Figures, who: str = "Keras and ONNX Runtime") -> str:
    """Why figures are not those of one network in two forms; "" if they are."""
    if figures.inputs < MIN_INPUTS:
        return f"it was compared on {figures.inputs} inputs only"
    # Written so that a difference that is no number fails too.
    if not figures.largest <= TOLERANCE:
        return (
            f"{who} differ by up to {figures.largest:.2g} in probability (on "
            f"{figures.largest_kind}; accepted: {TOLERANCE:g}, on {figures.inputs} inputs)"
        )
    if figures.differing:
        return (
            f"{who} differ in {figures.differing} of {figures.decisions} "
            f"decisions, although by at most {figures.largest:.2g} in probability"
        )
    return ""


def _probabilities(network: Network, group: SampleGroup, who: str) -> Probabilities:
    outputs = network.predict(group.inputs)
    if outputs.shape != group.inputs.shape or outputs.dtype != np.float32:
        raise ParityError(
            f"{who} gave {outputs.dtype} {outputs.shape} for inputs of {group.inputs.shape}"
        )
    low, high = -PROBABILITY_TOLERANCE, 1 + PROBABILITY_TOLERANCE
    # Written so that values that are no numbers fail too.
    if not bool(((outputs >= low) & (outputs <= high)).all()):
        raise OutputActivationError(
            f"{who} gave values that are not between 0 and 1 on {group.kind}: the output is no "
            "probability"
        )
    return outputs


def _deciders(
    thresholds: Thresholds,
) -> dict[NetworkName, Callable[[Probabilities], list[Decision]]]:
    """What the pipeline decides on each network's maps (n, ...): sides of a volume, or crops."""

    def kidney(volume: Probabilities) -> list[Decision]:
        halves = split_sides(volume).values()
        return [(_above(half, thresholds.kidney), locate_kidney(half)) for half in halves]

    def lesion(crops: Probabilities) -> list[Decision]:
        return [(_above(crop, thresholds.lesion), bound_lesion(crop)) for crop in crops]

    return {"kidney": kidney, "lesion": lesion}


def _above(probability: Probabilities, threshold: float) -> bool:
    return is_above(float(probability.sum(dtype=np.float64)), threshold)
