"""The rewritten network against the plain one, for every rule of the pass."""

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper

from convert.optimize.conv3d_to_conv2d import rewrite_3d_convolutions
from rcc_onnx.runtime.session import import_runtime
from tests.support.volume_networks import VolumeUNet

CLOSE = 2e-6
"""Sums of some hundred products in another order; probabilities here differ by 1e-7."""

NETWORKS: dict[str, dict[str, Any]] = {
    "plain": {},
    "not normalised": {"normalised": ""},
    "normalised after the activation": {"normalised": "after"},
    "another activation": {"activation": "Elu"},
    "another activation, normalised after": {"activation": "LeakyRelu", "normalised": "after"},
    "a slope for each channel": {"activation": "PRelu"},
    "enlarged by repetition": {"up": "resize"},
    "added": {"join": "Add"},
    "added, normalised after": {"join": "Add", "normalised": "after", "activation": "Tanh"},
    "average pooling": {"down": "AveragePool"},
    "odd halves": {"shape": (6, 10, 2)},
    "wide": {"width": 16},
    "long kernel": {"kernel": (5, 5, 3)},
    "flat kernel": {"kernel": (1, 3, 3)},
    "kernel of one row": {"kernel": (3, 1, 5)},
    "two channels": {"width": 2},
}


def run(model: onnx.ModelProto, image: np.ndarray) -> np.ndarray:
    options = import_runtime().SessionOptions()
    options.log_severity_level = 3
    session = import_runtime().InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return np.asarray(session.run(None, {"image": image})[0])


def images(model: onnx.ModelProto, batch: int) -> np.ndarray:
    shape = [one.dim_value for one in model.graph.input[0].type.tensor_type.shape.dim][1:]
    return np.random.default_rng(7).normal(0, 3, (batch, *shape)).astype(np.float32)


@pytest.mark.parametrize("name", NETWORKS)
def test_the_rewritten_network_computes_the_same(name: str) -> None:
    plain = VolumeUNet(**NETWORKS[name]).build()
    flat = rewrite_3d_convolutions(plain).model
    assert flat is not None
    for batch in (1, 3):
        image = images(plain, batch)
        expected = run(plain, image)
        # A network that answers the same everywhere would agree with anything.
        assert expected.std() > 0.01
        given = run(flat, image)
        assert (given.shape, given.dtype) == (expected.shape, expected.dtype)
        np.testing.assert_allclose(given, expected, rtol=0, atol=CLOSE)


@pytest.mark.parametrize("name", NETWORKS)
def test_no_3d_convolution_is_left(name: str) -> None:
    flat = rewrite_3d_convolutions(VolumeUNet(**NETWORKS[name]).build()).model
    assert flat is not None
    lengths = {
        len(attribute.ints)
        for node in flat.graph.node
        for attribute in node.attribute
        if node.op_type == "Conv" and attribute.name == "kernel_shape"
    }
    assert lengths == {2}


def test_ends_and_operator_set_stay() -> None:
    plain = VolumeUNet().build()
    flat = rewrite_3d_convolutions(plain).model
    assert flat is not None
    assert flat.graph.input == plain.graph.input
    assert flat.graph.output == plain.graph.output
    assert flat.opset_import == plain.opset_import
    assert {node.domain for node in flat.graph.node} == {""}


def test_the_same_network_gives_the_same_bytes() -> None:
    twice = [rewrite_3d_convolutions(VolumeUNet().build()).model for _ in range(2)]
    assert all(model is not None for model in twice)
    one, other = (model.SerializeToString(deterministic=True) for model in twice if model)
    assert one == other


def test_weights_are_not_stored_more_than_once() -> None:
    plain = VolumeUNet(width=16, normalised="").build()
    flat = rewrite_3d_convolutions(plain).model
    assert flat is not None
    # Blank rows and shapes are all that comes on top.
    assert flat.ByteSize() < 1.2 * plain.ByteSize()


def test_volumes_pass_between_convolutions_without_being_moved() -> None:
    flat = rewrite_3d_convolutions(VolumeUNet().build()).model
    assert flat is not None
    kinds = [node.op_type for node in flat.graph.node]
    # Joined are one-channel images at the start of two sums; only the answer is cut out.
    assert kinds.count("Concat") == 2
    assert kinds.count("Where") == 0


def test_a_kind_of_convolution_that_no_rule_covers_leaves_the_network_plain() -> None:
    result = rewrite_3d_convolutions(VolumeUNet(group=2).build())
    assert result.model is None
    assert "Conv" in result.note
    assert "can be rewritten" in result.note


def test_a_network_without_3d_convolutions() -> None:
    network = VolumeUNet()
    network.add("Sigmoid", "image", out="probability")
    result = rewrite_3d_convolutions(network.model())
    assert result.model is None
    assert result.note == "the network has no 3D convolution"


def test_a_padding_that_changes_the_size_is_left_alone() -> None:
    network = VolumeUNet()
    x = network.add("Reshape", "image", network.whole([-1, 1, *network.shape]))
    for _ in range(12):
        x = network.convolution(x, 1, 1, (3, 3, 3))
    kernel = network.floats(1, 1, 3, 3, 3)
    x = network.add("Conv", x, kernel, kernel_shape=[3, 3, 3], pads=[2, 1, 1, 0, 1, 1])
    network.add("Reshape", x, network.whole([-1, *network.shape, 1]), out="probability")
    plain = network.model()
    flat = rewrite_3d_convolutions(plain).model
    assert flat is not None
    image = images(plain, 2)
    np.testing.assert_allclose(run(flat, image), run(plain, image), rtol=1e-3, atol=1e-4)
    assert (
        sum(
            helper.get_attribute_value(node.attribute[0]) == [3, 3, 3]
            for node in flat.graph.node
            if node.op_type == "Conv"
        )
        == 1
    )
