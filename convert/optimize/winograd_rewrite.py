"""Rewrites the wide 3x3 convolutions of a 2D network by Winograd's way, for CPUs (see `winograd`).

The plain graph stays the reference: the rewritten one rounds in other places. Convolutions of few
channels are left as they are, since turning tiles costs more there than is saved; GPU providers
have their own ways and take the plain network.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import onnx

from convert.optimize.conv3d_patterns import POINTWISE, doubles, halves, keeps_size
from convert.optimize.fold_batchnorm import folded, scale_and_shift
from convert.optimize.im2row import RowKeeper, Rows, in_order
from convert.optimize.onnx_graph import Array, GraphReader, GraphWriter, Rewritten, attributes_of
from convert.optimize.winograd import convolved, share_of_time

WORTH_A_LAYER = 0.61
"""A convolution is rewritten if it is reckoned to take at most this share of its time. Layers
beyond, of fewer channels and more pixels, gain only where the processor's caches are large and
idle, and take memory in any case."""
WORTH_A_NETWORK = 0.95
"""Share of all convolutions' time above which the network is left as it is."""


def fewer_products(model: onnx.ModelProto) -> Rewritten:
    """Rewrite a network of one input and one output whose inner shapes are stated."""
    rewriter = _Rewriter(GraphReader(model))
    rewriter.run()
    if rewriter.time > WORTH_A_NETWORK * rewriter.direct or not rewriter.rewritten:
        return Rewritten(None, "too few wide 3x3 convolutions for Winograd's way to pay")
    return Rewritten(
        rewriter.writer.model(model),
        f"{rewriter.rewritten} convolutions by Winograd's way, with a quarter of the products",
    )


class _Rewriter:
    """One walk over the source graph.

    Attributes:
        direct, time: of all 2D convolutions, in products, before and after.
    """

    def __init__(self, graph: GraphReader) -> None:
        self.graph = graph
        self.writer = GraphWriter(reserved=graph.names)
        self.keeper = RowKeeper(graph, self.writer)
        self.direct = 0.0
        self.time = 0.0
        self.rewritten = 0
        self._done: set[str] = set()
        self._rules: dict[str, Callable[[onnx.NodeProto], bool]] = {
            "Conv": self._convolution,
            "ConvTranspose": self._enlargement,
            "Resize": self._enlargement,
            "MaxPool": self._pooling,
            "Concat": self._joining,
        }

    def run(self) -> None:
        for node in self.graph.nodes:
            if node.output[0] in self._done:
                continue
            self.writer.at = node.name or node.output[0]
            rule = self._rules.get(node.op_type, self._elementwise)
            images = all(self.keeper.is_image(name) for name in (node.input[0], node.output[0]))
            if not (images and rule(node)):
                self._copy(node)
        name = self.keeper.plain(self.graph.output)
        if name != self.graph.output:
            self.writer.add("Identity", [name], self.graph.output)

    def _copy(self, node: onnx.NodeProto) -> None:
        inputs = []
        for name in node.input:
            value = self.graph.constant(name)
            inputs.append(self.keeper.plain(name) if value is None else self.writer.weight(value))
        self.writer.copy(node, inputs)
        for name in node.output:
            self.keeper.keep_plain(name)

    # --- Convolution ------------------------------------------------------------------------------

    def _convolution(self, node: onnx.NodeProto) -> bool:
        """A wide convolution, with the normalisation that follows it alone."""
        weights = self.graph.constant(node.input[1])
        if weights is None:
            return False
        products = float(np.prod(self.keeper.size(node.output[0]))) * weights.size
        share = self._share(node)
        self.direct += products
        self.time += products * share
        found = folded(self.graph, node) if share < 1 else None
        if found is None:
            return False
        source = self.keeper.rows(node.input[0])
        self.keeper.keep(found.output, convolved(self.keeper, source, found.weights, found.bias))
        self._done |= found.covered
        self.rewritten += 1
        return True

    def _share(self, node: onnx.NodeProto) -> float:
        """The share of its time that a convolution is going to take; 1 if it is left as it is."""
        weights = self.graph.constant(node.input[1])
        if weights is None or weights.shape[2:] != (3, 3) or not keeps_size(node, weights):
            return 1.0
        outside, inside = weights.shape[:2]
        share = share_of_time(inside, outside, self.keeper.size(node.output[0]))
        return share if share <= WORTH_A_LAYER else 1.0

    # --- Everything else, where it already meets rows ---------------------------------------------

    def _elementwise(self, node: onnx.NodeProto) -> bool:
        """Functions of one value; scaling and shifting of channels."""
        sources = [name for name in node.input if self.keeper.has_rows(name)]
        if len(sources) != 1:
            return False
        rows = self.keeper.rows(sources[0])
        factors = scale_and_shift(self.graph, node)
        if factors is not None:
            scale, shift = (self.writer.weight(one) for one in factors)
            name = self.writer.add("Add", [self.writer.add("Mul", [rows.name, scale]), shift])
        elif node.op_type in POINTWISE and len(node.input) == 1:
            name = self.writer.add(node.op_type, [rows.name], **attributes_of(node))
        else:
            return False
        self.keeper.keep(node.output[0], replace(rows, name=name))
        return True

    def _joining(self, node: onnx.NodeProto) -> bool:
        """Joining on channels, if all that follows are convolutions to be rewritten."""
        takers = self.graph.consumers(node.output[0])
        wanted = all(taker.op_type == "Conv" and self._share(taker) < 1 for taker in takers)
        if attributes_of(node)["axis"] not in (1, -3) or not wanted:
            return False
        parts = [self.keeper.rows(name) for name in node.input]
        name = self.writer.add("Concat", [self.keeper.ordered(part) for part in parts], axis=2)
        places = in_order(self.keeper.size(node.output[0]))
        channels = sum(part.channels for part in parts)
        self.keeper.keep(node.output[0], Rows(name, places.size, channels, places))
        return True

    def _pooling(self, node: onnx.NodeProto) -> bool:
        """Halving in both directions: the largest of the rows of each 2x2 pixels."""
        size = self.keeper.size(node.input[0])
        if not self.keeper.has_rows(node.input[0]) or not halves(node):
            return False
        if any(length % 2 for length in size):
            return False
        rows = self.keeper.rows(node.input[0])
        corners = [rows.places[y::2, x::2].ravel() for y in (0, 1) for x in (0, 1)]
        name = self.writer.add("Max", [self.keeper.taken(rows.name, one) for one in corners])
        places = in_order(self.keeper.size(node.output[0]))
        self.keeper.keep(node.output[0], Rows(name, places.size, rows.channels, places))
        return True

    def _enlargement(self, node: onnx.NodeProto) -> bool:
        """Doubling in both directions: by repetition, or of each row by a matrix."""
        source, target = (self.keeper.size(name) for name in (node.input[0], node.output[0]))
        if not self.keeper.has_rows(node.input[0]) or not doubles(node, source, target):
            return False
        rows = self.keeper.rows(node.input[0])
        twice = rows.places.repeat(2, axis=0).repeat(2, axis=1)
        if node.op_type == "Resize":
            self.keeper.keep(node.output[0], replace(rows, places=twice))
            return True
        found = folded(self.graph, node)
        if found is None:
            return False
        inside, outside = found.weights.shape[:2]
        weights = found.weights.transpose(0, 2, 3, 1).reshape(inside, 4 * outside)
        name = self.writer.add("MatMul", [rows.name, self.writer.weight(weights)])
        name = self.keeper.reshaped(name, 4 * rows.many, outside)
        if found.bias.any():
            name = self.writer.add("Add", [name, self.writer.weight(found.bias)])
        places = 4 * twice + _corners(target)
        self.keeper.keep(found.output, Rows(name, 4 * rows.many, outside, places))
        self._done |= found.covered
        return True


def _corners(size: tuple[int, int]) -> Array:
    """Which of the 2x2 pixels that were made of one, each pixel is: 0 to 3."""
    down, across = (np.arange(length) % 2 for length in size)
    return 2 * down[:, np.newaxis] + across
