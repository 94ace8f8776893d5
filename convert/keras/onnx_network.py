"""Runs a converted network exactly as the engine will: its own session, on the CPU."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rcc_onnx.bundles.manifest import NetworkEntry
from rcc_onnx.runtime.session import OnnxNetwork, open_network
from rcc_onnx.types import ProviderName


@dataclass(frozen=True)
class ConvertedNetwork:
    """A session of the engine behind the arrays that Keras takes."""

    network: OnnxNetwork

    def predict(self, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
        """Probabilities for inputs (n, *shape); the same shape, float32.

        Raises NetworkError or NetworkOutputError.
        """
        return self.network.probability(inputs[..., 0])[..., np.newaxis]


def open_converted(name: str, model: bytes, entry: NetworkEntry) -> ConvertedNetwork:
    """Load the bytes of an ONNX file. Raises NetworkError, or a ProviderError."""
    return ConvertedNetwork(open_network(name, model, entry, ProviderName.CPU))
