"""Networks of many architectures, built and saved by tf_keras, through the whole conversion.

The tolerance here is tighter than the converter's: these small networks give about 1e-7, and 1e-5
where nothing is normalised, so that values grow from layer to layer.
"""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from convert.errors import ConvertError
from convert.keras.architecture import EXPECTED_SHAPES, check_declared_sizes, read_architecture
from convert.keras.export import OPSET, export_network
from convert.keras.frameworks import Frameworks, import_frameworks, third_party
from convert.keras.hdf5 import read_keras_file
from convert.keras.network import KerasNetwork, build_network
from convert.keras.verification import open_converted
from convert.optimize.conv3d_to_conv2d import rewrite_3d_convolutions
from rcc_onnx.bundles.manifest import NetworkEntry, TensorEntry
from rcc_onnx.bundles.onnx_validation import check_network, read_onnx
from rcc_onnx.types import NetworkName
from tests.support.keras_networks import UNet, save_network

CLOSE = 3e-5

NETWORKS = {
    "plain": UNet(),
    "deep": UNet(depth=4, width=2, up="upsampling", normalised=False, activation="elu"),
    "added": UNet(depth=3, activation="LeakyReLU", join="add", down="average", drop="Spatial"),
    "strided": UNet(activation="PReLU", down="stride", up="upsampling", end="activation"),
    "separable": UNet(activation="selu", separable=True, drop="GaussianNoise"),
    "padded": UNet(activation="ReLU6", padded=True, drop="Dropout"),
    "channels first": UNet(channels_first=True, up="upsampling", activation="PReLU"),
    "channels first transposed": UNet(channels_first=True, join="add", drop="Spatial"),
    "3D": UNet(3),
    "3D deep": UNet(3, depth=3, width=2, up="upsampling", normalised=False, activation="ELU"),
    "3D added": UNet(3, activation="LeakyReLU", join="add", down="average", drop="Spatial"),
    "3D strided": UNet(3, activation="PReLU", down="stride", end="activation"),
    "3D channels first": UNet(3, channels_first=True, padded=True),
    "3D padded": UNet(3, width=2, activation="ReLU6", padded=True, drop="Dropout"),
}


@pytest.fixture(scope="module", name="frameworks")
def fixture_frameworks() -> Frameworks:
    return import_frameworks()


def role(dimensions: int) -> NetworkName:
    return "kidney" if dimensions == 2 else "lesion"


def rebuilt(path: Path, network: NetworkName, frameworks: Frameworks) -> KerasNetwork:
    file = read_keras_file(path)
    architecture = read_architecture(file.config, file.keras_version, path.name)
    check_declared_sizes(architecture, file.weights, path.name)
    return build_network(file, architecture, EXPECTED_SHAPES[network], frameworks)


def inputs(network: NetworkName, count: int = 2) -> np.ndarray:
    values = np.random.default_rng(3).random((count, *EXPECTED_SHAPES[network]), np.float32)
    values[0, ..., : values.shape[-2] // 2, :] = 0
    return values


def largest_difference(expected: np.ndarray, given: np.ndarray) -> float:
    return float(np.abs(expected - given).max())


def converted(network: NetworkName, model: onnx.ModelProto) -> Any:
    shape: tuple[str | int, ...] = ("batch", *EXPECTED_SHAPES[network])
    ends = [TensorEntry(name, shape, "float32") for name in ("image", "probability")]
    entry = NetworkEntry("x.onnx", "0" * 64, OPSET, *ends)
    content = model.SerializeToString()
    # The engine checks this before it loads a network.
    check_network(read_onnx(content), entry)
    return open_converted(network, content, entry)


@pytest.mark.parametrize("name", NETWORKS)
def test_architecture(name: str, frameworks: Frameworks, tmp_path: Path) -> None:
    unet = NETWORKS[name]
    network = role(unet.dimensions)
    path = save_network(unet.build, tmp_path / "network.h5")
    reference = rebuilt(path, network, frameworks)
    x = inputs(network)
    expected = reference.predict(x)

    # As tf_keras itself reads the file, weights and all.
    with third_party():
        loaded = frameworks.tf_keras.models.load_model(path, compile=False)
        output = loaded(x.reshape(-1, *loaded.input_shape[1:]), training=False).numpy()
        assert largest_difference(output.reshape(x.shape), expected) == 0
    # A network that gives the same everywhere would agree with anything.
    assert expected.std() > 1e-3

    model = export_network(reference, frameworks)
    assert largest_difference(expected, converted(network, model).predict(x)) <= CLOSE

    if network == "lesion":
        flattened = rewrite_3d_convolutions(model)
        assert flattened.model is not None, flattened.note
        rewritten = converted(network, flattened.model).predict(x)
        assert largest_difference(expected, rewritten) <= CLOSE


def sequential(layers: Any, keras: Any) -> Any:
    return keras.Sequential(
        [
            layers.Conv2D(4, 3, padding="same", input_shape=(160, 160, 1)),
            layers.BatchNormalization(),
            layers.Conv2D(1, 1, activation="sigmoid"),
        ]
    )


def open_sizes_and_a_fixed_batch(layers: Any, keras: Any) -> Any:
    x = layers.Input(batch_shape=(4, None, None, 1))
    return keras.Model(x, layers.Conv2D(1, 3, padding="same", activation="sigmoid")(x))


def layer_used_twice(layers: Any, keras: Any) -> Any:
    x = inputs = layers.Input((160, 160, 1))
    shared = layers.Conv2D(1, 3, padding="same", activation="tanh")
    x = layers.Maximum()([shared(shared(x)), x])
    return keras.Model(inputs, layers.Conv2D(1, 1, activation="sigmoid")(x))


def attention_by_channel(layers: Any, keras: Any) -> Any:
    x = inputs = layers.Input((160, 160, 1))
    x = layers.Conv2D(4, 3, padding="same", activation="softplus")(x)
    weight = layers.Dense(4, activation="hard_sigmoid")(layers.GlobalAveragePooling2D()(x))
    x = layers.Multiply()([x, layers.Reshape((1, 1, 4))(weight)])
    x = layers.DepthwiseConv2D(3, padding="same", activation="softsign")(x)
    return keras.Model(inputs, layers.Conv2D(1, 1, activation="sigmoid")(x))


def cropping_after_the_sigmoid(layers: Any, keras: Any) -> Any:
    inputs = layers.Input((160, 160, 1))
    x = layers.ZeroPadding2D(((3, 5), (2, 6)))(inputs)
    x = layers.Conv2D(1, 3, padding="same", activation="sigmoid")(x)
    return keras.Model(inputs, layers.Cropping2D(((3, 5), (2, 6)))(x))


def bilinear_upsampling_of_newer_keras(layers: Any, keras: Any) -> Any:
    x = inputs = layers.Input((160, 160, 1))
    x = layers.UpSampling2D(2, interpolation="bilinear")(layers.MaxPooling2D(2)(x))
    return keras.Model(inputs, layers.Conv2D(1, 3, padding="same", activation="sigmoid")(x))


@pytest.mark.parametrize(
    "build",
    [
        sequential,
        open_sizes_and_a_fixed_batch,
        layer_used_twice,
        attention_by_channel,
        cropping_after_the_sigmoid,
        bilinear_upsampling_of_newer_keras,
    ],
)
def test_other_ways_to_build(build: Any, frameworks: Frameworks, tmp_path: Path) -> None:
    reference = rebuilt(save_network(build, tmp_path / "network.h5"), "kidney", frameworks)
    x = inputs("kidney")
    output = converted("kidney", export_network(reference, frameworks)).predict(x)
    assert largest_difference(reference.predict(x), output) <= CLOSE


@pytest.mark.parametrize(
    ("filters", "kernel", "shape"), [(1, 3, "158, 158, 1"), (2, 1, "160, 160, 2")]
)
def test_outputs_of_another_shape_are_refused(
    filters: int, kernel: int, shape: str, frameworks: Frameworks, tmp_path: Path
) -> None:
    def build(layers: Any, keras: Any) -> Any:
        inputs = layers.Input((160, 160, 1))
        return keras.Model(inputs, layers.Conv2D(filters, kernel, activation="sigmoid")(inputs))

    path = save_network(build, tmp_path / "network.h5")
    with pytest.raises(ConvertError, match=shape) as raised:
        rebuilt(path, "kidney", frameworks)
    assert raised.value.code == "convert-shape"


def test_no_old_modes_and_no_traces_in_the_file(frameworks: Frameworks, tmp_path: Path) -> None:
    path = save_network(NETWORKS["strided"].build, tmp_path / "network.h5")
    model = export_network(rebuilt(path, "kidney", frameworks), frameworks)
    resizes = [node for node in model.graph.node if node.op_type == "Resize"]
    assert len(resizes) == 2
    content = model.SerializeToString()
    assert b"tf_half_pixel_for_nn" not in content
    # The reference enlarges by repetition, so any shift would have shown in the comparison above.
    assert str(tmp_path).encode() not in content
    assert str(Path(__file__).parents[3]).encode() not in content
    assert str(Path.home()).encode() not in content
