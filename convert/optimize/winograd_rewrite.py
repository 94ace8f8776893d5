"""Rewrites the wide 3x3 convolutions of a 2D network by Winograd's method, for CPUs.

The plain graph stays the reference: the rewritten one rounds in other places. Convolutions of few
channels are left as they are, since transforming tiles costs more there than is saved; GPU
providers have their own methods and take the plain network. The method itself is in `winograd`.
"""

from dataclasses import replace

import numpy as np
import onnx

from convert.optimize.conv3d_patterns import (
    POINTWISE,
    is_doubling,
    is_halving,
    is_same_convolution,
)
from convert.optimize.fold_batchnorm import fold_batchnorm, scale_and_shift
from convert.optimize.im2row import RowLayout, Rows, in_order
from convert.optimize.onnx_graph import Array, Rewritten, attributes_of
from convert.optimize.rewriter import LayoutRewriter
from convert.optimize.winograd import add_convolution, share_of_time

MAX_LAYER_SHARE = 0.61
"""A convolution is rewritten if its estimated time is at most this share of the direct
convolution's. Layers beyond that, of fewer channels and more pixels, gain only where the
processor's caches are large and idle, and take memory in any case."""
MAX_NETWORK_SHARE = 0.95
"""Share of all convolutions' time above which the network is left as it is."""


def rewrite_wide_convolutions(model: onnx.ModelProto) -> Rewritten:
    """Rewrite a network of one input and one output whose inner shapes are stated."""
    rewriter = _Rewriter(model)
    rewriter.run()
    if rewriter.time > MAX_NETWORK_SHARE * rewriter.direct or not rewriter.rewritten:
        return Rewritten(None, "too few wide 3x3 convolutions for Winograd's method to pay")
    return Rewritten(
        rewriter.writer.model(model),
        f"{rewriter.rewritten} convolutions by Winograd's method, with a quarter of the products",
    )


class _Rewriter(LayoutRewriter[RowLayout]):
    """The pass.

    Attributes:
        direct, time: of all 2D convolutions, in products, before and after.
    """

    def __init__(self, model: onnx.ModelProto) -> None:
        super().__init__(model)
        self.layout = RowLayout(self.graph, self.writer)
        self.direct = 0.0
        self.time = 0.0
        self.rewritten = 0
        self.rules = {
            "Conv": self._convolution,
            "ConvTranspose": self._upsampling,
            "Resize": self._upsampling,
            "MaxPool": self._pooling,
            "Concat": self._concatenation,
        }

    # --- Convolution ------------------------------------------------------------------------------

    def _convolution(self, node: onnx.NodeProto) -> bool:
        """A wide convolution, with the normalisation that follows it alone."""
        weights = self.graph.constant(node.input[1])
        if weights is None:
            return False
        products = float(np.prod(self.layout.size(node.output[0]))) * weights.size
        share = self._share(node)
        self.direct += products
        self.time += products * share
        folded = fold_batchnorm(self.graph, node) if share < 1 else None
        if folded is None:
            return False
        source = self.layout.get(node.input[0])
        rows = add_convolution(self.layout, source, folded.weights, folded.bias)
        self.layout.keep(folded.output, rows)
        self.covered |= folded.covered
        self.rewritten += 1
        return True

    def _share(self, node: onnx.NodeProto) -> float:
        """Return the share of its time that a convolution will take; 1 if it is left as it is."""
        weights = self.graph.constant(node.input[1])
        if weights is None or weights.shape[2:] != (3, 3) or not is_same_convolution(node, weights):
            return 1.0
        outside, inside = weights.shape[:2]
        share = share_of_time(inside, outside, self.layout.size(node.output[0]))
        return share if share <= MAX_LAYER_SHARE else 1.0

    # --- Everything else, where its input is rows already -----------------------------------------

    def elementwise(self, node: onnx.NodeProto) -> bool:
        """Functions of one value; scaling and shifting of channels."""
        sources = [name for name in node.input if self.layout.has(name)]
        if len(sources) != 1:
            return False
        rows = self.layout.get(sources[0])
        factors = scale_and_shift(self.graph, node)
        if factors is not None:
            scale, shift = map(self.writer.weight, factors)
            name = self.writer.add("Add", [self.writer.add("Mul", [rows.name, scale]), shift])
        elif node.op_type in POINTWISE and len(node.input) == 1:
            name = self.writer.add(node.op_type, [rows.name], **attributes_of(node))
        else:
            return False
        self.layout.keep(node.output[0], replace(rows, name=name))
        return True

    def _concatenation(self, node: onnx.NodeProto) -> bool:
        """Concatenation of channels, if all that follows are convolutions to be rewritten."""
        takers = self.graph.consumers(node.output[0])
        wanted = all(taker.op_type == "Conv" and self._share(taker) < 1 for taker in takers)
        if attributes_of(node)["axis"] not in (1, -3) or not wanted:
            return False
        parts = [self.layout.get(name) for name in node.input]
        name = self.writer.add("Concat", [self.layout.ordered(part) for part in parts], axis=2)
        indices = in_order(self.layout.size(node.output[0]))
        channels = sum(part.channels for part in parts)
        self.layout.keep(node.output[0], Rows(name, indices.size, channels, indices))
        return True

    def _pooling(self, node: onnx.NodeProto) -> bool:
        """Halving in both directions: the largest of the rows of each 2x2 pixels."""
        size = self.layout.size(node.input[0])
        if not self.layout.has(node.input[0]) or not is_halving(node):
            return False
        if any(length % 2 for length in size):
            return False
        rows = self.layout.get(node.input[0])
        corners = [rows.indices[y::2, x::2].ravel() for y in (0, 1) for x in (0, 1)]
        name = self.writer.add("Max", [self.layout.taken(rows.name, corner) for corner in corners])
        indices = in_order(self.layout.size(node.output[0]))
        self.layout.keep(node.output[0], Rows(name, indices.size, rows.channels, indices))
        return True

    def _upsampling(self, node: onnx.NodeProto) -> bool:
        """Doubling in both directions: by repetition, or of each row by a matrix."""
        source, target = (self.layout.size(name) for name in (node.input[0], node.output[0]))
        if not self.layout.has(node.input[0]) or not is_doubling(node, source, target):
            return False
        rows = self.layout.get(node.input[0])
        repeated = rows.indices.repeat(2, axis=0).repeat(2, axis=1)
        if node.op_type == "Resize":
            self.layout.keep(node.output[0], replace(rows, indices=repeated))
            return True
        folded = fold_batchnorm(self.graph, node)
        if folded is None:
            return False
        inside, outside = folded.weights.shape[:2]
        weights = folded.weights.transpose(0, 2, 3, 1).reshape(inside, 4 * outside)
        name = self.writer.add("MatMul", [rows.name, self.writer.weight(weights)])
        name = self.layout.reshaped(name, 4 * rows.count, outside)
        if folded.bias.any():
            name = self.writer.add("Add", [name, self.writer.weight(folded.bias)])
        indices = 4 * repeated + _corners(target)
        self.layout.keep(folded.output, Rows(name, 4 * rows.count, outside, indices))
        self.covered |= folded.covered
        return True


def _corners(size: tuple[int, int]) -> Array:
    """Return which of the 2x2 pixels that came of one each pixel is: 0 to 3."""
    down, across = (np.arange(length) % 2 for length in size)
    return 2 * down[:, np.newaxis] + across
