"""Tensors as bytes in ONNX: QuantizeLinear, DequantizeLinear, and weights and biases to match."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from convert.optimize.calibration import Range
from convert.optimize.onnx_graph import Array, GraphWriter

LEVELS = 255
WEIGHT_LEVELS = 64
"""Of 127. CPUs without VNNI add two products in 16 bits: 2 * 255 * 64 still fits, so every CPU
computes the same, and a comparison on one holds on all."""
SMALLEST_SCALE = 1e-12
"""For tensors and weights that are zero everywhere."""


@dataclass(frozen=True)
class Bytes:
    """A tensor of uint8: value = (byte - zero) * scale.

    Attributes:
        name: shape (batch, channels, rows, columns), or with slices in place of the batch.
    """

    name: str
    scale: float
    zero: int


@dataclass(frozen=True)
class ByteWriter:
    """Writes the nodes.

    Attributes:
        ranges: of the source tensors.
    """

    writer: GraphWriter
    ranges: Mapping[str, Range]

    def grid(self, name: str) -> tuple[float, int]:
        """Return scale and zero of a source tensor's bytes; the value 0 is always exact."""
        low, high = self.ranges[name]
        scale = max((high - low) / LEVELS, SMALLEST_SCALE)
        return scale, min(max(round(-low / scale), 0), LEVELS)

    def quantized(self, value: str, name: str) -> Bytes:
        """Quantize floats as the bytes of a source tensor."""
        scale, zero = self.grid(name)
        parameters = self._parameters(scale, zero)
        return Bytes(self.writer.add("QuantizeLinear", [value, *parameters]), scale, zero)

    def _parameters(self, scale: float, zero: int) -> list[str]:
        scales = self.writer.weight(np.array(scale, np.float32))
        return [scales, self.writer.weight(np.array(zero, np.uint8))]

    def floats(self, values: Bytes) -> str:
        """Dequantize bytes; return the name of the floats."""
        parameters = self._parameters(values.scale, values.zero)
        return self.writer.add("DequantizeLinear", [values.name, *parameters])

    def weights(self, weights: Array) -> tuple[str, Array]:
        """Write weights (out, ...) as integers and dequantize them; also return the scales."""
        axes = tuple(range(1, weights.ndim))
        scales = np.maximum(np.abs(weights).max(axis=axes) / WEIGHT_LEVELS, SMALLEST_SCALE)
        scales = scales.astype(np.float32)
        whole = np.round(weights / scales.reshape(-1, *[1] * len(axes)))
        limited = np.clip(whole, -WEIGHT_LEVELS, WEIGHT_LEVELS).astype(np.int8)
        return self._integers(limited, scales), scales

    def _integers(self, values: Array, scales: Array) -> str:
        zeros = np.zeros(len(scales), values.dtype)
        inputs = [self.writer.weight(array) for array in (values, scales, zeros)]
        return self.writer.add("DequantizeLinear", inputs, axis=0)

    def bias(self, bias: Array, scales: Array, source: Bytes) -> str:
        """Write a bias in the steps that products of weights (of `scales`) and `source` have."""
        steps = (scales * np.float32(source.scale)).astype(np.float32)
        limit = 2**31 - 1
        whole = np.clip(np.round(bias / steps.astype(np.float64)), -limit, limit)
        return self._integers(whole.astype(np.int32), steps)
