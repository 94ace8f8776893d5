"""Runs the converted network as the engine will: ONNX Runtime on the CPU."""

import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convert.errors import ExportError
from convert.keras_network import BATCH_SIZE

# Must be set before onnxruntime is imported: it reports home otherwise.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
import onnxruntime  # type: ignore[import-untyped]


class OnnxNetwork:
    """A session on the bytes of an ONNX file with one input and one output."""

    def __init__(self, model: bytes) -> None:
        try:
            self._session: Any = onnxruntime.InferenceSession(
                model, providers=["CPUExecutionProvider"]
            )
        except Exception as problem:
            raise ExportError(
                f"ONNX Runtime cannot load the converted network: {problem}"
            ) from problem
        self._input = self._session.get_inputs()[0].name

    def predict(self, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
        """Probabilities for inputs (n, *shape); the same shape, float32."""
        parts = [
            self._session.run(None, {self._input: inputs[start : start + BATCH_SIZE]})[0]
            for start in range(0, len(inputs), BATCH_SIZE)
        ]
        return np.concatenate(parts)
