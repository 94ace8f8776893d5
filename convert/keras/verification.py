"""Compares a Keras network with its ONNX copy: every probability, and every decision.

The inputs are always the same ones. Phantoms look like what the networks see in use; zeros are the
padding of short studies; ones and noise drive activations to where phantoms do not.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from convert.errors import OutputActivationError, ParityError
from rcc_onnx.bundles.manifest import (
    KIDNEY_SHAPE,
    LESION_SHAPE,
    NetworkCertificate,
    NetworkEntry,
    VariantComparison,
)
from rcc_onnx.phantom import network_samples
from rcc_onnx.phantom.scan import EXAMPLES
from rcc_onnx.pipeline.localization import LESION_MIN_PROBABILITY, bound_lesion, locate_kidney
from rcc_onnx.runtime.networks import PROBABILITY_TOLERANCE, split_sides
from rcc_onnx.runtime.session import OnnxNetwork, open_network
from rcc_onnx.types import LesionBox, NetworkName, ProviderName, Thresholds, is_above

Probabilities = NDArray[np.float32]

TOLERANCE = 1e-4
"""Largest difference in probability that is accepted. Plain U-Nets differ by 1e-6 to 1e-5, from
the order of float32 additions; a layer that was converted wrongly differs by far more."""

TIE = 1e-5
"""A pixel whose probability lies this close to 0.5 may fall on either side from rounding alone.
Such pixels count as 0.5 for both networks when decisions are compared."""

MIN_INPUTS = 32

PHANTOM_VOLUMES = 1
"""Whole network volumes for the kidney network: 40 slices and more each."""
PHANTOM_CROPS = 24
NOISE_INPUTS = 10
NOISE_SEED = 20220327
"""Any number would do; it is fixed so that a certificate can be reproduced."""


# --- Networks and their inputs -------------------------------------------------------------------


class Network(Protocol):
    """A network of either framework."""

    def predict(self, inputs: NDArray[np.float32]) -> Probabilities:
        """Return probabilities for inputs (n, *shape), of the same shape, both float32."""


@dataclass(frozen=True)
class ConvertedNetwork:
    """An ONNX network in the session that the engine uses, which takes what Keras takes."""

    network: OnnxNetwork

    def predict(self, inputs: NDArray[np.float32]) -> Probabilities:
        """Return probabilities. Raises NetworkError or NetworkOutputError."""
        return self.network.probability(inputs[..., 0])[..., np.newaxis]


def open_converted(name: str, model: bytes, entry: NetworkEntry) -> ConvertedNetwork:
    """Load the bytes of an ONNX file on the CPU. Raises NetworkError, or a ProviderError."""
    return ConvertedNetwork(open_network(name, model, entry, ProviderName.CPU))


@dataclass
class CachedNetwork:
    """A network that computes each input once, however often it is compared."""

    network: Network
    _outputs: dict[bytes, Probabilities] = field(default_factory=dict)

    def predict(self, inputs: NDArray[np.float32]) -> Probabilities:
        key = hashlib.sha256(inputs.tobytes()).digest()
        if key not in self._outputs:
            self._outputs[key] = self.network.predict(inputs)
        return self._outputs[key]


@dataclass(frozen=True)
class SampleGroup:
    """Inputs that belong together: a volume's slices, or one crop, for a decision of its own.

    Attributes:
        kind: "phantom", "zeros", "ones" or "noise".
        inputs: float32 (n, *input shape of the network), values 0 to 1.
    """

    kind: str
    inputs: NDArray[np.float32]


def sample_groups(network: NetworkName) -> Iterator[SampleGroup]:
    """Yield all inputs of one network: at least 56 slices, or 36 crops."""
    if network == "kidney":
        for seed in EXAMPLES[:PHANTOM_VOLUMES]:
            yield SampleGroup("phantom", _as_inputs(network_samples(seed).slices))
    else:
        for crop in _phantom_crops():
            yield SampleGroup("phantom", _as_inputs(crop[np.newaxis]))
    shape = KIDNEY_SHAPE if network == "kidney" else LESION_SHAPE
    yield SampleGroup("zeros", np.zeros((1, *shape), np.float32))
    yield SampleGroup("ones", np.ones((1, *shape), np.float32))
    rng = np.random.default_rng(NOISE_SEED)
    for _ in range(NOISE_INPUTS):
        noise = rng.integers(0, 256, (1, *shape[:-1]), dtype=np.uint8)
        yield SampleGroup("noise", _as_inputs(noise))


def _phantom_crops() -> Iterator[NDArray[np.uint8]]:
    left = PHANTOM_CROPS
    for seed in EXAMPLES:
        crops = network_samples(seed).crops[:left]
        yield from crops
        left -= len(crops)
        if not left:
            return


def _as_inputs(values: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return uint8 (n, ...) as the pipeline feeds it: float32 / 255, with a channel at the end."""
    return (values.astype(np.float32) / np.float32(255))[..., np.newaxis]


# --- Comparison ----------------------------------------------------------------------------------

Decision = tuple[bool, tuple[int, ...] | LesionBox | None]
"""Whether a sum is above the threshold, and what was located."""


@dataclass(frozen=True)
class Comparison:
    """Figures of two networks on the same inputs.

    Attributes:
        inputs_by_kind: how many inputs of each kind.
        largest_difference: in probability; NaN if a probability is.
        largest_kind: the kind of input on which it was found.
        decisions: how many decisions were compared (sum above threshold, and location).
        differing: how many of them differ.
        largest_sum_difference: of a volume's or crop's sum of probabilities, relative to it; sums
            below 1 count as 1.
        largest_sum_share: the same, relative to the sum or the threshold, whichever is larger.
        tied_pixels: pixels within `TIE` of 0.5 that the two networks put on different sides.
        least_dice: of the masks at 0.5, over all groups in which something is found; else 1.
    """

    inputs_by_kind: Mapping[str, int]
    largest_difference: float
    largest_kind: str
    decisions: int
    differing: int
    largest_sum_difference: float
    largest_sum_share: float
    tied_pixels: int
    least_dice: float

    @property
    def inputs(self) -> int:
        return sum(self.inputs_by_kind.values())

    @property
    def certificate(self) -> NetworkCertificate:
        """The figures as the manifest's certificate."""
        return NetworkCertificate(
            inputs=self.inputs,
            largest_difference=self.largest_difference,
            decisions_equal=not self.differing,
            inputs_by_kind=self.inputs_by_kind,
        )

    @property
    def variant_comparison(self) -> VariantComparison:
        """The figures as a variant's entry in the manifest."""
        return VariantComparison(
            inputs=self.inputs,
            decisions=self.decisions,
            decisions_equal=not self.differing,
            largest_difference=self.largest_difference,
            largest_sum_difference=self.largest_sum_share,
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
    comparison = measure(reference, converted, network, thresholds, groups)
    problem = disagreement(comparison)
    if problem:
        raise ParityError(f"the {network} network: {problem}; nothing was written")
    return comparison


def measure(
    reference: Network,
    converted: Network,
    network: NetworkName,
    thresholds: Thresholds,
    groups: Iterable[SampleGroup],
) -> Comparison:
    """Run both networks on all groups and return the figures, whatever they are.

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
        differing += sum(first != second for first, second in pairs) + bool((crossed & ~near).any())
        if any(found for found, _ in chain(*pairs)):
            least_dice = min(least_dice, dice(maps[0], maps[1]))
        kinds[group.kind] += len(group.inputs)
    return Comparison(
        inputs_by_kind=dict(kinds),
        largest_difference=largest,
        largest_kind=largest_kind,
        decisions=decisions,
        differing=differing,
        largest_sum_difference=largest_sum,
        largest_sum_share=largest_share,
        tied_pixels=tied,
        least_dice=least_dice,
    )


def disagreement(comparison: Comparison, networks: str = "Keras and ONNX Runtime") -> str:
    """Return why two networks do not compute the same; "" if they do."""
    inputs, largest = comparison.inputs, comparison.largest_difference
    if inputs < MIN_INPUTS:
        return f"it was compared on {inputs} inputs only"
    # Written so that NaN fails too.
    if not largest <= TOLERANCE:
        return (
            f"{networks} differ by up to {largest:.2g} in probability (on "
            f"{comparison.largest_kind}; accepted: {TOLERANCE:g}, on {inputs} inputs)"
        )
    if comparison.differing:
        return (
            f"{networks} differ in {comparison.differing} of {comparison.decisions} "
            f"decisions, although by at most {largest:.2g} in probability"
        )
    return ""


def _probabilities(network: Network, group: SampleGroup, framework: str) -> Probabilities:
    outputs = network.predict(group.inputs)
    if outputs.shape != group.inputs.shape or outputs.dtype != np.float32:
        raise ParityError(
            f"{framework} gave {outputs.dtype} {outputs.shape} for inputs of {group.inputs.shape}"
        )
    low, high = -PROBABILITY_TOLERANCE, 1 + PROBABILITY_TOLERANCE
    # Written so that NaN fails too.
    if not bool(((outputs >= low) & (outputs <= high)).all()):
        raise OutputActivationError(
            f"{framework} gave values that are not between 0 and 1 on {group.kind}: the output is "
            "not a probability"
        )
    return outputs


def _deciders(
    thresholds: Thresholds,
) -> dict[NetworkName, Callable[[Probabilities], list[Decision]]]:
    """Return the pipeline's decisions on maps (n, ...): sides of a volume, or crops."""

    def kidney(volume: Probabilities) -> list[Decision]:
        halves = split_sides(volume).values()
        return [(_above(half, thresholds.kidney), locate_kidney(half)) for half in halves]

    def lesion(crops: Probabilities) -> list[Decision]:
        return [(_above(crop, thresholds.lesion), bound_lesion(crop)) for crop in crops]

    return {"kidney": kidney, "lesion": lesion}


def _above(probability: Probabilities, threshold: float) -> bool:
    return is_above(float(probability.sum(dtype=np.float64)), threshold)


def dice(expected: Probabilities, given: Probabilities) -> float:
    """Return the overlap of the masks at 0.5, 0 to 1; 1 if both are empty."""
    first, second = expected >= LESION_MIN_PROBABILITY, given >= LESION_MIN_PROBABILITY
    total = int(first.sum()) + int(second.sum())
    return 1.0 if not total else 2 * int((first & second).sum()) / total
