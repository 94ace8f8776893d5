"""Folds normalisation, and whatever else scales and shifts channels, into the convolution before.

All in double precision.
"""

from dataclasses import dataclass

import numpy as np
import onnx

from convert.optimize.onnx_graph import Array, GraphReader, attributes_of


@dataclass(frozen=True)
class Folded:
    """A convolution with the normalisations and biases that only its output feeds.

    Attributes:
        weights: float64, of the shape that the node's have.
        bias: float64 (out,).
        output: the source tensor that it computes.
        covered: the outputs of the source nodes that it replaces.
    """

    weights: Array
    bias: Array
    output: str
    covered: frozenset[str]


def fold_batchnorm(graph: GraphReader, node: onnx.NodeProto) -> Folded | None:
    """Fold what follows a Conv or ConvTranspose of one group into its weights.

    Returns None if weights or bias are not in the file.
    """
    weights = graph.constant(node.input[1])
    bias = graph.constant(node.input[2]) if len(node.input) > 2 else np.zeros(())
    if weights is None or bias is None:
        return None
    outside = 1 if node.op_type == "ConvTranspose" else 0
    weights = weights.astype(np.float64)
    bias = np.broadcast_to(bias, weights.shape[outside]).astype(np.float64)
    output = node.output[0]
    covered = [output]
    while True:
        follower = graph.only_consumer(output)
        factors = None if follower is None else scale_and_shift(graph, follower)
        if follower is None or factors is None:
            return Folded(weights, bias, output, frozenset(covered))
        scale, shift = factors
        along = [1] * weights.ndim
        along[outside] = -1
        weights, bias = weights * scale.reshape(along), bias * scale + shift
        output = follower.output[0]
        covered.append(output)


def scale_and_shift(graph: GraphReader, node: onnx.NodeProto) -> tuple[Array, Array] | None:
    """Return scale and shift, float64 (channels,), of a node that does nothing else to channels.

    Such are normalisation, and adding or multiplying with one weight a channel; None for others.
    """
    if node.op_type == "BatchNormalization":
        values = [graph.constant(name) for name in node.input[1:5]]
        if any(value is None for value in values):
            return None
        gamma, beta, mean, variance = (np.asarray(value, np.float64) for value in values)
        scale = gamma / np.sqrt(variance + attributes_of(node).get("epsilon", 1e-5))
        return scale, beta - mean * scale
    by_channel = _by_channel(graph, node) if node.op_type in ("Add", "Mul") else None
    if by_channel is None:
        return None
    if node.op_type == "Add":
        return np.ones(len(by_channel)), by_channel
    return by_channel, np.zeros(len(by_channel))


def _by_channel(graph: GraphReader, node: onnx.NodeProto) -> Array | None:
    """Return the weight of a node of two inputs, one value a channel; None for another shape."""
    weights = [graph.constant(name) for name in node.input]
    weight = weights[0] if weights[1] is None else weights[1]
    shape = graph.shape(node.output[0])
    if weight is None or not shape or weight.ndim > len(shape) + 1:
        return None
    # Its length must lie on the channel axis, and all others be 1.
    sizes = (*[1] * (len(shape) + 1 - weight.ndim), *weight.shape)
    if sizes[0] != 1 or sizes[1] not in (1, shape[0]) or set(sizes[2:]) != {1}:
        return None
    return np.broadcast_to(weight.astype(np.float64).reshape(-1), shape[0])
