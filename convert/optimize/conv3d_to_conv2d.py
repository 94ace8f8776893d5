"""Rewrites the 3D convolutions of a network as 2D ones on tall images (see `slice_stacking`).

The plain graph stays the reference: the rewritten one computes the same sums in another order. It
is only faster on the CPU, so GPU providers take the plain one. What no rule covers is copied as it
is, on plain volumes.
"""

from dataclasses import replace

import numpy as np
import onnx

from convert.optimize.conv3d_patterns import (
    PAIRWISE,
    POINTWISE,
    channel_slope,
    is_doubling,
    is_halving,
    is_same_convolution,
)
from convert.optimize.fold_batchnorm import fold_batchnorm, scale_and_shift
from convert.optimize.onnx_graph import Rewritten, attributes_of
from convert.optimize.rewriter import LayoutRewriter
from convert.optimize.slice_stacking import Part, TallLayout
from convert.optimize.tall_convolution import Kernel, add_convolution

MIN_SHARE = 0.9
"""Share of the convolutions' work that must be rewritten. Below it, moving between the two layouts
may cost more than is gained."""


def rewrite_3d_convolutions(model: onnx.ModelProto) -> Rewritten:
    """Rewrite a network of one input and one output whose inner shapes are stated."""
    rewriter = _Rewriter(model)
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


class _Rewriter(LayoutRewriter[TallLayout]):
    """The pass.

    Attributes:
        work: multiplications of all 3D convolutions.
        work_done: of those that were rewritten.
        left: operators and names of the others.
    """

    def __init__(self, model: onnx.ModelProto) -> None:
        super().__init__(model)
        self.layout = TallLayout(self.graph, self.writer)
        self.work = 0.0
        self.work_done = 0.0
        self.left: list[str] = []
        self.rules = {
            "Conv": self._convolution,
            "ConvTranspose": self._upsampling,
            "Resize": self._upsampling,
            "MaxPool": self._pooling,
            "BatchNormalization": self._scaling,
            "Concat": self._concatenation,
        }

    def rewrite(self, node: onnx.NodeProto) -> bool:
        work = self._work(node)
        self.work += work
        if super().rewrite(node):
            self.work_done += work
            return True
        if work:
            self.left.append(f"{node.op_type} {node.name}")
        return False

    def _work(self, node: onnx.NodeProto) -> float:
        """Return the multiplications of a 3D convolution; 0 for any other node."""
        weights = self.graph.constant(node.input[1]) if node.op_type == "Conv" else None
        if weights is None or weights.ndim != 5:
            return 0.0
        return float(np.prod(self.graph.shape(node.output[0])[1:])) * weights.size

    # --- Convolution ------------------------------------------------------------------------------

    def _convolution(self, node: onnx.NodeProto) -> bool:
        """A convolution, with the normalisation and the ReLU that only its output feeds."""
        folded = fold_batchnorm(self.graph, node)
        if folded is None or not is_same_convolution(node, folded.weights):
            return False
        name = folded.output
        follower = self.graph.only_consumer(name)
        rectified = follower is not None and follower.op_type == "Relu"
        if rectified and follower is not None:
            name = follower.output[0]
        blank = rectified and self._must_be_clean(name)
        kernel = Kernel(folded.weights, folded.bias, blank)
        total = add_convolution(self.layout, node.input[0], kernel)
        if rectified:
            total = self.writer.add("Relu", [total])
        self.layout.keep(name, (Part(total, len(folded.weights), clean=blank),))
        self.covered |= folded.covered | {name}
        return True

    def _must_be_clean(self, name: str) -> bool:
        """Return whether anything but 1x1x1 convolutions takes the tensor."""
        return not all(
            node.op_type == "Conv" and set(attributes_of(node)["kernel_shape"]) == {1}
            for node in self.graph.consumers(name)
        )

    # --- Everything else --------------------------------------------------------------------------

    def _scaling(self, node: onnx.NodeProto) -> bool:
        """Scale and shift of channels, left for the next convolution to apply."""
        factors = scale_and_shift(self.graph, node)
        # The weight may be the first input or the second.
        sources = [name for name in node.input if self.layout.has(name)]
        if factors is None or len(sources) != 1:
            return False
        scale, shift = factors
        start, parts = 0, []
        for part in self.layout.get(sources[0]):
            channels = slice(start, start + part.channels)
            parts.append(part.scaled(scale[channels], shift[channels]))
            start += part.channels
        self.layout.keep(node.output[0], tuple(parts))
        return True

    def _concatenation(self, node: onnx.NodeProto) -> bool:
        """Concatenation of channels, left for the next convolution, which takes part by part."""
        axis = attributes_of(node)["axis"]
        if axis not in (1, -4) or not any(map(self.layout.has, node.input)):
            return False
        parts = [part for name in node.input for part in self.layout.get(name)]
        self.layout.keep(node.output[0], tuple(parts))
        return True

    def elementwise(self, node: onnx.NodeProto) -> bool:
        """Functions of one value, and of two at the same place or of one and a number."""
        if self._scaling(node):
            return True
        if node.op_type == "PRelu" and self._sloped(node):
            return True
        others = [name for name in node.input if self.graph.constant(name) is None]
        numbers = [self.graph.constant(name) for name in node.input]
        if not all(map(self.layout.has, others)) or not others:
            return False
        if any(number is not None and number.size != 1 for number in numbers):
            return False
        shapes = {self.graph.shape(name) for name in others}
        if node.op_type not in POINTWISE | PAIRWISE or len(shapes) != 1:
            return False
        parts = {name: self.layout.whole(name, clean=False) for name in others}
        inputs = [
            parts[name].name if number is None else self.writer.weight(number.reshape(()))
            for name, number in zip(node.input, numbers, strict=True)
        ]
        result = self.writer.add(node.op_type, inputs, **attributes_of(node))
        clean = node.op_type == "Relu" and parts[others[0]].clean
        channels = parts[others[0]].channels
        self.layout.keep(node.output[0], (Part(result, channels, clean),))
        return True

    def _sloped(self, node: onnx.NodeProto) -> bool:
        """A PReLU with one slope a channel, or one for all."""
        slope = channel_slope(self.graph, node)
        if slope is None or not self.layout.has(node.input[0]):
            return False
        part = self.layout.whole(node.input[0], clean=False)
        result = self.writer.add("PRelu", [part.name, self.writer.weight(slope)])
        self.layout.keep(node.output[0], (Part(result, part.channels, part.clean),))
        return True

    def _pooling(self, node: onnx.NodeProto) -> bool:
        """Halving in all directions: rows and columns by 2D pooling, then slices in pairs."""
        source, target = self.layout.size(node.input[0]), self.layout.size(node.output[0])
        gaps = self.layout.gaps
        if (
            not is_halving(node)
            or any(length % 2 for length in source)
            or not self.layout.has(node.input[0])
            or gaps[source] != 2 * gaps[target]
        ):
            return False
        part = self.layout.whole(node.input[0], clean=True)
        image = self.writer.add("MaxPool", [part.name], kernel_shape=[2, 2], strides=[2, 2])
        values = self.layout.pitch(target) * target[2]
        pairs = self.layout.reshaped(image, part.channels, target[0], 2, values)
        largest = self.writer.add("ReduceMax", [pairs], axes=[3], keepdims=0)
        tall = self.layout.as_tall(largest, part.channels, target, clean=True)
        self.layout.keep(node.output[0], (tall,))
        return True

    def _upsampling(self, node: onnx.NodeProto) -> bool:
        """Doubling in all directions, where the blank rows double too."""
        source, target = self.layout.size(node.input[0]), self.layout.size(node.output[0])
        gaps = self.layout.gaps
        folded = fold_batchnorm(self.graph, node) if node.op_type == "ConvTranspose" else None
        if (
            not is_doubling(node, source, target)
            or not self.layout.has(node.input[0])
            or gaps[target] != 2 * gaps[source]
            or (folded is None and node.op_type == "ConvTranspose")
        ):
            return False
        part = self.layout.whole(node.input[0], clean=True)
        deep = self.layout.as_deep(part, source)
        channels, shift, name = self.graph.shape(node.output[0])[0], None, node.output[0]
        if folded is not None:
            # The bias would fill the blank rows; the next convolution adds it.
            shift, name = folded.bias if folded.bias.any() else None, folded.output
            self.covered |= folded.covered
            weights = self.writer.weight(folded.weights)
            deep = self.writer.add("ConvTranspose", [deep, weights], **attributes_of(node))
        else:
            factors = self.writer.weight(np.array([1, 1, 2, 2, 2], np.float32))
            deep = self.writer.add("Resize", [deep, "", factors], **attributes_of(node))
        tall = self.layout.as_tall(deep, channels, target, clean=True)
        self.layout.keep(name, (replace(tall, shift=shift),))
        return True
