"""Reads the layers of Keras 2 that are converted: all hold weights and arithmetic, none holds code.

Any other name is refused, so that a file cannot choose what is run: tf_keras would look a class up
by name, and would run the Python code in a Lambda layer.
"""

from collections.abc import Mapping
from typing import Any

from convert.errors import (
    ArchitectureError,
    LambdaLayerError,
    NestedModelError,
    NetworkDtypeError,
    TooLargeError,
    UnknownLayerError,
)

# fmt: off
WITHOUT_EFFECT = frozenset((
    "Dropout", "SpatialDropout2D", "SpatialDropout3D", "AlphaDropout", "GaussianDropout",
    "GaussianNoise", "ActivityRegularization",
))
"""Layers that do nothing at inference."""

LAYERS = WITHOUT_EFFECT | frozenset((
    "InputLayer",
    # convolutions
    "Conv2D", "Conv3D", "Conv2DTranspose", "Conv3DTranspose", "SeparableConv2D", "DepthwiseConv2D",
    "Dense",
    # size
    "MaxPooling2D", "MaxPooling3D", "AveragePooling2D", "AveragePooling3D",
    "GlobalAveragePooling2D", "GlobalAveragePooling3D", "GlobalMaxPooling2D", "GlobalMaxPooling3D",
    "UpSampling2D", "UpSampling3D", "ZeroPadding2D", "ZeroPadding3D", "Cropping2D", "Cropping3D",
    "Reshape", "Flatten", "Permute",
    # normalisation and activation
    "BatchNormalization", "Activation", "ReLU", "LeakyReLU", "PReLU", "ELU", "ThresholdedReLU",
    "Softmax",
    # joining
    "Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum", "Concatenate",
))

PASS_VALUES_ON = WITHOUT_EFFECT | frozenset((
    "Cropping2D", "Cropping3D", "ZeroPadding2D", "ZeroPadding3D", "Reshape", "Permute",
))
"""Layers whose output holds values of their input, or zeros, and nothing else."""

ACTIVATIONS = frozenset((
    "linear", "relu", "sigmoid", "hard_sigmoid", "tanh", "elu", "selu", "softplus", "softsign",
    "softmax", "exponential", "swish",
))
# fmt: on

NETWORK_CLASSES = frozenset({"Model", "Sequential", "Functional"})

TRAINING_ONLY = ("_initializer", "_regularizer", "_constraint")
"""Endings of options that matter in training only and are dropped."""

BILINEAR_SINCE = (2, 4)
"""Older Keras places the pixels of bilinear enlargement elsewhere than tf_keras does."""

MAX_LAYERS = 2_000
MAX_NUMBER = 65_536
"""No width, size or number of filters in a network of 40x64x64 or 160x160 comes near this."""


def read_layer(raw: Any, keras_version: tuple[int, int], name: str) -> dict[str, Any]:
    """Check one entry of the list `layers` of the file `name`.

    Returns class_name, name, config and (if the entry has it) inbound_nodes: a copy that holds
    known layers and plain values only. Raises a leaf of ArchitectureError, or TooLargeError.
    """
    if not isinstance(raw, dict) or not isinstance(raw.get("config"), dict):
        raise ArchitectureError(f"{name}: a layer of the network has no description")
    config = raw["config"]
    layer_name = raw.get("name", config.get("name"))
    class_name = raw.get("class_name")
    if not isinstance(layer_name, str) or not isinstance(class_name, str):
        raise ArchitectureError(f"{name}: a layer of the network has no name or class")
    where = f"{name}: layer {layer_name!r:.80} ({class_name:.80})"
    _check_class(class_name, where)
    options: dict[str, Any] = {}
    for key, value in config.items():
        if key.endswith(TRAINING_ONLY):
            continue
        if key == "dtype":
            _check_dtype(value, where)
            options[key] = "float32"
        else:
            options[key] = _plain(value, key, where)
    _check_options(options, keras_version, where)
    options["name"] = layer_name
    return {"class_name": class_name, "name": layer_name, "config": options} | (
        {"inbound_nodes": _inbound(raw["inbound_nodes"], where)} if "inbound_nodes" in raw else {}
    )


def _check_class(class_name: str, where: str) -> None:
    if class_name in LAYERS:
        return
    if class_name in ("Lambda", "TFOpLambda", "SlicingOpLambda", "TensorFlowOpLayer"):
        raise LambdaLayerError(
            f"{where} holds code, which is never run from a file; replace the layer by ones "
            "without code where the network was made, and save it again"
        )
    if class_name in NETWORK_CLASSES:
        raise NestedModelError(
            f"{where} is a network inside the network; build it flat, save it, and convert that"
        )
    raise UnknownLayerError(
        f"{where} is not among the layers that are converted; docs/converting.md lists them"
    )


def _plain(value: Any, key: str, where: str) -> Any:
    """Return a scalar or a list of them as it is; anything else could name an object."""
    if isinstance(value, list):
        return [_plain(item, key, where) for item in value]
    # Keras 2.2 writes the limits of a ReLU layer as arrays: {"type": "ndarray", "value": 6.0}.
    if isinstance(value, dict) and value.get("type") == "ndarray" and len(value) == 2:
        return _plain(value.get("value"), key, where)
    if value is None or isinstance(value, str | bool | float):
        return value
    if isinstance(value, int):
        # Seeds may be larger than any size.
        if abs(value) > MAX_NUMBER and key != "seed":
            raise TooLargeError(f"{where}: {key} = {value} is more than any such network needs")
        return value
    raise UnknownLayerError(f"{where}: option {key!r:.60} is an object, which is not converted")


def _check_dtype(dtype: Any, where: str) -> None:
    policy = dtype.get("config") if isinstance(dtype, dict) else None
    stated = policy.get("name") if isinstance(policy, dict) else dtype
    # None leaves the choice to a setting of Keras, whose default is float32.
    if stated not in (None, "float32"):
        raise NetworkDtypeError(f"{where} computes in {stated!r:.60}; float32 is converted")


def _check_options(options: Mapping[str, Any], version: tuple[int, int], where: str) -> None:
    activation = options.get("activation", "linear")
    if activation not in ACTIVATIONS:
        raise UnknownLayerError(f"{where}: activation {activation!r:.60} is not converted")
    if options.get("interpolation", "nearest") != "nearest" and version < BILINEAR_SINCE:
        raise UnknownLayerError(
            f"{where}: Keras {version[0]}.{version[1]} interpolates differently from tf_keras, so "
            "the converted network would not be the one in the file"
        )
    if options.get("sparse") or options.get("ragged"):
        raise UnknownLayerError(f"{where}: sparse and ragged inputs are not converted")


def _inbound(raw: Any, where: str) -> list[list[list[Any]]]:
    """Return the sources of a layer's inputs: per call a list of [layer, call, tensor, {}]."""
    problem = ArchitectureError(f"{where}: its connections are not written as Keras 2 does")
    if not isinstance(raw, list):
        raise problem
    calls = []
    for call in raw:
        if not isinstance(call, list):
            raise problem
        sources = []
        for source in call:
            if not isinstance(source, list) or len(source) not in (3, 4):
                raise problem
            layer, node, tensor, *arguments = source
            if not isinstance(layer, str) or type(node) is not int or type(tensor) is not int:
                raise problem
            if any(arguments) and arguments != [{"training": False}]:
                raise UnknownLayerError(f"{where} is called with arguments, which is not converted")
            sources.append([layer, node, tensor, {}])
        if not sources:
            raise problem
        calls.append(sources)
    return calls
