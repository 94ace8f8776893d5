"""Exports a Keras network to an ONNX file that any runtime of the engine can load."""

from typing import Any

import onnx
from onnx import helper

from convert.errors import ExportError
from convert.keras.frameworks import Frameworks, third_party
from convert.keras.network import KerasNetwork
from convert.optimize.canonicalize import canonicalize
from rcc_onnx.bundles.manifest import BATCH
from rcc_onnx.system.stderr_capture import one_line

OPSET = 17
"""Everything a U-Net needs exists since 13; 17 is what tf2onnx, ONNX Runtime 1.20 with all its
providers (DirectML ends at 20), OpenVINO, TensorRT and Core ML all take, and its IR version 8 is
read by runtimes of 2022 and later."""

INPUT_NAME = "image"
OUTPUT_NAME = "probability"

_MAX_PROTOBUF_BYTES = (1 << 31) - 1
_SHAPE_ONLY = ("Reshape", "Transpose", "Squeeze", "Unsqueeze", "Identity", "Slice", "Pad")
"""Operators that may follow the last sigmoid."""


def export_network(network: KerasNetwork, frameworks: Frameworks) -> onnx.ModelProto:
    """Convert `network` to ONNX: one float32 input and output of (batch, *shape), channels last.

    The same network gives the same bytes each time. Weights lie in the file itself.

    Raises ExportError if tf2onnx cannot express a layer in ONNX's own operators, or if the result
    is not a valid ONNX file.
    """
    model = _trace(network, frameworks)
    _check_operators(model)
    model = canonicalize(with_exact_sigmoid(model), INPUT_NAME, OUTPUT_NAME)
    _modernise_upsampling(model)
    _state_shapes(model, network.shape)
    return _checked(model)


def _trace(network: KerasNetwork, frameworks: Frameworks) -> onnx.ModelProto:
    tf = frameworks.tf
    signature = tf.TensorSpec((None, *network.shape), tf.float32, name=INPUT_NAME)

    def infer(image: Any) -> Any:
        return network.run(image)

    with third_party():
        try:
            model, _ = frameworks.tf2onnx.convert.from_function(
                tf.function(infer, input_signature=[signature]),
                input_signature=[signature],
                opset=OPSET,
            )
        # tf2onnx raises many kinds for what it cannot express.
        except Exception as problem:
            raise ExportError(
                f"tf2onnx cannot convert the network: {one_line(str(problem))}"
            ) from problem
    if not isinstance(model, onnx.ModelProto):
        raise ExportError("tf2onnx returned something else than an ONNX model")
    return model


def with_exact_sigmoid(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a copy whose last sigmoid is written as 1 / (1 + exp(-x)), operator by operator.

    ONNX Runtime's Sigmoid is a rational approximation: fine near 0.5, but off by about 1e-9 near 0,
    where Keras is right to seven digits. The pipeline adds up half a million such probabilities,
    and on a side without a kidney nothing else is left: there the sum was off by 3e-4 of itself.
    Written out, it is off by less than 1e-5. A network that ends otherwise is not changed.
    """
    exact = onnx.ModelProto()
    exact.CopyFrom(model)
    graph = exact.graph
    producers = {output: node for node in graph.node for output in node.output}
    last = producers.get(graph.output[0].name)
    while last is not None and last.op_type in _SHAPE_ONLY:
        last = producers.get(last.input[0])
    if last is None or last.op_type != "Sigmoid":
        return exact
    position = list(graph.node).index(last)
    (source,), (target,) = last.input, last.output
    unit, negative, power, total = (f"{target}/{part}" for part in ("one", "neg", "exp", "sum"))
    graph.initializer.append(helper.make_tensor(unit, onnx.TensorProto.FLOAT, [], [1.0]))
    written_out = [
        helper.make_node("Neg", [source], [negative]),
        helper.make_node("Exp", [negative], [power]),
        helper.make_node("Add", [power, unit], [total]),
        helper.make_node("Reciprocal", [total], [target]),
    ]
    nodes = [*graph.node[:position], *written_out, *graph.node[position + 1 :]]
    del graph.node[:]
    graph.node.extend(nodes)
    return exact


def _check_operators(model: onnx.ModelProto) -> None:
    foreign = sorted(
        {node.op_type for node in model.graph.node if node.domain not in ("", "ai.onnx")}
    )
    if foreign:
        raise ExportError(f"the network needs operators that are not ONNX's own: {foreign}")
    if len(model.graph.input) != 1 or len(model.graph.output) != 1:
        raise ExportError("the converted network has not exactly one input and one output")


def _modernise_upsampling(model: onnx.ModelProto) -> None:
    """State nearest-neighbour upsampling in the terms of the operator set.

    tf2onnx writes a mode that left the standard with operator set 13. For whole factors, which
    are all that UpSampling has, output pixel i is input pixel floor(i / factor) in both.
    """
    for node in model.graph.node:
        for attribute in node.attribute if node.op_type == "Resize" else ():
            if attribute.s == b"tf_half_pixel_for_nn":
                attribute.s = b"asymmetric"


def _state_shapes(model: onnx.ModelProto, shape: tuple[int, ...]) -> None:
    """Name the batch dimension and fix all others, of input and output."""
    for value in (model.graph.input[0], model.graph.output[0]):
        tensor = value.type.tensor_type
        tensor.elem_type = onnx.TensorProto.FLOAT
        del tensor.shape.dim[:]
        tensor.shape.dim.add().dim_param = BATCH
        for size in shape:
            tensor.shape.dim.add().dim_value = size


def _checked(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the model with all inner shapes inferred from those of input and output."""
    try:
        inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
        onnx.checker.check_model(inferred, full_check=True)
    except (
        onnx.checker.ValidationError,
        onnx.shape_inference.InferenceError,
        ValueError,
    ) as problem:
        raise ExportError(
            f"the converted network is not valid ONNX: {one_line(str(problem))}"
        ) from problem
    if inferred.ByteSize() > _MAX_PROTOBUF_BYTES:
        raise ExportError("the converted network does not fit into one file of 2 GiB")
    return inferred
