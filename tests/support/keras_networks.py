"""Builds small networks of many architectures with tf_keras, saved as whole-model HDF5.

Weights are random and seeded, biases and normalisation included, so that no layer passes as correct
because it does nothing. TensorFlow is imported on the first call.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from convert.keras.frameworks import import_frameworks, third_party
from rcc_onnx.bundles.manifest import KIDNEY_SHAPE, LESION_SHAPE

SHAPES = {2: KIDNEY_SHAPE, 3: LESION_SHAPE}


@dataclass(frozen=True)
class UNet:
    """A U-Net of two or three dimensions, one choice a field.

    Attributes:
        up: "transposed" or "upsampling".
        activation: a name that Activation takes, or "LeakyReLU", "PReLU", "ELU", "ReLU6".
        join: "concatenate" or "add".
        down: "max", "average" or "stride".
        drop: "", "Dropout", "Spatial" or "GaussianNoise".
        end: "convolution" (sigmoid inside) or "activation" (a layer of its own).
    """

    dimensions: int = 2
    depth: int = 2
    width: int = 4
    up: str = "transposed"
    normalised: bool = True
    activation: str = "relu"
    join: str = "concatenate"
    down: str = "max"
    drop: str = ""
    end: str = "convolution"
    separable: bool = False
    padded: bool = False
    channels_first: bool = False

    def build(self, layers: Any, keras: Any) -> Any:
        keras.backend.set_image_data_format(
            "channels_first" if self.channels_first else "channels_last"
        )
        try:
            return self._build(layers, keras)
        finally:
            keras.backend.set_image_data_format("channels_last")

    @property
    def channel_axis(self) -> int:
        return 1 if self.channels_first else -1

    def _build(self, layers: Any, keras: Any) -> Any:
        n = self.dimensions
        shape = SHAPES[n]
        inputs = layers.Input((1, *shape[:-1]) if self.channels_first else shape)
        x = inputs
        if self.padded:
            x = getattr(layers, f"ZeroPadding{n}D")(4)(x)
        skips = []
        for level in range(self.depth):
            x = self._block(x, self.width * 2**level, layers)
            skips.append(x)
            x = self._down(x, layers)
        x = self._block(x, self.width * 2**self.depth, layers)
        for level in reversed(range(self.depth)):
            x = self._up(x, self.width * 2**level, layers)
            axis = self.channel_axis
            join = layers.Concatenate(axis) if self.join == "concatenate" else layers.Add()
            x = self._block(join([x, skips[level]]), self.width * 2**level, layers)
        if self.padded:
            x = getattr(layers, f"Cropping{n}D")(4)(x)
        convolution = getattr(layers, f"Conv{n}D")
        if self.end == "convolution":
            x = convolution(1, 1, activation="sigmoid")(x)
        else:
            x = layers.Activation("sigmoid")(convolution(1, 1)(x))
        return keras.Model(inputs, x)

    def _block(self, x: Any, width: int, layers: Any) -> Any:
        n = self.dimensions
        kind = "SeparableConv2D" if self.separable else f"Conv{n}D"
        x = getattr(layers, kind)(width, 3, padding="same")(x)
        if self.normalised:
            x = layers.BatchNormalization(self.channel_axis)(x)
        x = self._activate(x, layers)
        if self.drop == "Spatial":
            x = getattr(layers, f"SpatialDropout{n}D")(0.3)(x)
        elif self.drop:
            x = getattr(layers, self.drop)(0.3)(x)
        return x

    def _activate(self, x: Any, layers: Any) -> Any:
        if self.activation == "ReLU6":
            return layers.ReLU(max_value=6.0, negative_slope=0.1, threshold=0.05)(x)
        if self.activation == "PReLU":
            return layers.PReLU(shared_axes=self._image_axes())(x)
        if self.activation in ("LeakyReLU", "ELU"):
            return getattr(layers, self.activation)()(x)
        return layers.Activation(self.activation)(x)

    def _image_axes(self) -> list[int]:
        first = 2 if self.channels_first else 1
        return list(range(first, first + self.dimensions))

    def _down(self, x: Any, layers: Any) -> Any:
        n = self.dimensions
        if self.down == "stride":
            return getattr(layers, f"Conv{n}D")(
                x.shape[self.channel_axis], 3, strides=2, padding="same"
            )(x)
        kind = {"max": "MaxPooling", "average": "AveragePooling"}[self.down]
        return getattr(layers, f"{kind}{n}D")(2)(x)

    def _up(self, x: Any, width: int, layers: Any) -> Any:
        n = self.dimensions
        if self.up == "transposed":
            return getattr(layers, f"Conv{n}DTranspose")(width, 2, strides=2, padding="same")(x)
        x = getattr(layers, f"UpSampling{n}D")(2)(x)
        return getattr(layers, f"Conv{n}D")(width, 3, padding="same")(x)


def save_network(build: Callable[[Any, Any], Any], path: Path, seed: int = 1) -> Path:
    """Build with `build(layers, keras)`, set random weights and save it, compiled, to `path`."""
    keras = import_frameworks().tf_keras
    rng = np.random.default_rng(seed)
    with third_party():
        keras.backend.clear_session()
        model = build(keras.layers, keras)
        for layer in model.layers:
            layer.set_weights([_weight(rng, weight) for weight in layer.weights])

        def minus_dice(truth: Any, output: Any) -> Any:
            return -(truth * output)

        model.compile("adam", loss=minus_dice)
        model.save(str(path), save_format="h5")
    return path


def _weight(rng: np.random.Generator, weight: Any) -> Any:
    shape = tuple(weight.shape)
    if len(shape) == 1:
        # Biases, and scale, shift, mean and variance of normalisation: all away from 0.
        return rng.uniform(0.05, 0.6, shape).astype(np.float32)
    scale = np.sqrt(2 / np.prod(shape[:-1]))
    return rng.normal(0, scale, shape).astype(np.float32)
