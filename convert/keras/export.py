"""From a Keras network to an ONNX file that any runtime of the engine can load."""

from typing import Any

import onnx

from convert.errors import ExportError
from convert.keras.frameworks import Frameworks, third_party
from convert.keras.network import KerasNetwork
from convert.keras.sigmoid import with_exact_sigmoid
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


def export_network(network: KerasNetwork, frameworks: Frameworks) -> onnx.ModelProto:
    """Convert `network` to ONNX: one float32 input and output of (batch, *shape), channels last.

    The same network gives the same bytes each time. Weights lie in the file itself.

    Raises ExportError if tf2onnx cannot express a layer in ONNX's own operators, or if the result
    is no valid ONNX file.
    """
    model = _trace(network, frameworks)
    _check_operators(model)
    model = canonicalize(with_exact_sigmoid(model), INPUT_NAME, OUTPUT_NAME)
    _modernise_enlargements(model)
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
        raise ExportError("tf2onnx gave no ONNX model")
    return model


def _check_operators(model: onnx.ModelProto) -> None:
    foreign = sorted(
        {node.op_type for node in model.graph.node if node.domain not in ("", "ai.onnx")}
    )
    if foreign:
        raise ExportError(f"the network needs operators that are not ONNX's own: {foreign}")
    if len(model.graph.input) != 1 or len(model.graph.output) != 1:
        raise ExportError("the converted network has not exactly one input and one output")


def _modernise_enlargements(model: onnx.ModelProto) -> None:
    """State nearest-neighbour enlargement in the terms of the operator set.

    tf2onnx writes a mode that left the standard with operator set 13. For whole factors, which
    are all that UpSampling has, output pixel i is input pixel floor(i / factor) in both.
    """
    for node in model.graph.node:
        for attribute in node.attribute if node.op_type == "Resize" else ():
            if attribute.s == b"tf_half_pixel_for_nn":
                attribute.s = b"asymmetric"


def _state_shapes(model: onnx.ModelProto, shape: tuple[int, ...]) -> None:
    """Name the batch dimension and fix all others, at both ends."""
    for value in (model.graph.input[0], model.graph.output[0]):
        tensor = value.type.tensor_type
        tensor.elem_type = onnx.TensorProto.FLOAT
        del tensor.shape.dim[:]
        tensor.shape.dim.add().dim_param = BATCH
        for size in shape:
            tensor.shape.dim.add().dim_value = size


def _checked(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with all inner shapes inferred, as the shapes at its ends demand."""
    try:
        inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
        onnx.checker.check_model(inferred, full_check=True)
    except (
        onnx.checker.ValidationError,
        onnx.shape_inference.InferenceError,
        ValueError,
    ) as problem:
        raise ExportError(
            f"the converted network is no valid ONNX: {one_line(str(problem))}"
        ) from problem
    if inferred.ByteSize() > _MAX_PROTOBUF_BYTES:
        raise ExportError("the converted network does not fit into one file of 2 GiB")
    return inferred
