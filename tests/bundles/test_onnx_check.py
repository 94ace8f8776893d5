"""Networks that are unsafe, or are not what the manifest says, are refused by the right error."""

from collections.abc import Callable

import pytest
from onnx import ModelProto, TensorProto, helper

from rcc_onnx.bundles.manifest import NetworkEntry, TensorEntry
from rcc_onnx.bundles.onnx_validation import check_network, read_onnx
from tests.support.errors import raises_code
from tests.support.tiny_networks import tiny_model

SHAPE = ("batch", 160, 160, 1)
ENTRY = NetworkEntry(
    file="kidney.onnx",
    sha256="ab" * 32,
    opset=17,
    input=TensorEntry("image", SHAPE, "float32"),
    output=TensorEntry("probability", SHAPE, "float32"),
)


def _check(model: ModelProto) -> None:
    check_network(read_onnx(model.SerializeToString()), ENTRY)


def test_tiny_network_is_accepted() -> None:
    _check(tiny_model())


def test_main_domain_by_its_long_name() -> None:
    model = tiny_model()
    model.opset_import[0].domain = "ai.onnx"
    model.graph.node[0].domain = "ai.onnx"
    _check(model)


def test_imported_domain_that_no_node_uses() -> None:
    model = tiny_model()
    model.opset_import.append(helper.make_opsetid("ai.onnx.ml", 2))
    _check(model)


def _external(model: ModelProto) -> None:
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="weights.bin")


def _domain(domain: str) -> Callable[[ModelProto], None]:
    def change(model: ModelProto) -> None:
        model.graph.node[1].domain = domain

    return change


def _function(model: ModelProto) -> None:
    node = helper.make_node("Sigmoid", ["a"], ["b"])
    opsets = [helper.make_opsetid("", 17)]
    model.functions.append(helper.make_function("", "Sigmoid", ["a"], ["b"], [node], opsets))


def _two_opsets(model: ModelProto) -> None:
    model.opset_import.append(helper.make_opsetid("ai.onnx", 13))


def _no_opset(model: ModelProto) -> None:
    del model.opset_import[:]


def _opset_18(model: ModelProto) -> None:
    model.opset_import[0].version = 18


def _input_name(model: ModelProto) -> None:
    model.graph.input[0].name = "other\x1b[31m"


def _second_input(model: ModelProto) -> None:
    model.graph.input.append(helper.make_tensor_value_info("extra", TensorProto.FLOAT, [1]))


def _no_output(model: ModelProto) -> None:
    del model.graph.output[:]


def _output_double(model: ModelProto) -> None:
    model.graph.output[0].type.tensor_type.elem_type = TensorProto.DOUBLE


def _output_shapeless(model: ModelProto) -> None:
    model.graph.output[0].type.tensor_type.ClearField("shape")


def _batch_of_one(model: ModelProto) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1


def _batch_unnamed(model: ModelProto) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[0].Clear()


def _channels_first(model: ModelProto) -> None:
    tensor = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", 1, 160, 160])
    model.graph.input[0].CopyFrom(tensor)


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        (_external, "external-data", "under the hash in manifest.json"),
        (_domain("com.microsoft"), "custom-operator", "'Conv' in domain 'com.microsoft'"),
        (_domain("ai.onnx.ml"), "custom-operator", "ai.onnx.ml"),
        (_domain("ai.onnx.training"), "custom-operator", "ai.onnx.training"),
        (_domain("AI.ONNX"), "custom-operator", "AI.ONNX"),
        (_domain("\x1b[31m"), "custom-operator", r"\\x1b"),
        (_function, "custom-operator", "functions of its own"),
        (_two_opsets, "bundle-network", "opset 17, 13"),
        (_no_opset, "bundle-network", "opset none"),
        (_opset_18, "bundle-network", "opset 18, manifest.json says 17"),
        (_input_name, "bundle-network", r"input is named 'other\\x1b\[31m'"),
        (_second_input, "bundle-network", "2 inputs"),
        (_no_output, "bundle-network", "0 outputs"),
        (_output_double, "bundle-network", "element type 11"),
        (_output_shapeless, "bundle-network", "of unknown shape"),
        (_batch_of_one, "bundle-network", r"input is \[1, 160, 160, 1\]"),
        (_batch_unnamed, "bundle-network", r"input is \[None, 160, 160, 1\]"),
        (_channels_first, "bundle-network", r"\['batch', 1, 160, 160\]"),
    ],
)
def test_refused(change: Callable[[ModelProto], None], code: str, words: str) -> None:
    model = tiny_model()
    change(model)
    with raises_code(code, match=words) as caught:
        _check(model)
    assert str(caught.value).startswith("kidney.onnx: ")
    assert str(caught.value).isprintable()


def test_swapped_networks() -> None:
    with raises_code("bundle-network", match="40, 64, 64, 1"):
        _check(tiny_model("lesion"))
