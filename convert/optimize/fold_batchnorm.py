"""Takes what scales and shifts channels into the convolution before it, in double precision."""

from dataclasses import dataclass

import numpy as np
import onnx

from convert.optimize.onnx_graph import Array, GraphReader, attributes_of


@dataclass(frozen=True)
class Folded:
    """A convolution with the normalisations and biases that follow it alone.

    Attributes:
        weights: float64, as the node has them.
        bias: float64 (out,).
        output: the source tensor that it gives.
        covered: the outputs of the source nodes that it stands for.
    """

    weights: Array
    bias: Array
    output: str
    covered: frozenset[str]


def folded(graph: GraphReader, node: onnx.NodeProto) -> Folded | None:
    """A Conv or ConvTranspose of one group; None if weights or bias are not in the file."""
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
    """What a node does to each channel, if it only scales and shifts channels; float64 (channels,).

    Such are normalisation, and adding or multiplying with one weight a channel.
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
    """The weight of a node of two inputs, one value a channel; None if it has another shape."""
    weights = [graph.constant(name) for name in node.input]
    weight = weights[0] if weights[1] is None else weights[1]
    shape = graph.shape(node.output[0])
    if weight is None or not shape or weight.ndim > len(shape) + 1:
        return None
    # A weight a channel has its length on the channel axis, and 1 on the batch and behind.
    own = (*[1] * (len(shape) + 1 - weight.ndim), *weight.shape)
    if own[0] != 1 or own[1] not in (1, shape[0]) or set(own[2:]) != {1}:
        return None
    return np.broadcast_to(weight.astype(np.float64).reshape(-1), shape[0])
