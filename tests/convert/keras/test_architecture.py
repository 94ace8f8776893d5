"""Descriptions of networks: what is kept of them, and every one that is refused."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from convert import errors
from convert.errors import ConvertError, SwappedFilesError
from convert.keras import architecture, layers
from convert.keras.architecture import (
    Architecture,
    check_declared_sizes,
    check_roles,
    read_architecture,
)
from convert.keras.hdf5 import read_keras_file
from rcc_onnx.bundles.manifest import KIDNEY_SHAPE, ByNetwork
from tests.support.fixtures_convert import TINY_FILES
from tests.support.keras_files import Config, layer_of

Change = Callable[[Config], None]


def tiny_config(network: str = "kidney") -> Config:
    path = TINY_FILES.kidney if network == "kidney" else TINY_FILES.lesion
    config: Config = json.loads(json.dumps(read_keras_file(path).config))
    return config


def read(config: Config, version: tuple[int, int] = (2, 2)) -> Architecture:
    return read_architecture(config, version, "kidney.h5")


def changed(change: Change) -> Config:
    config = tiny_config()
    change(config)
    return config


def option(layer: str, key: str, value: Any) -> Change:
    def change(config: Config) -> None:
        layer_of(config, layer)["config"][key] = value

    return change


def layer_class(layer: str, class_name: str) -> Change:
    def change(config: Config) -> None:
        layer_of(config, layer)["class_name"] = class_name

    return change


def top(key: str, value: Any) -> Change:
    return lambda config: config["config"].__setitem__(key, value)


# --- What is kept --------------------------------------------------------------------------------


def test_a_network_of_keras_2_2_5() -> None:
    found = read(tiny_config())
    assert found.class_name == "Functional"
    assert found.input_shape == KIDNEY_SHAPE
    assert found.layer_count == 12


def test_only_plain_options_are_kept() -> None:
    def objects(value: Any) -> bool:
        if isinstance(value, list):
            return any(objects(item) for item in value)
        return isinstance(value, dict)

    config = changed(
        option("conv2d_1", "kernel_regularizer", {"class_name": "Mine", "config": {"run": "me"}})
    )
    for layer in read(config).config["layers"]:
        assert not any(objects(value) for value in layer["config"].values())
        assert not any(key.endswith("initializer") for key in layer["config"])
    assert "Mine" not in json.dumps(read(config).config)


def test_limits_of_a_relu_layer_as_keras_2_2_writes_them() -> None:
    config = changed(layer_class("activation_1", "ReLU"))
    layer_of(config, "activation_1")["config"] = {
        "name": "activation_1",
        "max_value": {"type": "ndarray", "value": 6.0},
    }
    (found,) = (x for x in read(config).config["layers"] if x["name"] == "activation_1")
    assert found["config"]["max_value"] == 6.0


def test_batch_size_and_open_sizes_give_way_to_the_pipelines() -> None:
    config = changed(option("input_1", "batch_input_shape", [4, None, None, 1]))
    found = read(config)
    assert found.input_shape == (None, None, 1)
    (first, *_) = found.for_input(KIDNEY_SHAPE)["layers"]
    assert first["config"]["batch_input_shape"] == [None, 160, 160, 1]
    # The description itself stays as it was.
    assert found.config["layers"][0]["config"]["batch_input_shape"] == [4, None, None, 1]


def test_channels_first() -> None:
    def change(config: Config) -> None:
        option("conv2d_1", "data_format", "channels_first")(config)
        option("input_1", "batch_input_shape", [None, 1, None, None])(config)

    found = read(changed(change))
    assert found.channels_first
    assert not read(tiny_config()).channels_first
    (first, *_) = found.for_input(KIDNEY_SHAPE)["layers"]
    assert first["config"]["batch_input_shape"] == [None, 1, 160, 160]


@pytest.mark.parametrize("dtype", [None, {"class_name": "Policy", "config": {"name": "float32"}}])
def test_other_ways_to_say_float32(dtype: Any) -> None:
    assert read(changed(option("conv2d_1", "dtype", dtype))).layer_count == 12


def test_an_endpoint_without_outer_list() -> None:
    assert read(changed(top("output_layers", ["conv2d_3", 0, 0]))).layer_count == 12


def test_the_sigmoid_is_found_behind_layers_that_pass_values_on() -> None:
    def change(config: Config) -> None:
        config["config"]["layers"].append(
            {
                "name": "crop",
                "class_name": "Cropping2D",
                "config": {"name": "crop", "cropping": [[0, 0], [0, 0]]},
                "inbound_nodes": [[["conv2d_3", 0, 0, {}]]],
            }
        )
        config["config"]["output_layers"] = [["crop", 0, 0]]

    assert read(changed(change)).layer_count == 13


def test_bilinear_enlargement_of_newer_keras_is_kept() -> None:
    config = changed(option("max_pooling2d_1", "interpolation", "bilinear"))
    assert read(config, (2, 4)).layer_count == 12
    with pytest.raises(ConvertError, match="interpolates differently") as raised:
        read(config, (2, 2))
    assert raised.value.code == "convert-layer"


def sequential(*, bare: bool = False, input_layer: bool = False) -> Config:
    convolution = {
        "class_name": "Conv2D",
        "config": {
            "name": "c",
            "batch_input_shape": [None, 160, 160, 1],
            "filters": 1,
            "kernel_size": [1, 1],
            "activation": "sigmoid",
        },
    }
    start = {
        "class_name": "InputLayer",
        "config": {"name": "i", "batch_input_shape": [None, 160, 160, 1]},
    }
    found = [start, convolution] if input_layer else [convolution]
    inner: Any = found if bare else {"name": "sequential_1", "layers": found}
    return {"class_name": "Sequential", "config": inner}


@pytest.mark.parametrize("bare", [False, True])
@pytest.mark.parametrize("input_layer", [False, True])
def test_a_sequential_network(bare: bool, input_layer: bool) -> None:
    found = read(sequential(bare=bare, input_layer=input_layer))
    assert found.class_name == "Sequential"
    assert found.input_shape == KIDNEY_SHAPE
    shapes = ["batch_input_shape" in x["config"] for x in found.for_input(KIDNEY_SHAPE)["layers"]]
    assert shapes == [True] + [False] * (len(shapes) - 1)


def test_a_sequential_network_whose_shape_is_stated_apart() -> None:
    config = sequential()
    del config["config"]["layers"][0]["config"]["batch_input_shape"]
    config["config"]["build_input_shape"] = [None, 160, 160, 1]
    assert read(config).input_shape == KIDNEY_SHAPE


# --- What is refused -----------------------------------------------------------------------------


def _lambda(config: Config) -> None:
    layer = layer_of(config, "activation_1")
    layer["class_name"] = "Lambda"
    layer["config"] = {"name": "activation_1", "function": ["4wEAAAA=", None, None]}


def _nested(config: Config) -> None:
    layer = layer_of(config, "activation_1")
    layer["class_name"] = "Model"
    layer["config"] = tiny_config()["config"]


def _second_input(config: Config) -> None:
    extra = json.loads(json.dumps(layer_of(config, "input_1")))
    extra["name"] = extra["config"]["name"] = "input_9"
    config["config"]["layers"].append(extra)
    config["config"]["input_layers"].append(["input_9", 0, 0])


def _unlisted_input(config: Config) -> None:
    _second_input(config)
    config["config"]["input_layers"].pop()


def _inbound(layer: str, nodes: Any) -> Change:
    return lambda config: layer_of(config, layer).__setitem__("inbound_nodes", nodes)


def _same_name(config: Config) -> None:
    layer_of(config, "activation_2")["name"] = "activation_1"


def _no_layer_config(config: Config) -> None:
    del layer_of(config, "activation_1")["config"]


def _dense_lambda(config: Config) -> None:
    option("conv2d_1", "activation", "my_swish")(config)


REFUSED: dict[str, tuple[Change, str, str]] = {
    "Lambda": (_lambda, "convert-lambda", "activation_1"),
    "operation as layer": (
        layer_class("activation_1", "TFOpLambda"),
        "convert-lambda",
        "activation_1",
    ),
    "nested": (_nested, "convert-nested", "activation_1"),
    "nested Sequential": (
        layer_class("activation_1", "Sequential"),
        "convert-nested",
        "inside the network",
    ),
    "custom layer": (layer_class("activation_1", "MyLayer"), "convert-layer", "MyLayer"),
    "wrapper": (layer_class("activation_1", "TimeDistributed"), "convert-layer", "TimeDistributed"),
    "custom activation": (_dense_lambda, "convert-layer", "my_swish"),
    "activation as object": (
        option("conv2d_1", "activation", {"class_name": "X", "config": {}}),
        "convert-layer",
        "object",
    ),
    "call arguments": (
        _inbound("dropout_1", [[["activation_2", 0, 0, {"training": True}]]]),
        "convert-layer",
        "arguments",
    ),
    "sparse input": (option("input_1", "sparse", True), "convert-layer", "sparse"),
    "two inputs": (_second_input, "convert-endpoints", "inputs"),
    "unlisted input": (_unlisted_input, "convert-endpoints", "2 input layers"),
    "two outputs": (
        top("output_layers", [["conv2d_3", 0, 0], ["conv2d_2", 0, 0]]),
        "convert-endpoints",
        "2 outputs",
    ),
    "no output": (top("output_layers", []), "convert-endpoints", "0 outputs"),
    "odd output": (top("output_layers", "conv2d_3"), "convert-architecture", "output_layers"),
    "odd output entry": (
        top("output_layers", [[0, 0, "conv2d_3"]]),
        "convert-architecture",
        "output_layers",
    ),
    "linear output": (
        option("conv2d_3", "activation", "linear"),
        "convert-activation",
        "linear",
    ),
    "softmax output": (
        option("conv2d_3", "activation", "softmax"),
        "convert-activation",
        "softmax",
    ),
    "output of a pooling layer": (
        top("output_layers", [["max_pooling2d_1", 0, 0]]),
        "convert-activation",
        "MaxPooling2D",
    ),
    "half precision": (option("conv2d_1", "dtype", "float16"), "convert-dtype", "float16"),
    "double precision input": (option("input_1", "dtype", "float64"), "convert-dtype", "float64"),
    "mixed precision": (
        option("conv2d_1", "dtype", {"class_name": "Policy", "config": {"name": "mixed_float16"}}),
        "convert-dtype",
        "mixed_float16",
    ),
    "huge width": (option("conv2d_1", "filters", 10**9), "convert-too-large", "filters"),
    "circle": (
        _inbound("conv2d_1", [[["concatenate_1", 0, 0, {}]]]),
        "convert-architecture",
        "not connected",
    ),
    "missing layer": (
        _inbound("conv2d_1", [[["nowhere", 0, 0, {}]]]),
        "convert-architecture",
        "not connected",
    ),
    "missing call": (
        _inbound("conv2d_2", [[["conv2d_1", 7, 0, {}]]]),
        "convert-architecture",
        "not connected",
    ),
    "no source": (_inbound("conv2d_1", [[]]), "convert-architecture", "connections"),
    "connections of Keras 3": (
        _inbound("conv2d_1", [{"args": [], "kwargs": {}}]),
        "convert-architecture",
        "connections",
    ),
    "connections are text": (_inbound("conv2d_1", "x"), "convert-architecture", "connections"),
    "source is text": (_inbound("conv2d_1", [["x"]]), "convert-architecture", "connections"),
    "odd source": (_inbound("conv2d_1", [[[0, "x", 0]]]), "convert-architecture", "connections"),
    "one name twice": (_same_name, "convert-architecture", "same name"),
    "layer without description": (_no_layer_config, "convert-architecture", "no description"),
    "no layers": (top("layers", []), "convert-architecture", "without layers"),
    "layers are text": (top("layers", ["x"]), "convert-architecture", "no description"),
    "not a network": (
        lambda config: config.__setitem__("class_name", "Dense"),
        "convert-architecture",
        "Dense",
    ),
    "no input shape": (
        option("input_1", "batch_input_shape", None),
        "convert-shape",
        "does not state",
    ),
    "odd input shape": (
        option("input_1", "batch_input_shape", [None, "a", -1]),
        "convert-shape",
        "states an input",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case: str) -> None:
    change, code, said = REFUSED[case]
    with pytest.raises(ConvertError, match=said) as raised:
        read(changed(change))
    assert raised.value.code == code
    assert "kidney.h5" in str(raised.value)


def test_inputs_in_the_middle_of_a_sequence() -> None:
    config = sequential(input_layer=True)
    config["config"]["layers"].reverse()
    with pytest.raises(ConvertError) as raised:
        read(config)
    assert raised.value.code == "convert-endpoints"


def test_too_many_layers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(architecture, "MAX_LAYERS", 11)
    with pytest.raises(ConvertError, match="12 layers") as raised:
        read(tiny_config())
    assert raised.value.code == "convert-too-large"


def test_the_document_lists_every_layer() -> None:
    text = (Path(__file__).parents[3] / "docs" / "converting.md").read_text(encoding="utf-8")
    for name in (layers.LAYERS - {"InputLayer"}) | layers.ACTIVATIONS:
        assert f"`{name}`" in text, name


def test_the_document_lists_every_code() -> None:
    text = (Path(__file__).parents[3] / "docs" / "converting.md").read_text(encoding="utf-8")
    codes = {
        kind.code
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, ConvertError) and kind is not ConvertError
    }
    assert len(codes) > 20
    for code in codes:
        assert f"`{code}`" in text, code


# --- The place in the pipeline -------------------------------------------------------------------


def with_input(*shape: int | None) -> Architecture:
    return Architecture("Functional", {"layers": []}, shape)


KIDNEY, LESION = with_input(160, 160, 1), with_input(40, 64, 64, 1)
NAMES = ByNetwork("a.h5", "b.h5")


@pytest.mark.parametrize(
    "pair",
    [
        (KIDNEY, LESION),
        (with_input(None, None, 1), with_input(None, 64, None, 1)),
        (with_input(1, 160, 160), with_input(1, 40, 64, 64)),
        (with_input(1, None, None), with_input(1, None, None, None)),
    ],
)
def test_networks_in_their_place(pair: tuple[Architecture, Architecture]) -> None:
    check_roles(ByNetwork(*pair), NAMES)


@pytest.mark.parametrize(
    "pair",
    [
        (LESION, KIDNEY),
        (KIDNEY, KIDNEY),
        (LESION, LESION),
        (with_input(80, 80, 1), KIDNEY),
        (with_input(1, 40, 64, 64), with_input(1, 160, 160)),
    ],
)
def test_swapped_files(pair: tuple[Architecture, Architecture]) -> None:
    with pytest.raises(SwappedFilesError, match="swap the two arguments") as raised:
        check_roles(ByNetwork(*pair), NAMES)
    assert raised.value.code == "convert-swapped"


@pytest.mark.parametrize(
    ("pair", "code", "said"),
    [
        ((with_input(128, 128, 1), LESION), "convert-shape", r"a\.h5 takes.*first"),
        ((with_input(160, 160, 3), LESION), "convert-shape", r"a\.h5 takes"),
        ((with_input(160, 160), LESION), "convert-shape", r"a\.h5 takes"),
        ((KIDNEY, with_input(32, 64, 64, 1)), "convert-shape", r"b\.h5 takes.*second"),
        ((with_input(3, 160, 160), LESION), "convert-shape", r"a\.h5 takes"),
    ],
)
def test_other_shapes(pair: tuple[Architecture, Architecture], code: str, said: str) -> None:
    with pytest.raises(ConvertError, match=said) as raised:
        check_roles(ByNetwork(*pair), NAMES)
    assert raised.value.code == code


def test_sizes_of_layers_and_of_their_weights() -> None:
    file = read_keras_file(TINY_FILES.kidney)
    found = read(tiny_config())
    check_declared_sizes(found, file.weights, "kidney.h5")
    wide = read(changed(option("conv2d_1", "filters", 60_000)))
    with pytest.raises(ConvertError, match="540000 weights") as raised:
        check_declared_sizes(wide, file.weights, "kidney.h5")
    assert raised.value.code == "convert-weights"
    with pytest.raises(ConvertError, match="conv2d_1"):
        check_declared_sizes(found, {}, "kidney.h5")
