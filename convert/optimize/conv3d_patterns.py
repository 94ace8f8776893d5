"""Recognises the kinds of nodes, of volumes and images, that the rewriting passes know."""

import onnx

from convert.optimize.onnx_graph import Array, GraphReader, attributes_of

# fmt: off
POINTWISE = frozenset((
    "Abs", "Clip", "Elu", "Exp", "HardSigmoid", "Identity", "LeakyRelu", "Neg", "Reciprocal",
    "Relu", "Selu", "Sigmoid", "Softplus", "Softsign", "Tanh",
))
# fmt: on
PAIRWISE = frozenset(("Add", "Div", "Max", "Min", "Mul", "Sub"))


def is_same_convolution(node: onnx.NodeProto, weights: Array) -> bool:
    """Return whether a convolution has an odd kernel, "same" padding, and no step or group."""
    attributes = attributes_of(node)
    lengths = weights.shape[2:]
    same = [length // 2 for length in lengths] * 2
    return (
        all(length % 2 for length in lengths)
        and attributes.get("auto_pad", b"NOTSET") in (b"NOTSET", b"VALID")
        and list(attributes.get("pads", [0] * 6)) == same
        and set(attributes.get("strides", [1])) == {1}
        and set(attributes.get("dilations", [1])) == {1}
        and attributes.get("group", 1) == 1
    )


def is_halving(node: onnx.NodeProto) -> bool:
    """Return whether a pooling takes 2x2x2 voxels (or 2x2 pixels) each time, without overlap."""
    attributes = attributes_of(node)
    return (
        set(attributes["kernel_shape"]) == {2}
        and set(attributes.get("strides", [])) == {2}
        and not any(attributes.get("pads", [0]))
        and set(attributes.get("dilations", [1])) == {1}
        and len(node.output) == 1
    )


def is_doubling(node: onnx.NodeProto, source: tuple[int, ...], target: tuple[int, ...]) -> bool:
    """Return whether an upsampling makes 2x2x2 voxels (or 2x2 pixels) of each one.

    It may do so by weights or by repetition. `source` and `target` are sizes without channels.
    """
    attributes = attributes_of(node)
    if tuple(2 * length for length in source) != target:
        return False
    if node.op_type == "Resize":
        return (
            attributes.get("mode") == b"nearest"
            and attributes.get("coordinate_transformation_mode") == b"asymmetric"
            and attributes.get("nearest_mode") == b"floor"
        )
    return (
        list(attributes["kernel_shape"]) == [2] * len(source)
        and not any(attributes.get("pads", [0]))
        and not any(attributes.get("output_padding", [0]))
        and set(attributes.get("dilations", [1])) == {1}
        and attributes.get("group", 1) == 1
    )


def channel_slope(graph: GraphReader, node: onnx.NodeProto) -> Array | None:
    """Return the slopes of a PReLU on volumes, shaped for images; None if a channel has several."""
    slope = graph.constant(node.input[1])
    channels = graph.shape(node.input[0])[0]
    if slope is None or slope.size not in (1, channels):
        return None
    if slope.size > 1 and (slope.ndim < 4 or slope.shape[-4] != channels):
        return None
    return slope.reshape(-1, 1, 1)
