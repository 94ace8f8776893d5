"""Rewrites a network to compute in 8-bit integers, which CPUs multiply several times faster.

Activations are unsigned, one scale a tensor; weights are signed, one scale for each output channel.
Everything is written with ONNX's own QuantizeLinear and DequantizeLinear, which ONNX Runtime fuses
with the convolution between them. A ReLU needs no operator of its own where zero is the smallest
integer. The last convolution and what follows stay in float32, since probabilities near 0 and their
sums need more than 256 levels.

A 3D network gets its slices as the batch: the three slices that a kernel reaches are concatenated
on channels. That is a copy, but one of bytes. It takes one volume at a time.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import onnx

from convert.errors import QuantizeError
from convert.optimize.calibration import Range
from convert.optimize.conv3d_patterns import (
    PAIRWISE,
    POINTWISE,
    channel_slope,
    is_doubling,
    is_halving,
    is_same_convolution,
)
from convert.optimize.fold_batchnorm import fold_batchnorm
from convert.optimize.onnx_graph import Array, GraphReader, attributes_of
from convert.optimize.qdq import Bytes, ByteWriter
from convert.optimize.rewriter import GraphRewriter

Attributes = dict[str, Any]


def to_int8(model: onnx.ModelProto, ranges: Mapping[str, Range]) -> onnx.ModelProto:
    """Rewrite a network of one input and one output whose inner shapes are stated.

    An operator that no rule covers is computed in float32. Raises QuantizeError if there is no
    convolution.
    """
    quantizer = _Quantizer(model, ranges)
    quantizer.run()
    return quantizer.writer.model(model)


class _Quantizer(GraphRewriter):
    """The pass.

    Attributes:
        bytes: source tensors that were written as bytes.
        last: the last convolution, which stays in float32.
    """

    def __init__(self, model: onnx.ModelProto, ranges: Mapping[str, Range]) -> None:
        super().__init__(model)
        self.ranges = ranges
        self.into = ByteWriter(self.writer, ranges)
        self.bytes: dict[str, Bytes] = {}
        self.last = _last_convolution(self.graph)
        # The image is never computed, so it is there in floats.
        self._plain: set[str] = {self.graph.input}
        self._rules: dict[str, Callable[[onnx.NodeProto], None]] = {
            "Conv": self._convolution,
            "ConvTranspose": self._upsampling,
            "MaxPool": self._pooling,
            "Concat": self._concatenation,
            "Resize": self._resizing,
        }

    def rewrite(self, node: onnx.NodeProto) -> bool:
        if node.op_type != "Conv" and not any(name in self.bytes for name in node.input):
            return False
        self._rules.get(node.op_type, self._in_float)(node)
        return True

    def _is_volume(self, name: str) -> bool:
        return len(self.graph.shape(name)) == 4

    def _bytes_of(self, name: str) -> Bytes:
        """Return a source tensor as bytes; the network's image is quantized here."""
        if name not in self.bytes:
            value = name
            if self._is_volume(name):
                channels, slices, *plane = self.graph.shape(name)
                if channels > 1:
                    value = self.writer.add("Transpose", [value], perm=[0, 2, 1, 3, 4])
                value = self._shaped(value, slices, channels, *plane)
            self.bytes[name] = self.into.quantized(value, name)
        return self.bytes[name]

    def _shaped(self, name: str, *shape: int) -> str:
        return self.writer.add("Reshape", [name, self.writer.weight(np.array(shape))])

    def _write_floats(self, value: str, name: str) -> None:
        """Write floats under the name and in the shape of the source tensor that they hold."""
        if not self._is_volume(name):
            self.writer.add("Identity", [value], name)
            return
        channels, slices, *plane = self.graph.shape(name)
        if channels > 1:
            value = self._shaped(value, 1, slices, channels, *plane)
            self.writer.add("Transpose", [value], name, perm=[0, 2, 1, 3, 4])
        else:
            shape = self.writer.weight(np.array([1, 1, slices, *plane]))
            self.writer.add("Reshape", [value, shape], name)

    # --- Rules ------------------------------------------------------------------------------------

    def _convolution(self, node: onnx.NodeProto) -> None:
        """A convolution with the normalisation and the ReLU that only its output feeds."""
        folded = fold_batchnorm(self.graph, node)
        if folded is None or (
            folded.weights.ndim == 5 and not is_same_convolution(node, folded.weights)
        ):
            self._on_plain_volumes(node)
            return
        name = folded.output
        self.covered |= folded.covered
        follower = self.graph.only_consumer(name)
        rectified = follower is not None and follower.op_type == "Relu" and node is not self.last
        if follower is not None and rectified:
            name = follower.output[0]
            self.covered.add(name)
        source = self._bytes_of(node.input[0])
        image, weights, attributes = self._as_2d(node, source, folded.weights)
        if node is self.last:
            inputs = [self.writer.weight(array) for array in (weights, folded.bias)]
            value = self.writer.add("Conv", [self.into.floats(image), *inputs], **attributes)
            self._write_floats(value, name)
            return
        value = self._convolved(image, weights, folded.bias, attributes)
        self.bytes[name] = self.into.quantized(value, name)
        if rectified:
            self.bytes[name] = self._not_below_zero(self.bytes[name])

    def _convolved(self, image: Bytes, weights: Array, bias: Array, attributes: Attributes) -> str:
        kernel, scales = self.into.weights(weights)
        inputs = [self.into.floats(image), kernel, self.into.bias(bias, scales, image)]
        return self.writer.add("Conv", inputs, **attributes)

    def _as_2d(
        self, node: onnx.NodeProto, source: Bytes, weights: Array
    ) -> tuple[Bytes, Array, Attributes]:
        """Return the image, the weights and the attributes of a 2D convolution."""
        if weights.ndim == 4:
            return source, weights, attributes_of(node)
        outside, inside, deep, rows, columns = weights.shape
        attributes = {
            "kernel_shape": [rows, columns],
            "pads": [rows // 2, columns // 2, rows // 2, columns // 2],
        }
        flat = weights.transpose(0, 2, 1, 3, 4).reshape(outside, deep * inside, rows, columns)
        return self._neighbours(source, deep, self.graph.shape(node.input[0])[1]), flat, attributes

    def _neighbours(self, source: Bytes, deep: int, slices: int) -> Bytes:
        """Concatenate each slice and those before and after it, `deep` in all, on channels."""
        if deep == 1:
            return source
        weight, reach = self.writer.weight, deep // 2
        pads = weight(np.array([reach, 0, 0, 0, reach, 0, 0, 0]))
        blank = weight(np.array(source.zero, np.uint8))
        padded = self.writer.add("Pad", [source.name, pads, blank])
        moved = [self.writer.slice(padded, start, start + slices, axis=0) for start in range(deep)]
        return replace(source, name=self.writer.add("Concat", moved, axis=1))

    def _not_below_zero(self, values: Bytes) -> Bytes:
        """Apply a ReLU, which rounding to bytes has done where zero is the smallest byte."""
        if not values.zero:
            return values
        least = self.writer.weight(np.array(values.zero, np.uint8))
        return replace(values, name=self.writer.add("Clip", [values.name, least]))

    def _upsampling(self, node: onnx.NodeProto) -> None:
        """Doubling by weights: a 1x1 convolution whose channels are then laid out as pixels.

        Any other transposed convolution is computed in float32.
        """
        size, target = (self.graph.shape(name)[1:] for name in (node.input[0], node.output[0]))
        folded = fold_batchnorm(self.graph, node)
        if folded is None or not is_doubling(node, size, target):
            self._in_float(node)
            return
        weights, name = folded.weights, folded.output
        self.covered |= folded.covered
        inside, outside = weights.shape[:2]
        pixels = weights[0, 0].size
        # The last two axes become rows and columns, the one before them, if any, slices.
        flat = np.moveaxis(weights, (0, 1), (-1, -2)).reshape(pixels * outside, inside, 1, 1)
        biases = np.tile(folded.bias, pixels)
        source = self._bytes_of(node.input[0])
        value = self._convolved(source, flat, biases, {"kernel_shape": [1, 1]})
        values = self.into.quantized(value, name)
        self.bytes[name] = replace(values, name=self._as_pixels(values.name, size, outside))

    def _as_pixels(self, name: str, size: tuple[int, ...], channels: int) -> str:
        """Turn channels (deep, down, across, channels) of each pixel into pixels.

        It is done with channels last, the layout in which ONNX Runtime convolves bytes, so that
        whole pixels are moved and the outer transpositions vanish.
        """
        image = self.writer.add("Transpose", [name], perm=[0, 2, 3, 1])
        *_, rows, columns = size
        if len(size) == 3:
            image = self._shaped(image, size[0], rows, columns, 2, 2, 2, channels)
            image = self.writer.add("Transpose", [image], perm=[0, 3, 1, 4, 2, 5, 6])
            image = self._shaped(image, 2 * size[0], 2 * rows, 2 * columns, channels)
        else:
            image = self._shaped(image, -1, rows, columns, 2, 2, channels)
            image = self.writer.add("Transpose", [image], perm=[0, 1, 3, 2, 4, 5])
            image = self._shaped(image, -1, 2 * rows, 2 * columns, channels)
        return self.writer.add("Transpose", [image], perm=[0, 3, 1, 2])

    def _pooling(self, node: onnx.NodeProto) -> None:
        source, name = self._bytes_of(node.input[0]), node.output[0]
        if not self._is_volume(name):
            pooled = self.writer.add("MaxPool", [source.name], **attributes_of(node))
            self.bytes[name] = replace(source, name=pooled)
            return
        channels, slices, rows, columns = self.graph.shape(name)
        if not is_halving(node) or 2 * slices != self.graph.shape(node.input[0])[1]:
            self._on_plain_volumes(node)
            return
        image = self.writer.add("MaxPool", [source.name], kernel_shape=[2, 2], strides=[2, 2])
        pairs = self._shaped(image, slices, 2, channels * rows * columns)
        largest = self.writer.add("ReduceMax", [pairs], axes=[1], keepdims=0)
        largest = self._shaped(largest, slices, channels, rows, columns)
        self.bytes[name] = replace(source, name=largest)

    def _concatenation(self, node: onnx.NodeProto) -> None:
        name, axes = node.output[0], len(self.graph.shape(node.output[0])) + 1
        if attributes_of(node)["axis"] % axes != 1:
            self._in_float(node)
            return
        scale, zero = self.into.grid(name)
        names = []
        for part in map(self._bytes_of, node.input):
            # Calibration unites the ranges of what is concatenated, so they rarely differ.
            same = (part.scale, part.zero) == (scale, zero)
            names.append(
                part.name if same else self.into.quantized(self.into.floats(part), name).name
            )
        self.bytes[name] = Bytes(self.writer.add("Concat", names, axis=1), scale, zero)

    def _resizing(self, node: onnx.NodeProto) -> None:
        """Doubling by repeating pixels, and slices."""
        name = node.output[0]
        size, target = (self.graph.shape(tensor)[1:] for tensor in (node.input[0], name))
        if not is_doubling(node, size, target):
            self._in_float(node)
            return
        source = self._bytes_of(node.input[0])
        factors = [2, 1, 2, 2] if self._is_volume(name) else [1, 1, 2, 2]
        inputs = [source.name, "", self.writer.weight(np.array(factors, np.float32))]
        larger = self.writer.add("Resize", inputs, **attributes_of(node))
        self.bytes[name] = replace(source, name=larger)

    def _in_float(self, node: onnx.NodeProto) -> None:
        """Any other operator, in float32 between bytes; on whole volumes where it needs them."""
        name = node.output[0]
        volumes = any(map(self._is_volume, (name, *node.input)))
        if volumes and not self._works_on_slices(node):
            self._on_plain_volumes(node)
            return
        inputs = []
        for source in node.input:
            value = self.graph.constant(source)
            if value is not None and node.op_type == "PRelu" and self._is_volume(name):
                value = channel_slope(self.graph, node)
            if value is not None:
                inputs.append(self.writer.weight(value))
            else:
                inputs.append(
                    self.into.floats(self.bytes[source]) if source in self.bytes else source
                )
        if name not in self.ranges:
            self.writer.add(node.op_type, inputs, name, **attributes_of(node))
            return
        result = self.writer.add(node.op_type, inputs, **attributes_of(node))
        self.bytes[name] = self.into.quantized(result, name)

    def _on_plain_volumes(self, node: onnx.NodeProto) -> None:
        """An operator as it is, in float32 and on the shapes of the source."""
        for name in node.input:
            if name in self.bytes and name not in self._plain:
                self._plain.add(name)
                self._write_floats(self.into.floats(self.bytes[name]), name)
        self.copy(node)

    def _works_on_slices(self, node: onnx.NodeProto) -> bool:
        if node.op_type == "BatchNormalization":
            return True
        if node.op_type == "PRelu":
            return channel_slope(self.graph, node) is not None
        numbers = [self.graph.constant(name) for name in node.input]
        return node.op_type in POINTWISE | PAIRWISE and all(
            name in self.bytes if number is None else number.size == 1
            for name, number in zip(node.input, numbers, strict=True)
        )


def _last_convolution(graph: GraphReader) -> onnx.NodeProto:
    convolutions = [node for node in graph.nodes if node.op_type == "Conv"]
    if not convolutions:
        raise QuantizeError("the network has no convolution")
    return convolutions[-1]
