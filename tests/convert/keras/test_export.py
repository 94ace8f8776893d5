"""The last sigmoid of an exported network, operator by operator."""

import numpy as np
import onnx
import pytest

from convert.keras.export import with_exact_sigmoid
from tests.support.onnx_unets import OnnxUNet, run_onnx


def network(*operators: str) -> onnx.ModelProto:
    """Operators in a row on (batch, 4, 4, 1)."""
    made, x = OnnxUNet(shape=(4, 4)), "image"
    for operator in operators[:-1]:
        x = made.add(operator, x)
    made.add(operators[-1], x, out="probability")
    return made.model()


@pytest.mark.parametrize("operators", [("Sigmoid",), ("Relu", "Sigmoid"), ("Sigmoid", "Identity")])
def test_small_probabilities_are_right_to_six_digits(operators: tuple[str, ...]) -> None:
    logits = np.linspace(-60, 60, 16, dtype=np.float32).reshape(1, 4, 4, 1)
    model = with_exact_sigmoid(network(*operators))
    onnx.checker.check_model(model, full_check=True)
    given = np.maximum(logits, 0) if "Relu" in operators else logits
    expected = 1 / (1 + np.exp(-given.astype(np.float64)))
    np.testing.assert_allclose(run_onnx(model, logits), expected, rtol=1e-6)


def test_extreme_logits_give_zero_and_one_not_nan() -> None:
    logits = np.full((1, 4, 4, 1), -1e30, np.float32)
    logits[0, 0] = 1e30
    assert set(np.unique(run_onnx(with_exact_sigmoid(network("Sigmoid")), logits))) == {0.0, 1.0}


def test_only_the_last_sigmoid_is_touched() -> None:
    model = with_exact_sigmoid(network("Sigmoid", "Relu", "Sigmoid"))
    assert [node.op_type for node in model.graph.node][:2] == ["Sigmoid", "Relu"]
    unchanged = network("Sigmoid", "Relu")
    assert with_exact_sigmoid(unchanged) == unchanged
