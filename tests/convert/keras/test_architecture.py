"""Descriptions of networks: what is kept of them, and every one that is refused."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from convert.errors import ConvertError
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


def tiny_config() -> Config:
    return dict(read_keras_file(TINY_FILES.kidney).config)


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


def becomes(class_name: str, **options: Any) -> Change:
    return lambda config: layer_of(config, "activation_1").update(
        class_name=class_name, config={"name": "activation_1", **options}
    )


def top(key: str, value: Any) -> Change:
    return lambda config: config["config"].__setitem__(key, value)


# --- What is kept --------------------------------------------------------------------------------


def test_a_network_of_keras_2_2_5() -> None:
    found = read(tiny_config())
    assert found.class_name == "Functional"
    assert found.input_shape == KIDNEY_SHAPE
    assert len(found.config["layers"]) == 12


def test_only_plain_options_are_kept() -> None:
    def objects(value: Any) -> bool:
        if isinstance(value, list):
            return any(objects(item) for item in value)
        return isinstance(value, dict)

    config = changed(
        option("conv2d_1", "kernel_regularizer", {"class_name": "Mine", "config": {"run": "me"}})
    )
    option("conv2d_1", "kernel_initializer", "Mine")(config)
    for layer in read(config).config["layers"]:
        assert not any(objects(value) for value in layer["config"].values())
        assert not any(key.endswith("initializer") for key in layer["config"])
    assert "Mine" not in json.dumps(read(config).config)


def test_limits_of_a_relu_layer_as_keras_2_2_writes_them() -> None:
    config = changed(becomes("ReLU", max_value={"type": "ndarray", "value": 6.0}))
    assert layer_of({"config": read(config).config}, "activation_1")["config"]["max_value"] == 6.0


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


def _crop_at_the_end(config: Config) -> None:
    config["config"]["layers"].append(
        {
            "name": "crop",
            "class_name": "Cropping2D",
            "config": {"name": "crop", "cropping": [[0, 0], [0, 0]]},
            "inbound_nodes": [[["conv2d_3", 0, 0, {}]]],
        }
    )
    config["config"]["output_layers"] = [["crop", 0, 0]]


@pytest.mark.parametrize(
    "change",
    [
        option("conv2d_1", "dtype", None),
        option("conv2d_1", "dtype", {"class_name": "Policy", "config": {"name": "float32"}}),
        top("output_layers", ["conv2d_3", 0, 0]),
        # The sigmoid is found behind layers that pass values on.
        _crop_at_the_end,
    ],
)
def test_other_ways_to_write_the_same(change: Change) -> None:
    config = changed(change)
    assert len(read(config).config["layers"]) == len(config["config"]["layers"])


def test_bilinear_upsampling_of_newer_keras_is_kept() -> None:
    config = changed(option("max_pooling2d_1", "interpolation", "bilinear"))
    assert len(read(config, (2, 4)).config["layers"]) == 12
    with pytest.raises(ConvertError, match="interpolates differently") as raised:
        read(config, (2, 2))
    assert raised.value.code == "convert-layer"


def sequential(*, bare: bool = False, input_layer: bool = False) -> Config:
    shape = {"batch_input_shape": [None, 160, 160, 1]}
    options = {"name": "c", "filters": 1, "kernel_size": [1, 1], "activation": "sigmoid"}
    found = [{"class_name": "Conv2D", "config": options | shape}]
    if input_layer:
        found.insert(0, {"class_name": "InputLayer", "config": {"name": "i"} | shape})
    inner: Any = found if bare else {"name": "sequential_1", "layers": found}
    return {"class_name": "Sequential", "config": inner}


@pytest.mark.parametrize("bare", [False, True])
@pytest.mark.parametrize("input_layer", [False, True])
def test_a_sequential_network(bare: bool, input_layer: bool) -> None:
    found = read(sequential(bare=bare, input_layer=input_layer))
    assert found.class_name == "Sequential"
    assert found.input_shape == KIDNEY_SHAPE
    described = found.for_input(KIDNEY_SHAPE)["layers"]
    shapes = ["batch_input_shape" in layer["config"] for layer in described]
    assert shapes == [True] + [False] * (len(shapes) - 1)


def test_a_sequential_network_whose_shape_is_stated_apart() -> None:
    config = sequential()
    del config["config"]["layers"][0]["config"]["batch_input_shape"]
    config["config"]["build_input_shape"] = [None, 160, 160, 1]
    assert read(config).input_shape == KIDNEY_SHAPE


# --- What is refused -----------------------------------------------------------------------------


def _second_input(config: Config) -> None:
    extra = json.loads(json.dumps(layer_of(config, "input_1")))
    extra["name"] = extra["config"]["name"] = "input_9"
    config["config"]["layers"].append(extra)
    config["config"]["input_layers"].append(["input_9", 0, 0])


def _unlisted_input(config: Config) -> None:
    _second_input(config)
    config["config"]["input_layers"].pop()


def inbound(layer: str, nodes: Any) -> Change:
    return lambda config: layer_of(config, layer).__setitem__("inbound_nodes", nodes)


def _same_name(config: Config) -> None:
    layer_of(config, "activation_2")["name"] = "activation_1"


def _no_layer_config(config: Config) -> None:
    del layer_of(config, "activation_1")["config"]


REFUSED: dict[str, list[tuple[Change, str]]] = {
    "convert-lambda": [
        (becomes("Lambda", function=["4wEAAAA=", None, None]), "activation_1"),
        (becomes("TFOpLambda"), "activation_1"),
    ],
    "convert-nested": [
        (becomes("Model", layers=tiny_config()["config"]["layers"]), "activation_1"),
        (becomes("Sequential"), "inside the network"),
    ],
    "convert-layer": [
        (becomes("MyLayer"), "MyLayer"),
        (becomes("TimeDistributed"), "TimeDistributed"),
        (option("conv2d_1", "activation", "my_swish"), "my_swish"),
        (option("conv2d_1", "activation", {"class_name": "X", "config": {}}), "object"),
        (inbound("dropout_1", [[["activation_2", 0, 0, {"training": True}]]]), "arguments"),
        (option("input_1", "sparse", True), "sparse"),
    ],
    "convert-endpoints": [
        (_second_input, "inputs"),
        (_unlisted_input, "2 input layers"),
        (top("output_layers", [["conv2d_3", 0, 0], ["conv2d_2", 0, 0]]), "2 outputs"),
        (top("output_layers", []), "0 outputs"),
    ],
    "convert-architecture": [
        (top("output_layers", "conv2d_3"), "output_layers"),
        (top("output_layers", [[0, 0, "conv2d_3"]]), "output_layers"),
        (inbound("conv2d_1", [[["concatenate_1", 0, 0, {}]]]), "not connected"),
        (inbound("conv2d_1", [[["nowhere", 0, 0, {}]]]), "not connected"),
        (inbound("conv2d_2", [[["conv2d_1", 7, 0, {}]]]), "not connected"),
        (inbound("conv2d_1", [[]]), "connections"),
        (inbound("conv2d_1", [{"args": [], "kwargs": {}}]), "connections"),
        (inbound("conv2d_1", "x"), "connections"),
        (inbound("conv2d_1", [["x"]]), "connections"),
        (inbound("conv2d_1", [[[0, "x", 0]]]), "connections"),
        (_same_name, "same name"),
        (_no_layer_config, "no description"),
        (top("layers", []), "without layers"),
        (top("layers", ["x"]), "no description"),
        (lambda config: config.__setitem__("class_name", "Dense"), "Dense"),
    ],
    "convert-activation": [
        (option("conv2d_3", "activation", "linear"), "linear"),
        (option("conv2d_3", "activation", "softmax"), "softmax"),
        (top("output_layers", [["max_pooling2d_1", 0, 0]]), "MaxPooling2D"),
    ],
    "convert-dtype": [
        (option("conv2d_1", "dtype", "float16"), "float16"),
        (option("input_1", "dtype", "float64"), "float64"),
        (option("conv2d_1", "dtype", {"config": {"name": "mixed_float16"}}), "mixed_float16"),
    ],
    "convert-too-large": [
        (option("conv2d_1", "filters", 10**9), "filters"),
    ],
    "convert-shape": [
        (option("input_1", "batch_input_shape", None), "does not state"),
        (option("input_1", "batch_input_shape", [None, "a", -1]), "states an input"),
    ],
}
CASES = [(code, *case) for code, cases in REFUSED.items() for case in cases]


@pytest.mark.parametrize(("code", "change", "text"), CASES)
def test_refused(code: str, change: Change, text: str) -> None:
    with pytest.raises(ConvertError, match=text) as raised:
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


# --- The place in the pipeline -------------------------------------------------------------------


def inputs(*shape: int | None) -> Architecture:
    return Architecture("Functional", {"layers": []}, shape)


KIDNEY, LESION = inputs(160, 160, 1), inputs(40, 64, 64, 1)
NAMES = ByNetwork("a.h5", "b.h5")


@pytest.mark.parametrize(
    "pair",
    [
        (KIDNEY, LESION),
        (inputs(None, None, 1), inputs(None, 64, None, 1)),
        (inputs(1, 160, 160), inputs(1, 40, 64, 64)),
        (inputs(1, None, None), inputs(1, None, None, None)),
    ],
)
def test_networks_in_their_place(pair: tuple[Architecture, Architecture]) -> None:
    check_roles(ByNetwork(*pair), NAMES)


SWAPPED, SHAPE = "convert-swapped", "convert-shape"


@pytest.mark.parametrize(
    ("kidney", "lesion", "code", "text"),
    [
        (LESION, KIDNEY, SWAPPED, "swap the two arguments"),
        (KIDNEY, KIDNEY, SWAPPED, "swap the two arguments"),
        (LESION, LESION, SWAPPED, "swap the two arguments"),
        (inputs(80, 80, 1), KIDNEY, SWAPPED, "swap the two arguments"),
        (inputs(1, 40, 64, 64), inputs(1, 160, 160), SWAPPED, "swap the two arguments"),
        (inputs(128, 128, 1), LESION, SHAPE, r"a\.h5 takes.*first"),
        (inputs(160, 160, 3), LESION, SHAPE, r"a\.h5 takes"),
        (inputs(160, 160), LESION, SHAPE, r"a\.h5 takes"),
        (KIDNEY, inputs(32, 64, 64, 1), SHAPE, r"b\.h5 takes.*second"),
        (inputs(3, 160, 160), LESION, SHAPE, r"a\.h5 takes"),
    ],
)
def test_networks_out_of_place(
    kidney: Architecture, lesion: Architecture, code: str, text: str
) -> None:
    with pytest.raises(ConvertError, match=text) as raised:
        check_roles(ByNetwork(kidney, lesion), NAMES)
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
