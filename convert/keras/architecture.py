"""Checks the description of a network, and makes a copy of it that tf_keras can safely build.

Only layers of `convert.keras.layers` pass. Of their options only plain values are kept, so nothing
that the file names is looked up or run when the network is built.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convert.errors import (
    ArchitectureError,
    EndpointsError,
    MissingWeightsError,
    NetworkShapeError,
    OutputActivationError,
    SwappedFilesError,
    TooLargeError,
)
from convert.keras.layers import (
    MAX_LAYERS,
    NETWORK_CLASSES,
    PASS_VALUES_ON,
    read_layer,
)
from rcc_onnx.bundles.manifest import KIDNEY_SHAPE, LESION_SHAPE, ByNetwork
from rcc_onnx.types import NetworkName

EXPECTED_SHAPES: ByNetwork[tuple[int, ...]] = ByNetwork(KIDNEY_SHAPE, LESION_SHAPE)
_ARGUMENT = ByNetwork("first", "second")
_NETWORK_NAME = "network"
"""TensorFlow uses it only in scope names, so it need not be the file's."""


@dataclass(frozen=True)
class Architecture:
    """A checked description.

    Attributes:
        class_name: "Functional" or "Sequential".
        config: for that class's `from_config`; only known layers and plain values.
        input_shape: of one input, without the batch; None where the file leaves a size open.
    """

    class_name: str
    config: dict[str, Any]
    input_shape: tuple[int | None, ...]

    @property
    def channels_first(self) -> bool:
        """Whether any layer works on (channels, rows, columns)."""
        options = (layer["config"] for layer in self.config["layers"])
        return any(option.get("data_format") == "channels_first" for option in options)

    def for_input(self, shape: tuple[int, ...]) -> dict[str, Any]:
        """Return `config` for any batch size and inputs of `shape`, whatever sizes it left open.

        `shape` has its channel at the end; it is moved for a network that takes it first.
        """
        sizes = shape if _fits(self.input_shape, shape) else with_channel_first(shape)
        layers = [dict(layer, config=dict(layer["config"])) for layer in self.config["layers"]]
        for layer in layers:
            if layer["config"].pop("batch_input_shape", None):
                layer["config"]["batch_input_shape"] = [None, *sizes]
        return dict(self.config, layers=layers)


def with_channel_first(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return (rows, columns, channel) as (channel, rows, columns)."""
    return (shape[-1], *shape[:-1])


def read_architecture(
    config: Mapping[str, Any], keras_version: tuple[int, int], name: str
) -> Architecture:
    """Check `model_config` of the file `name`.

    Raises a leaf of ArchitectureError, which names the layer, or TooLargeError.
    """
    class_name = config.get("class_name")
    inner = config.get("config")
    # Keras before 2.2.3 wrote a Sequential as the bare list of its layers.
    if class_name == "Sequential" and isinstance(inner, list):
        inner = {"layers": inner}
    if class_name not in NETWORK_CLASSES or not isinstance(inner, dict):
        shown = f"{class_name!r:.60}"
        raise ArchitectureError(f"{name} describes a {shown}; a Keras Model or Sequential is read")
    raw_layers = inner.get("layers")
    if not isinstance(raw_layers, list) or not raw_layers:
        raise ArchitectureError(f"{name} describes a network without layers")
    if len(raw_layers) > MAX_LAYERS:
        raise TooLargeError(f"{name} has {len(raw_layers)} layers; at most {MAX_LAYERS} are read")
    layers = [read_layer(raw, keras_version, name) for raw in raw_layers]
    if class_name == "Sequential":
        return _sequential(inner, layers, name)
    return _functional(inner, layers, name)


def check_declared_sizes(
    architecture: Architecture, weights: Mapping[str, Sequence[NDArray[np.float32]]], name: str
) -> None:
    """Check that the weights of each layer are as large as it states, before it is built.

    Raises MissingWeightsError.
    """
    for layer in architecture.config["layers"]:
        options = layer["config"]
        kernel = int(np.prod(options.get("kernel_size", 1), dtype=object))
        width = int(options.get("filters", options.get("units", 1)))
        # A separable convolution keeps the two apart, so only the larger one must fit.
        least = max(kernel, width) if "Separable" in layer["class_name"] else kernel * width
        if least == 1:
            continue
        stored = max((array.size for array in weights.get(layer["name"], ())), default=0)
        if least > stored:
            raise MissingWeightsError(
                f"{name}: layer {layer['name']!r:.80} needs {least} weights or more, and the file "
                f"has {stored} for it"
            )


def check_roles(architectures: ByNetwork[Architecture], names: ByNetwork[str]) -> None:
    """Check that each network takes the inputs that the pipeline has for it.

    Raises SwappedFilesError where one takes the other's inputs, else NetworkShapeError.
    """
    shapes = ByNetwork(architectures.kidney.input_shape, architectures.lesion.input_shape)
    kidney_is_lesion = _takes(shapes.kidney, LESION_SHAPE)
    lesion_is_kidney = _takes(shapes.lesion, KIDNEY_SHAPE)
    if kidney_is_lesion and lesion_is_kidney:
        raise SwappedFilesError(
            f"{names.kidney} is the lesion network and {names.lesion} the kidney network: "
            "swap the two arguments"
        )
    if kidney_is_lesion:
        raise SwappedFilesError(
            f"the first argument, {names.kidney}, is a lesion network; swap the two arguments, "
            "or give the kidney network first"
        )
    if lesion_is_kidney:
        raise SwappedFilesError(
            f"the second argument, {names.lesion}, is a kidney network; swap the two arguments, "
            "or give the lesion network second"
        )
    for role in ("kidney", "lesion"):
        _check_input(shapes[role], role, names[role])


def _fits(shape: tuple[int | None, ...], expected: tuple[int, ...]) -> bool:
    return len(shape) == len(expected) and all(
        size in (None, wanted) for size, wanted in zip(shape, expected, strict=True)
    )


def _takes(shape: tuple[int | None, ...], expected: tuple[int, ...]) -> bool:
    return _fits(shape, expected) or _fits(shape, with_channel_first(expected))


def _check_input(shape: tuple[int | None, ...], role: NetworkName, name: str) -> None:
    expected = EXPECTED_SHAPES[role]
    if _takes(shape, expected):
        return
    raise NetworkShapeError(
        f"{name} takes inputs of shape {shape}; the {role} network ({_ARGUMENT[role]} argument) "
        f"of the pipeline takes {expected}"
    )


# --- The whole network ---------------------------------------------------------------------------


def _sequential(inner: Mapping[str, Any], layers: list[dict[str, Any]], name: str) -> Architecture:
    if any(layer["class_name"] == "InputLayer" for layer in layers[1:]):
        raise EndpointsError(f"{name} has an input among its layers; the pipeline gives one image")
    # Keras states the shape with the first layer, tf.keras with an InputLayer and the first layer.
    stated = [layer["config"].pop("batch_input_shape", None) for layer in layers]
    shape = next((each for each in stated if each), inner.get("build_input_shape"))
    layers[0]["config"]["batch_input_shape"] = shape
    for layer in layers:
        layer.pop("inbound_nodes", None)
    _check_output(_last_of_sequence(layers), name)
    config = {"name": _NETWORK_NAME, "layers": layers}
    return Architecture("Sequential", config, _shape(shape, name))


def _last_of_sequence(layers: list[dict[str, Any]]) -> dict[str, Any] | None:
    deciding = [layer for layer in layers if layer["class_name"] not in PASS_VALUES_ON]
    return deciding[-1] if deciding else None


def _functional(inner: Mapping[str, Any], layers: list[dict[str, Any]], name: str) -> Architecture:
    by_name = {layer["name"]: layer for layer in layers}
    if len(by_name) != len(layers):
        raise ArchitectureError(f"{name} has two layers of the same name")
    source = _endpoint(inner, "input", name)
    inputs = [layer for layer in layers if layer["class_name"] == "InputLayer"]
    if len(inputs) != 1 or inputs[0]["name"] != source[0]:
        raise EndpointsError(f"{name} has {len(inputs)} input layers; the pipeline gives one image")
    for layer in layers:
        if layer is not inputs[0]:
            layer["config"].pop("batch_input_shape", None)
    last = _endpoint(inner, "output", name)
    _check_graph(by_name, name)
    _check_output(_last_of_graph(by_name, last), name)
    config = {
        "name": _NETWORK_NAME,
        "layers": layers,
        "input_layers": [source],
        "output_layers": [last],
    }
    return Architecture(
        "Functional", config, _shape(inputs[0]["config"].get("batch_input_shape"), name)
    )


def _check_graph(by_name: Mapping[str, dict[str, Any]], name: str) -> None:
    """Check that every call of a layer can be computed; tf_keras would search without end."""
    waiting = {
        (layer_name, call): [(source[0], source[1]) for source in sources]
        for layer_name, layer in by_name.items()
        for call, sources in enumerate(_calls(layer))
    }
    known: set[tuple[str, int]] = set()
    for _ in range(len(waiting)):
        ready = [call for call, sources in waiting.items() if known.issuperset(sources)]
        known.update(ready)
        for call in ready:
            del waiting[call]
        if not ready:
            break
    if waiting:
        layer_name = next(iter(waiting))[0]
        raise ArchitectureError(
            f"{name}: layer {layer_name!r:.80} is not connected to the input by layers that are "
            "described in the file"
        )


def _calls(layer: Mapping[str, Any]) -> list[list[Any]]:
    """Return the sources of each call of a layer; the input is called once, without sources."""
    calls: list[list[Any]] = layer.get("inbound_nodes") or []
    return [[]] if layer["class_name"] == "InputLayer" else calls


def _last_of_graph(
    by_name: Mapping[str, dict[str, Any]], output: Sequence[Any]
) -> dict[str, Any] | None:
    """Return the layer that computes the output's values, before layers that pass them on."""
    layer_name, call = output[0], output[1]
    while layer := by_name.get(layer_name):
        calls = layer.get("inbound_nodes")
        if layer["class_name"] not in PASS_VALUES_ON or not calls or not 0 <= call < len(calls):
            return layer
        layer_name, call = calls[call][0][:2]
    return None


def _check_output(layer: Mapping[str, Any] | None, name: str) -> None:
    activation = None if layer is None else layer["config"].get("activation", layer["class_name"])
    if activation != "sigmoid":
        raise OutputActivationError(
            f"{name}: the output comes from {activation!r:.60}; the pipeline needs one probability "
            "per voxel, from a sigmoid"
        )


def _endpoint(inner: Mapping[str, Any], end: str, name: str) -> list[Any]:
    raw = inner.get(f"{end}_layers")
    # tf.keras of TensorFlow 2 writes a single endpoint without the outer list, in some releases.
    if isinstance(raw, list) and len(raw) == 3 and isinstance(raw[0], str):
        raw = [raw]
    if not isinstance(raw, list) or not all(
        isinstance(item, list) and len(item) == 3 for item in raw
    ):
        raise ArchitectureError(f"{name}: {end}_layers is not written as Keras 2 does")
    if len(raw) != 1:
        raise EndpointsError(f"{name} has {len(raw)} {end}s; a network of the pipeline has one")
    layer, node, tensor = raw[0]
    if not isinstance(layer, str) or type(node) is not int or type(tensor) is not int:
        raise ArchitectureError(f"{name}: {end}_layers is not written as Keras 2 does")
    return [layer, node, tensor]


def _shape(raw: Any, name: str) -> tuple[int | None, ...]:
    """Return the shape of one input from `batch_input_shape`."""
    if not isinstance(raw, list) or not raw:
        raise NetworkShapeError(f"{name} does not state the shape of its input")
    sizes = raw[1:]
    if not all(size is None or (type(size) is int and size > 0) for size in sizes):
        raise NetworkShapeError(f"{name} states an input of shape {raw!r:.80}")
    return tuple(sizes)
