"""Builds the Keras network from its checked description, and runs it."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convert.errors import (
    KerasLoadError,
    MissingWeightsError,
    NetworkShapeError,
    TooLargeError,
)
from convert.keras.architecture import Architecture, with_channel_first
from convert.keras.frameworks import Frameworks, third_party
from convert.keras.hdf5 import KerasFile
from rcc_onnx.system.stderr_capture import one_line

MAX_LAYER_VALUES = 1 << 28
"""Outputs of one layer for one input (1 GiB); U-Nets of the pipeline stay under 2**25."""

BATCH_SIZE = 8
"""Inputs per call in comparisons, which bounds memory; the engine uses other batch sizes."""


@dataclass(frozen=True)
class KerasNetwork:
    """A network of tf_keras with the weights of the file.

    Attributes:
        model: tf_keras Model of one input and one output, each of (batch, *shape) or with its
            channel before the other axes.
        shape: of one input and of one output, without the batch, channel at the end.
    """

    model: Any
    shape: tuple[int, ...]
    tf: Any

    def run(self, image: Any) -> Any:
        """Run the model on a tensor (batch, *shape); return one of the same shape."""
        input_shape = tuple(self.model.input_shape[1:])
        # A single channel is moved by a reshape.
        if input_shape != self.shape:
            image = self.tf.reshape(image, (-1, *input_shape))
        output = self.model(image, training=False)
        if tuple(self.model.output_shape[1:]) == self.shape:
            return output
        return self.tf.reshape(output, (-1, *self.shape))

    def predict(self, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return probabilities for inputs (n, *shape), of the same shape, float32.

        Raises KerasLoadError if TensorFlow cannot run the network.
        """
        parts = [inputs[start : start + BATCH_SIZE] for start in range(0, len(inputs), BATCH_SIZE)]
        with third_party():
            try:
                # Layer by layer. As one graph (Model.predict), TensorFlow first fuses operations,
                # and for a 3D convolution after zero padding 2.21 fuses them wrongly.
                outputs = np.concatenate([self.run(part) for part in parts])
            # TensorFlow raises many kinds: out of memory, an operation that CPUs do not have.
            except Exception as problem:
                raise KerasLoadError(
                    f"TensorFlow cannot run the network: {one_line(str(problem))}"
                ) from problem
        return np.asarray(outputs, dtype=np.float32)


def build_network(
    source: KerasFile, architecture: Architecture, shape: tuple[int, ...], frameworks: Frameworks
) -> KerasNetwork:
    """Build the network for inputs of `shape` and give it the weights in the file.

    Raises KerasLoadError, MissingWeightsError, NetworkShapeError or TooLargeError.
    """
    with third_party():
        frameworks.tf_keras.backend.clear_session()
        model = _build(source.name, architecture, shape, frameworks)
        _check_sizes(model, source.name)
        given = tuple(model.output_shape[1:])
        if given not in (shape, with_channel_first(shape)):
            raise NetworkShapeError(
                f"{source.name} gives {given} for inputs of {shape}; the pipeline needs one "
                "probability for each voxel of the input"
            )
        _set_weights(model, source)
    return KerasNetwork(model, shape, frameworks.tf)


def _build(
    name: str, architecture: Architecture, shape: tuple[int, ...], frameworks: Frameworks
) -> Any:
    classes = {
        "Functional": frameworks.tf_keras.Model,
        "Sequential": frameworks.tf_keras.Sequential,
    }
    try:
        return classes[architecture.class_name].from_config(architecture.for_input(shape))
    # tf_keras raises many kinds for options that do not fit each other.
    except Exception as problem:
        raise KerasLoadError(
            f"{name}: tf_keras cannot build the network for inputs of {shape}: "
            f"{one_line(str(problem))}"
        ) from problem


def _check_sizes(model: Any, name: str) -> None:
    for layer in model.layers:
        shapes = (
            layer.output_shape if isinstance(layer.output_shape, list) else [layer.output_shape]
        )
        for shape in shapes:
            values = int(np.prod([size or 1 for size in shape], dtype=object))
            if values > MAX_LAYER_VALUES:
                problem = f"layer {layer.name!r:.80} gives {values} values for one input"
                raise TooLargeError(f"{name}: {problem}; at most {MAX_LAYER_VALUES} are converted")


def _set_weights(model: Any, source: KerasFile) -> None:
    """Set weights by layer name, and within a layer in Keras's order; all must match."""
    needing = {layer.name: layer for layer in model.layers if layer.weights}
    if missing := sorted(needing.keys() - source.weights.keys()):
        raise MissingWeightsError(f"{source.name} has no weights for layer {missing[0]!r:.80}")
    if extra := sorted(source.weights.keys() - needing.keys()):
        raise MissingWeightsError(
            f"{source.name} has weights for layer {extra[0]!r:.80}, which the network lacks"
        )
    for name, layer in needing.items():
        wanted = [tuple(weight.shape) for weight in layer.weights]
        found = [array.shape for array in source.weights[name]]
        if wanted != found:
            raise MissingWeightsError(
                f"{source.name}: layer {name!r:.80} needs weights of shapes {wanted}, the file has "
                f"{found}"
            )
        layer.set_weights(list(source.weights[name]))
