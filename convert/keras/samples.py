"""The inputs on which Keras and ONNX Runtime are compared: always the same ones.

Phantoms look like what the networks see in use; zeros are the padding of short studies; ones and
noise drive activations to where phantoms do not.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rcc_onnx.bundles.manifest import KIDNEY_SHAPE, LESION_SHAPE, NetworkName
from rcc_onnx.phantom import network_samples
from rcc_onnx.phantom.samples import EXAMPLES

PHANTOM_VOLUMES = 1
"""Whole network volumes for the kidney network: 40 slices and more each."""
PHANTOM_CROPS = 24
NOISE_INPUTS = 10
NOISE_SEED = 20220327
"""Any number would do; fixed, so that a certificate can be made again."""


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
    """All groups for one network: 56 slices or more for the kidney, 36 crops for the lesion."""
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
    """uint8 (n, ...) as the pipeline feeds it: float32 value / 255, with a channel at the end."""
    return (values.astype(np.float32) / np.float32(255))[..., np.newaxis]
