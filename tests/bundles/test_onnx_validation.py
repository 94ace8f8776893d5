"""ONNX files are read as the onnx package reads them; what is unsafe or unfit is refused."""

import contextlib
import time
from collections.abc import Callable

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import ModelProto, TensorProto, helper

from rcc_onnx.bundles.manifest import NetworkEntry, TensorEntry
from rcc_onnx.bundles.onnx_validation import OnnxSummary, TensorInfo, check_network, read_onnx
from rcc_onnx.errors import OnnxFormatError
from tests.support.errors import raises_code
from tests.support.tiny_networks import tiny_model

TINY = tiny_model().SerializeToString()


def _tag(number: int, wire: int) -> bytes:
    return _number(number << 3 | wire)


def _number(value: int) -> bytes:
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _field(number: int, content: bytes) -> bytes:
    return _tag(number, 2) + _number(len(content)) + content


def _with_subgraph(inner_node: onnx.NodeProto) -> ModelProto:
    """A model whose `If` holds `inner_node` in one branch, itself inside another `If`."""
    output = helper.make_tensor_value_info("o", TensorProto.FLOAT, [1])
    inner = helper.make_graph([inner_node], "inner", [], [output])
    nested = helper.make_node("If", ["c"], ["o"], then_branch=inner, else_branch=inner)
    outer = helper.make_graph([nested], "outer", [], [output])
    node = helper.make_node("If", ["c"], ["o"], then_branch=outer, else_branch=outer)
    condition = helper.make_tensor_value_info("c", TensorProto.BOOL, [])
    return helper.make_model(helper.make_graph([node], "main", [condition], [output]))


def _by_onnx(model: ModelProto) -> OnnxSummary:
    """The same summary, from the onnx package's own reader."""

    def info(value: onnx.ValueInfoProto) -> TensorInfo:
        tensor = value.type.tensor_type
        dims = [getattr(d, d.WhichOneof("value") or "", None) for d in tensor.shape.dim]
        shape = tuple(dims) if tensor.HasField("shape") else None
        return TensorInfo(value.name, tensor.elem_type, shape)

    operators, external = set(), []

    def walk(graph: onnx.GraphProto) -> None:
        for tensor in graph.initializer:
            if tensor.data_location or tensor.external_data:
                external.append(tensor.name)
        for node in graph.node:
            operators.add((node.domain, node.op_type))
            for attribute in node.attribute:
                for inner in (attribute.g, *attribute.graphs):
                    walk(inner)

    walk(model.graph)
    initial = {tensor.name for tensor in model.graph.initializer}
    return OnnxSummary(
        opsets=tuple((opset.domain, opset.version) for opset in model.opset_import),
        operators=frozenset(operators),
        inputs=tuple(info(value) for value in model.graph.input if value.name not in initial),
        outputs=tuple(info(value) for value in model.graph.output),
        functions=tuple((function.domain, function.name) for function in model.functions),
        external=tuple(external),
    )


def _model_with_everything() -> ModelProto:
    model = tiny_model("lesion")
    model.opset_import.append(helper.make_opsetid("ai.onnx.ml", 2))
    model.opset_import.append(helper.make_opsetid("odd", -1))
    model.graph.input.append(
        helper.make_tensor_value_info("free", TensorProto.FLOAT16, [None, "n", -3, 0])
    )
    model.graph.input.append(helper.make_tensor_value_info("shapeless", TensorProto.INT64, None))
    model.graph.input.append(
        helper.make_tensor_value_info("weights", TensorProto.FLOAT, [1, 1, 3, 3, 3])
    )
    return model


@pytest.mark.parametrize(
    "model",
    [
        tiny_model("kidney"),
        tiny_model("lesion", batch=1),
        _with_subgraph(helper.make_node("Secret", [], ["o"], domain="hidden.domain")),
        _model_with_everything(),
    ],
    ids=["kidney", "lesion", "subgraph", "everything"],
)
def test_same_as_the_onnx_package(model: ModelProto) -> None:
    assert read_onnx(model.SerializeToString()) == _by_onnx(model)


def test_summary_of_the_tiny_network() -> None:
    summary = read_onnx(TINY)
    assert summary.opsets == (("", 17),)
    assert summary.inputs == (TensorInfo("image", 1, ("batch", 160, 160, 1)),)
    assert summary.outputs == (TensorInfo("probability", 1, ("batch", 160, 160, 1)),)
    assert summary.operators == {("", "Transpose"), ("", "Conv"), ("", "Sigmoid")}
    assert summary.external == summary.functions == ()


def test_value_that_is_no_tensor() -> None:
    model = tiny_model()
    model.graph.output.append(
        helper.make_tensor_sequence_value_info("many", TensorProto.FLOAT, [1])
    )
    assert read_onnx(model.SerializeToString()).outputs[1] == TensorInfo("many", 0, None)


def _outside(name: str = "weights") -> TensorProto:
    tensor = TensorProto(name=name, data_type=TensorProto.FLOAT, dims=[1])
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="weights.bin")
    return tensor


def _external_models() -> dict[str, ModelProto]:
    models = {}
    models["initializer"] = tiny_model()
    models["initializer"].graph.initializer[0].CopyFrom(_outside())
    models["attribute"] = tiny_model()
    models["attribute"].graph.node.append(
        helper.make_node("Constant", [], ["k"], value=_outside("hidden"))
    )
    sparse = onnx.SparseTensorProto(values=_outside("sparse"), dims=[4])
    models["sparse"] = tiny_model()
    models["sparse"].graph.sparse_initializer.append(sparse)
    models["sparse attribute"] = tiny_model()
    models["sparse attribute"].graph.node.append(
        helper.make_node("Constant", [], ["k"], sparse_value=sparse)
    )
    models["tensors"] = tiny_model()
    node = helper.make_node("Odd", [], ["k"])
    node.attribute.append(helper.make_attribute("many", [_outside("one"), _outside("two")]))
    models["tensors"].graph.node.append(node)
    models["subgraph"] = _with_subgraph(helper.make_node("Constant", [], ["o"], value=_outside()))
    models["training"] = tiny_model()
    models["training"].training_info.add().algorithm.initializer.append(_outside())
    models["function"] = tiny_model()
    constant = helper.make_node("Constant", [], ["k"], value=_outside())
    function = helper.make_function("d", "f", [], ["k"], [constant], [helper.make_opsetid("", 17)])
    models["function"].functions.append(function)
    models["only the key"] = tiny_model()
    models["only the key"].graph.initializer[0].external_data.add(key="location", value="/etc/x")
    models["only the flag"] = tiny_model()
    models["only the flag"].graph.initializer[0].data_location = TensorProto.EXTERNAL
    return models


@pytest.mark.parametrize("where", _external_models())
def test_external_data_is_seen_wherever_it_is(where: str) -> None:
    assert read_onnx(_external_models()[where].SerializeToString()).external


def test_functions_and_their_operators() -> None:
    model = tiny_model()
    body = [helper.make_node("Evil", ["a"], ["b"], domain="hidden.domain")]
    imports = [helper.make_opsetid("", 17), helper.make_opsetid("hidden.domain", 1)]
    model.functions.append(helper.make_function("ai.onnx", "Conv", ["a"], ["b"], body, imports))
    summary = read_onnx(model.SerializeToString())
    assert summary.functions == (("ai.onnx", "Conv"),)
    assert ("hidden.domain", "Evil") in summary.operators


def _read_or_refuse(data: bytes) -> None:
    """Any bytes give a summary or the one error, in no time."""
    start = time.perf_counter()
    with contextlib.suppress(OnnxFormatError):
        assert isinstance(read_onnx(data), OnnxSummary)
    assert time.perf_counter() - start < 2.0


def test_truncated_at_every_length() -> None:
    whole = read_onnx(TINY)
    refused = 0
    for length in range(len(TINY)):
        try:
            # A cut between two fields of the model leaves a model, with less in it.
            assert read_onnx(TINY[:length]) != whole
        except OnnxFormatError:
            refused += 1
    assert refused > len(TINY) * 0.95


def test_every_bit_flipped() -> None:
    for position in range(len(TINY)):
        for bit in range(8):
            changed = bytearray(TINY)
            changed[position] ^= 1 << bit
            _read_or_refuse(bytes(changed))


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200))
def test_garbage(data: bytes) -> None:
    _read_or_refuse(data)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=60), st.integers(0, len(TINY)), st.integers(0, 60))
def test_garbage_inside_a_model(junk: bytes, position: int, replaced: int) -> None:
    _read_or_refuse(TINY[:position] + junk + TINY[position + replaced :])


GRAPH = _field(7, b"")


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "no graph"),
        (b"ORTM" * 10, "."),
        (GRAPH + b"\x80" * 11, "more than 64 bits"),
        (GRAPH + b"\x80", "middle of a number"),
        (GRAPH + _tag(2, 2) + _number(5) + b"abc", "middle of a field"),
        (GRAPH + _tag(2, 2) + _number(2**63), "middle of a field"),
        (GRAPH + _tag(2, 1) + b"abc", "middle of a field"),
        (GRAPH + b"\x00\x00", "numbered 0"),
        (GRAPH + _number(2**40 << 3) + b"\x00", "numbered 1099511627776"),
        (GRAPH + _tag(99, 3) + _tag(99, 4), "wire type 3"),
        (GRAPH + _tag(99, 6), "wire type 6"),
        (GRAPH + GRAPH, "field 7 twice"),
        (_tag(7, 0) + b"\x01", "a number where"),
        (_tag(7, 1) + b"\x00" * 8, "a number where"),
        (GRAPH + _field(8, _tag(2, 1) + b"\x11" + b"\x00" * 7), "no whole number"),
        (GRAPH + _field(8, _field(2, b"\x11")), "no whole number"),
        (_field(7, _field(1, _field(4, b"\xff\xfe"))), "not UTF-8"),
    ],
)
def test_bytes_that_are_not_one_model(data: bytes, problem: str) -> None:
    with pytest.raises(OnnxFormatError, match=problem):
        read_onnx(data)


def test_unknown_fields_are_passed_over() -> None:
    extra = _field(1000, b"whatever") + _tag(1001, 0) + b"\x05" + _tag(1002, 5) + b"1234"
    assert read_onnx(TINY + extra) == read_onnx(TINY)


def test_last_of_two_alternatives_counts_as_in_protobuf() -> None:
    dim = _tag(1, 0) + _number(160) + _field(2, b"batch")
    shape = _field(2, _field(1, dim))
    value = _field(1, b"x") + _field(2, _field(1, _tag(1, 0) + b"\x01" + shape))
    data = _field(7, _field(11, value))
    assert read_onnx(data).inputs == (TensorInfo("x", 1, ("batch",)),)
    assert onnx.load_from_string(data).graph.input[0].type.tensor_type.shape.dim[0].dim_param


def test_ten_thousand_graphs_inside_one_another() -> None:
    graph = _field(1, _field(4, b"Innermost"))
    for _ in range(10_000):
        graph = _field(1, _field(5, _field(6, graph)))
    summary = read_onnx(_field(7, graph))
    assert ("", "Innermost") in summary.operators


def test_time_grows_with_length_only() -> None:
    """Many empty nodes, and a large tensor, each within seconds."""
    start = time.perf_counter()
    read_onnx(_field(7, _field(1, b"") * 200_000))
    large = tiny_model()
    large.graph.initializer[0].raw_data = np.zeros(50_000_000, np.uint8).tobytes()
    read_onnx(large.SerializeToString())
    assert time.perf_counter() - start < 10.0


# --- Against a manifest entry --------------------------------------------------------------------

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
def test_networks_that_are_unsafe_or_not_as_described(
    change: Callable[[ModelProto], None], code: str, words: str
) -> None:
    model = tiny_model()
    change(model)
    with raises_code(code, match=words) as caught:
        _check(model)
    assert str(caught.value).startswith("kidney.onnx: ")
    assert str(caught.value).isprintable()
