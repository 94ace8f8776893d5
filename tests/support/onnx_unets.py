"""Small 3D and 2D U-Nets as ONNX graphs, as the converter exports them, without TensorFlow."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from rcc_onnx.runtime.session import import_runtime

Shape = tuple[int, ...]

UNETS: dict[str, dict[str, Any]] = {
    "plain": {},
    "not normalised": {"normalised": ""},
    "normalised after the activation": {"normalised": "after"},
    "another activation": {"activation": "Elu"},
    "another activation, normalised after": {"activation": "LeakyRelu", "normalised": "after"},
    "a slope for each channel": {"activation": "PRelu"},
    "upsampled by repetition": {"up": "resize"},
    "added": {"join": "Add"},
    "added, normalised after": {"join": "Add", "normalised": "after", "activation": "Tanh"},
    "average pooling": {"down": "AveragePool"},
    "wide": {"width": 16},
}
"""Options of `OnnxUNet`, for two and three dimensions."""


def run_onnx(model: onnx.ModelProto, image: np.ndarray) -> np.ndarray:
    """Return the output of a network on the CPU."""
    options = import_runtime().SessionOptions()
    options.log_severity_level = 3
    session = import_runtime().InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return np.asarray(session.run(None, {"image": image})[0])


def input_shape(model: onnx.ModelProto) -> Shape:
    """Return the shape of one input, without the batch."""
    sizes = [size.dim_value for size in model.graph.input[0].type.tensor_type.shape.dim]
    return tuple(sizes[1:])


def kernel_shapes(model: onnx.ModelProto) -> list[Shape]:
    """Return the kernel shapes of all convolutions, in order."""
    return [
        tuple(attribute.ints)
        for node in model.graph.node
        for attribute in node.attribute
        if node.op_type == "Conv" and attribute.name == "kernel_shape"
    ]


@dataclass
class OnnxUNet:
    """Two levels, each of one convolution; weights are random and seeded, biases included.

    Attributes:
        shape: slices, rows, columns; or rows, columns, and a kernel of two lengths then.
        kernel: of the inner convolutions.
        activation: an ONNX operator of one input.
        normalised: "", "before" or "after" the activation.
        up: "transposed" or "resize".
        join: "Concat" or "Add".
        down: "MaxPool" or "AveragePool".
        group: of the inner convolutions.
    """

    shape: Shape = (4, 8, 6)
    width: int = 4
    kernel: Shape = (3, 3, 3)
    activation: str = "Relu"
    normalised: str = "before"
    up: str = "transposed"
    join: str = "Concat"
    down: str = "MaxPool"
    group: int = 1
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    weights: list[onnx.TensorProto] = field(default_factory=list)
    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(5))

    def build(self) -> onnx.ModelProto:
        x = self.add("Reshape", "image", self.whole([-1, 1, *self.shape]))
        twos, ones = [2] * len(self.shape), [1] * len(self.shape)
        top = self.block(x, 1, self.width)
        pooled = self.add(self.down, top, kernel_shape=twos, strides=twos)
        low = self.block(pooled, self.width, 2 * self.width)
        if self.up == "transposed":
            kernel = self.floats(2 * self.width, self.width, *twos)
            up = self.add("ConvTranspose", low, kernel, kernel_shape=twos, strides=twos)
            # The bias is a node of its own, as tf2onnx writes it.
            up = self.add("Add", up, self.floats(1, self.width, *ones))
        else:
            factors = np.array([1, 1, *twos], np.float32)
            nearest = {
                "mode": "nearest",
                "coordinate_transformation_mode": "asymmetric",
                "nearest_mode": "floor",
            }
            up = self.add("Resize", low, "", self.keep(factors), **nearest)
            up = self.block(up, 2 * self.width, self.width)
        if self.join == "Concat":
            joined, channels = self.add("Concat", top, up, axis=1), 2 * self.width
        else:
            joined, channels = self.add("Add", top, up), self.width
        last = self.block(joined, channels, self.width)
        result = self.convolution(last, self.width, 1, tuple(ones))
        result = self.add("Sigmoid", result)
        result = self.add("Reshape", result, self.whole([-1, *self.shape, 1]), out="probability")
        return self.model()

    def block(self, x: str, inside: int, outside: int) -> str:
        x = self.convolution(x, inside, outside, self.kernel)
        if self.normalised == "before":
            x = self.normalisation(x, outside)
        slopes = (
            [self.floats(outside, *[1] * len(self.shape))] if self.activation == "PRelu" else []
        )
        x = self.add(self.activation, x, *slopes)
        return self.normalisation(x, outside) if self.normalised == "after" else x

    def convolution(self, x: str, inside: int, outside: int, kernel: Shape) -> str:
        group = self.group if inside > 1 and outside > 1 else 1
        weights, bias = self.floats(outside, inside // group, *kernel), self.floats(outside)
        pads = [length // 2 for length in kernel] * 2
        return self.add("Conv", x, weights, bias, kernel_shape=list(kernel), pads=pads, group=group)

    def normalisation(self, x: str, channels: int) -> str:
        values = [self.floats(channels) for _ in range(3)]
        variance = self.keep(self.rng.uniform(0.5, 2, channels).astype(np.float32))
        return self.add("BatchNormalization", x, *values, variance, epsilon=1e-3)

    def add(self, kind: str, *inputs: str, out: str = "", **attributes: Any) -> str:
        name = f"{kind}{len(self.nodes)}"
        out = out or f"{name}:0"
        self.nodes.append(helper.make_node(kind, list(inputs), [out], name, **attributes))
        return out

    def floats(self, *shape: int) -> str:
        scale = 0.5 if len(shape) == 1 else np.sqrt(2 / np.prod(shape[1:]))
        return self.keep(self.rng.normal(0, scale, shape).astype(np.float32))

    def whole(self, values: list[int]) -> str:
        return self.keep(np.array(values, np.int64))

    def keep(self, value: np.ndarray) -> str:
        name = f"weight{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(value, name))
        return name

    def model(self) -> onnx.ModelProto:
        ends = [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", *self.shape, 1])
            for name in ("image", "probability")
        ]
        graph = helper.make_graph(self.nodes, "network", ends[:1], ends[1:], self.weights)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
        onnx.checker.check_model(inferred, full_check=True)
        return inferred
