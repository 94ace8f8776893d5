"""Equal graphs get equal bytes, whatever they are called and however they are ordered."""

import numpy as np
import onnx
import onnx.reference
from onnx import TensorProto, helper, numpy_helper

from convert.optimize.canonicalize import canonicalize


def graph(prefix: str, order: int, counter: int) -> onnx.ModelProto:
    """y = relu(a * x) + b * x, with names, order of weights and left-overs that vary."""
    x, y = f"{prefix}x", f"{prefix}y"
    names = [f"{prefix}{part}__{counter}" for part in ("a", "b", "left", "right", "pos")]
    a, b, left, right, pos = names
    nodes = [
        helper.make_node("Mul", [x, a], [left], name=f"network/one/mul__{counter}"),
        helper.make_node("Mul", [x, b], [right], name=f"network/two/mul__{counter + 1}"),
        helper.make_node("Relu", [left], [pos], name=f"network/act/Relu__{counter}"),
        helper.make_node("Add", [pos, right], [y], name="", doc_string=prefix),
    ]
    if order:
        nodes = [nodes[1], nodes[0], nodes[2], nodes[3]]
    nodes.insert(1, helper.make_node("Neg", [x], [f"{prefix}unused"], name="unused"))
    weights = [
        numpy_helper.from_array(np.full((1,), value, np.float32), name)
        for name, value in ((a, 2.0), (b, 3.0), (f"{prefix}spare", 4.0))
    ]
    return helper.make_model(
        helper.make_graph(
            nodes,
            f"made by {prefix}",
            [helper.make_tensor_value_info(x, TensorProto.FLOAT, ["n"])],
            [helper.make_tensor_value_info(y, TensorProto.FLOAT, ["n"])],
            weights[::-1] if order else weights,
        ),
        opset_imports=[helper.make_opsetid("ai.onnx.ml", 2), helper.make_opsetid("", 17)],
        ir_version=8,
        producer_name=prefix,
    )


def test_equal_graphs_give_equal_bytes() -> None:
    models = (graph("p", 0, 1), graph("other/", 1, 400))
    canonical = (canonicalize(model, "image", "probability") for model in models)
    first, second = (model.SerializeToString(deterministic=True) for model in canonical)
    assert first == second


def test_names_order_and_results_are_kept() -> None:
    found = canonicalize(graph("p", 1, 7), "image", "probability")
    assert [node.op_type for node in found.graph.node] == ["Mul", "Relu", "Mul", "Add"]
    assert [node.name for node in found.graph.node] == ["one/mul", "act/Relu", "two/mul", "Add"]
    assert [weight.name for weight in found.graph.initializer] == ["one/mul/1", "two/mul/1"]
    assert found.graph.input[0].name == "image"
    assert found.graph.output[0].name == "probability"
    assert [entry.domain for entry in found.opset_import] == [""]
    assert b"__" not in found.SerializeToString()
    x = np.array([-1.0, 2.0], np.float32)
    (y,) = onnx.reference.ReferenceEvaluator(found).run(None, {"image": x})
    assert y.tolist() == [-3.0, 10.0]


def test_equal_names_are_numbered() -> None:
    model = graph("p", 0, 1)
    for node in model.graph.node:
        node.name = "network/same"
    names = [node.name for node in canonicalize(model, "image", "probability").graph.node]
    assert names == ["same", "same_2", "same_3", "same_4"]
