"""Networks in float16: what is in which type (see also test_rewriter)."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto

from convert.errors import QuantizeError
from convert.optimize.float16 import to_float16
from tests.support.onnx_unets import OnnxUNet, run_onnx


def types_of(model: onnx.ModelProto) -> dict[str, int]:
    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
    return {
        value.name: value.type.tensor_type.elem_type
        for value in (*inferred.graph.value_info, *inferred.graph.input, *inferred.graph.output)
    }


@pytest.mark.parametrize("options", [{}, {"normalised": "after"}, {"up": "resize"}])
def test_convolutions_are_in_float16_and_what_follows_in_float32(options: dict[str, str]) -> None:
    plain = OnnxUNet(**options).build()  # type: ignore[arg-type]
    half = to_float16(plain)
    types = types_of(half)
    convolutions = [node for node in half.graph.node if "Conv" in node.op_type]
    assert convolutions
    assert {types[node.output[0]] for node in convolutions} == {TensorProto.FLOAT16}
    (sigmoid,) = (node for node in half.graph.node if node.op_type == "Sigmoid")
    assert types[sigmoid.output[0]] == TensorProto.FLOAT
    assert half.ByteSize() < 0.75 * plain.ByteSize()


def test_the_emulation_rounds_between_steps() -> None:
    """1 + 3e-4 is 1 in float16, so that nothing is left when 1 is taken away."""
    plain = chain(3e-4)
    emulated = to_float16(plain, emulated=True)
    ones = np.ones((1, 2, 2, 1), np.float32)
    assert run_onnx(plain, ones).max() == pytest.approx(3e-4, rel=1e-3)
    assert run_onnx(emulated, ones).max() == 0
    half = types_of(to_float16(plain))
    assert half["Conv1/Conv_1"] == TensorProto.FLOAT16
    assert {weight.data_type for weight in emulated.graph.initializer} <= {
        TensorProto.FLOAT,
        TensorProto.INT64,
    }


def test_a_weight_that_is_too_large_for_float16_is_refused() -> None:
    with pytest.raises(QuantizeError, match="weight of 7e\\+04 is too large"):
        to_float16(chain(7e4))


def chain(shift: float) -> onnx.ModelProto:
    """Two 1x1 convolutions: one adds `shift`, the other takes 1 away."""
    network = OnnxUNet(shape=(2, 2))
    kernel = network.keep(np.ones((1, 1, 1, 1), np.float32))
    x = network.add("Reshape", "image", network.whole([-1, 1, 2, 2]))
    x = network.add("Conv", x, kernel, network.keep(np.array([shift], np.float32)))
    x = network.add("Conv", network.add("Relu", x), kernel, network.keep(-np.ones(1, np.float32)))
    network.add("Reshape", x, network.whole([-1, 2, 2, 1]), out="probability")
    return network.model()
