"""Rewrites the 3D convolution parts of a network as 2D ones on tall images (see `stacking`).

The plain graph stays the reference: the rewritten one computes the same sums in another order. It
is only faster on the CPU, so GPU providers take the plain one. What a rule below does not cover is
copied as it is, on plain volumes.
"""

from collections.abc import Callable

import numpy as np
import onnx

from convert.optimize.conv3d_patterns import (
    PAIRWISE,
    POINTWISE,
    channel_slope,
    doubles,
    halves,
    keeps_size,
)
from convert.optimize.fold_batchnorm import folded, scale_and_shift
from convert.optimize.onnx_graph import GraphReader, GraphWriter, Rewritten, attributes_of
from convert.optimize.slice_stacking import Part, Stacker, choose_gaps
from convert.optimize.tall_convolution import Kernel, convolved

MIN_SHARE = 0.9
"""Share of the convolutions' work that must be rewritten. Below it, moving between the two forms
may cost more than is won."""


def flatten_depth(model: onnx.ModelProto) -> Rewritten:
    """Rewrite a network of one input and one output whose inner shapes are stated."""
    graph = GraphReader(model)
    rewriter = _Rewriter(graph)
    rewriter.run()
    if not rewriter.work:
        return Rewritten(None, "the network has no 3D convolution")
    share = rewriter.work_done / rewriter.work
    if share < MIN_SHARE:
        left = ", ".join(sorted(set(rewriter.left)))
        return Rewritten(
            None, f"only {share:.0%} of the work of its convolutions can be rewritten; not {left}"
        )
    flat = rewriter.writer.model(model)
    return Rewritten(flat, f"3D convolutions as 2D ones on tall images ({share:.0%} of their work)")


class _Rewriter:
    """One walk over the source graph."""

    def __init__(self, graph: GraphReader) -> None:
        self.graph = graph
        self.writer = GraphWriter(reserved=graph.names)
        self.stacker = Stacker(graph, self.writer, choose_gaps(graph))
        self.work = 0.0
        self.work_done = 0.0
        self.left: list[str] = []
        self._done: set[str] = set()
        self._rules: dict[str, Callable[[onnx.NodeProto], bool]] = {
            "Conv": self._convolution,
            "ConvTranspose": self._enlargement,
            "Resize": self._enlargement,
            "MaxPool": self._pooling,
            "BatchNormalization": self._scaling,
            "Concat": self._joining,
        }

    def run(self) -> None:
        for node in self.graph.nodes:
            if node.output[0] in self._done:
                continue
            self.writer.at = node.name or node.output[0]
            rule = self._rules.get(node.op_type, self._elementwise)
            volumes = all(self.stacker.is_volume(name) for name in (node.input[0], node.output[0]))
            work = self._work(node)
            self.work += work
            if volumes and rule(node):
                self.work_done += work
                continue
            if work:
                self.left.append(f"{node.op_type} {node.name}")
            self._copy(node)
        self._name_output()

    def _copy(self, node: onnx.NodeProto) -> None:
        inputs = []
        for name in node.input:
            value = self.graph.constant(name)
            inputs.append(self.stacker.plain(name) if value is None else self.writer.weight(value))
        self.writer.copy(node, inputs)
        for name in node.output:
            self.stacker.keep_plain(name)

    def _name_output(self) -> None:
        name = self.stacker.plain(self.graph.output)
        if name != self.graph.output:
            self.writer.add("Identity", [name], self.graph.output)

    def _work(self, node: onnx.NodeProto) -> float:
        """Multiplications of a 3D convolution; 0 for any other node."""
        weights = self.graph.constant(node.input[1]) if node.op_type == "Conv" else None
        if weights is None or weights.ndim != 5:
            return 0.0
        return float(np.prod(self.graph.shape(node.output[0])[1:])) * weights.size

    # --- Convolution ------------------------------------------------------------------------------

    def _convolution(self, node: onnx.NodeProto) -> bool:
        """A convolution, with the normalisation and the ReLU that may follow it alone."""
        found = folded(self.graph, node)
        if found is None or not keeps_size(node, found.weights):
            return False
        name = found.output
        follower = self.graph.only_consumer(name)
        rectified = follower is not None and follower.op_type == "Relu"
        if rectified and follower is not None:
            name = follower.output[0]
        blank = rectified and self._must_be_clean(name)
        kernel = Kernel(found.weights, found.bias, blank)
        total = convolved(self.stacker, node.input[0], kernel)
        if rectified:
            total = self.writer.add("Relu", [total])
        self.stacker.keep(name, (Part(total, len(found.weights), clean=blank),))
        self._done |= found.covered | {name}
        return True

    def _must_be_clean(self, name: str) -> bool:
        """Whether anything but 1x1x1 convolutions takes the tensor."""
        return not all(
            node.op_type == "Conv" and set(attributes_of(node)["kernel_shape"]) == {1}
            for node in self.graph.consumers(name)
        )

    # --- Everything else --------------------------------------------------------------------------

    def _scaling(self, node: onnx.NodeProto) -> bool:
        """What scales and shifts channels, but follows no convolution, waits for the next one."""
        factors = scale_and_shift(self.graph, node)
        # A weight may stand on either side.
        sources = [name for name in node.input if self.stacker.is_stacked(name)]
        if factors is None or len(sources) != 1:
            return False
        start, parts = 0, []
        for part in self.stacker.volume(sources[0]):
            own = slice(start, start + part.channels)
            parts.append(part.scaled(factors[0][own], factors[1][own]))
            start += part.channels
        self.stacker.keep(node.output[0], tuple(parts))
        return True

    def _joining(self, node: onnx.NodeProto) -> bool:
        """Joining on channels costs nothing: the next convolution takes the parts one by one."""
        axis = attributes_of(node)["axis"]
        if axis not in (1, -4) or not any(map(self.stacker.is_stacked, node.input)):
            return False
        parts = [part for name in node.input for part in self.stacker.volume(name)]
        self.stacker.keep(node.output[0], tuple(parts))
        return True

    def _elementwise(self, node: onnx.NodeProto) -> bool:
        """Functions of one value, and of two at the same place or of one and a number."""
        if self._scaling(node):
            return True
        if node.op_type == "PRelu" and self._sloped(node):
            return True
        others = [name for name in node.input if self.graph.constant(name) is None]
        numbers = [self.graph.constant(name) for name in node.input]
        if not all(map(self.stacker.is_stacked, others)) or not others:
            return False
        if any(number is not None and number.size != 1 for number in numbers):
            return False
        shapes = {self.graph.shape(name) for name in others}
        if node.op_type not in POINTWISE | PAIRWISE or len(shapes) != 1:
            return False
        parts = {name: self.stacker.whole(name, clean=False) for name in others}
        inputs = [
            parts[name].name if number is None else self.writer.weight(number.reshape(()))
            for name, number in zip(node.input, numbers, strict=True)
        ]
        answer = self.writer.add(node.op_type, inputs, **attributes_of(node))
        clean = node.op_type == "Relu" and parts[others[0]].clean
        channels = parts[others[0]].channels
        self.stacker.keep(node.output[0], (Part(answer, channels, clean),))
        return True

    def _sloped(self, node: onnx.NodeProto) -> bool:
        """A PReLU with one slope a channel, or one for all."""
        slope = channel_slope(self.graph, node)
        if slope is None or not self.stacker.is_stacked(node.input[0]):
            return False
        part = self.stacker.whole(node.input[0], clean=False)
        answer = self.writer.add("PRelu", [part.name, self.writer.weight(slope)])
        self.stacker.keep(node.output[0], (Part(answer, part.channels, part.clean),))
        return True

    def _pooling(self, node: onnx.NodeProto) -> bool:
        """Halving in all directions: rows and columns by 2D pooling, then slices in pairs."""
        source, target = self.stacker.size(node.input[0]), self.stacker.size(node.output[0])
        gaps = self.stacker.gaps
        if (
            not halves(node)
            or any(many % 2 for many in source)
            or not self.stacker.is_stacked(node.input[0])
            or gaps[source] != 2 * gaps[target]
        ):
            return False
        part = self.stacker.whole(node.input[0], clean=True)
        image = self.writer.add("MaxPool", [part.name], kernel_shape=[2, 2], strides=[2, 2])
        values = self.stacker.pitch(target) * target[2]
        pairs = self.stacker.reshaped(image, part.channels, target[0], 2, values)
        best = self.writer.add("ReduceMax", [pairs], axes=[3], keepdims=0)
        tall = target[0] * self.stacker.pitch(target)
        image = self.stacker.reshaped(best, part.channels, tall, target[2])
        self.stacker.keep(node.output[0], (Part(image, part.channels, clean=True),))
        return True

    def _enlargement(self, node: onnx.NodeProto) -> bool:
        """Doubling in all directions, where the blank rows double too."""
        source, target = self.stacker.size(node.input[0]), self.stacker.size(node.output[0])
        gaps = self.stacker.gaps
        if (
            not doubles(node, source, target)
            or not self.stacker.is_stacked(node.input[0])
            or gaps[target] != 2 * gaps[source]
        ):
            return False
        part = self.stacker.whole(node.input[0], clean=True)
        pitch, channels = self.stacker.pitch(source), self.graph.shape(node.output[0])[0]
        deep = self.stacker.reshaped(part.name, part.channels, source[0], pitch, source[2])
        shift, name = None, node.output[0]
        if node.op_type == "ConvTranspose":
            found = folded(self.graph, node)
            if found is None:
                return False
            # The bias would fill the blank rows; the next convolution adds it.
            shift, name = found.bias if found.bias.any() else None, found.output
            self._done |= found.covered
            weights = self.writer.weight(found.weights)
            deep = self.writer.add("ConvTranspose", [deep, weights], **attributes_of(node))
        else:
            factors = self.writer.weight(np.array([1, 1, 2, 2, 2], np.float32))
            deep = self.writer.add("Resize", [deep, "", factors], **attributes_of(node))
        tall = target[0] * self.stacker.pitch(target)
        image = self.stacker.reshaped(deep, channels, tall, target[2])
        self.stacker.keep(name, (Part(image, channels, True, None, shift),))
        return True
