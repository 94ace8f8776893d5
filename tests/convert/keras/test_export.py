import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from convert.keras.export import with_exact_sigmoid
from convert.keras.verification import ConvertedNetwork, open_converted
from rcc_onnx.bundles.manifest import NetworkEntry, TensorEntry


def network(*operators: str) -> onnx.ModelProto:
    """Operators in a row on (batch, 4, 4, 1)."""
    names = ["image", *(f"t{index}" for index in range(len(operators) - 1)), "probability"]
    nodes = [
        helper.make_node(operator, [names[index]], [names[index + 1]])
        for index, operator in enumerate(operators)
    ]
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 4, 4, 1])
        for name in ("image", "probability")
    ]
    graph = helper.make_graph(nodes, "test", [ends[0]], [ends[1]])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def session(model: onnx.ModelProto) -> ConvertedNetwork:
    ends = [TensorEntry(name, ("batch", 4, 4, 1), "float32") for name in ("image", "probability")]
    entry = NetworkEntry("test.onnx", "0" * 64, 17, *ends)
    return open_converted("test", model.SerializeToString(), entry)


@pytest.mark.parametrize("operators", [("Sigmoid",), ("Relu", "Sigmoid"), ("Sigmoid", "Identity")])
def test_small_probabilities_are_right_to_six_digits(operators: tuple[str, ...]) -> None:
    logits = np.linspace(-60, 60, 16, dtype=np.float32).reshape(1, 4, 4, 1)
    model = with_exact_sigmoid(network(*operators))
    onnx.checker.check_model(model, full_check=True)
    answer = session(model).predict(logits)
    seen = np.maximum(logits, 0) if "Relu" in operators else logits
    np.testing.assert_allclose(answer, 1 / (1 + np.exp(-seen.astype(np.float64))), rtol=1e-6)


def test_extreme_logits_give_zero_and_one_not_nan() -> None:
    logits = np.full((1, 4, 4, 1), -1e30, np.float32)
    logits[0, 0] = 1e30
    answer = session(with_exact_sigmoid(network("Sigmoid"))).predict(logits)
    assert set(np.unique(answer)) == {0.0, 1.0}


def test_only_the_last_sigmoid_is_touched() -> None:
    model = with_exact_sigmoid(network("Sigmoid", "Relu", "Sigmoid"))
    assert [node.op_type for node in model.graph.node][:2] == ["Sigmoid", "Relu"]
    unchanged = network("Sigmoid", "Relu")
    assert with_exact_sigmoid(unchanged) == unchanged
