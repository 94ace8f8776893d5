"""3D convolutions as 2D ones: what is rewritten, and what is left (see also test_rewriter)."""

import numpy as np

from convert.optimize.conv3d_to_conv2d import rewrite_3d_convolutions
from tests.support.onnx_unets import UNETS, OnnxUNet, kernel_shapes, run_onnx


def test_no_3d_convolution_is_left() -> None:
    for options in UNETS.values():
        flat = rewrite_3d_convolutions(OnnxUNet(**options).build()).model
        assert flat is not None
        assert {len(shape) for shape in kernel_shapes(flat)} == {2}


def test_weights_are_not_stored_more_than_once() -> None:
    plain = OnnxUNet(width=16, normalised="").build()
    flat = rewrite_3d_convolutions(plain).model
    assert flat is not None
    # Only blank rows and shapes are added.
    assert flat.ByteSize() < 1.2 * plain.ByteSize()


def test_volumes_pass_between_convolutions_without_being_moved() -> None:
    flat = rewrite_3d_convolutions(OnnxUNet().build()).model
    assert flat is not None
    kinds = [node.op_type for node in flat.graph.node]
    # Joined are one-channel images at the start of two sums; only the output is cut out.
    assert kinds.count("Concat") == 2
    assert kinds.count("Where") == 0


def test_a_kind_of_convolution_that_no_rule_covers_leaves_the_network_plain() -> None:
    result = rewrite_3d_convolutions(OnnxUNet(group=2).build())
    assert result.model is None
    assert "Conv" in result.note
    assert "can be rewritten" in result.note


def test_a_network_without_3d_convolutions() -> None:
    network = OnnxUNet()
    network.add("Sigmoid", "image", out="probability")
    result = rewrite_3d_convolutions(network.model())
    assert result.model is None
    assert result.note == "the network has no 3D convolution"


def test_a_padding_that_changes_the_size_is_left_alone() -> None:
    network = OnnxUNet()
    x = network.add("Reshape", "image", network.whole([-1, 1, *network.shape]))
    for _ in range(12):
        x = network.convolution(x, 1, 1, (3, 3, 3))
    kernel = network.floats(1, 1, 3, 3, 3)
    x = network.add("Conv", x, kernel, kernel_shape=[3, 3, 3], pads=[2, 1, 1, 0, 1, 1])
    network.add("Reshape", x, network.whole([-1, *network.shape, 1]), out="probability")
    plain = network.model()
    flat = rewrite_3d_convolutions(plain).model
    assert flat is not None
    image = np.random.default_rng(7).normal(0, 3, (2, *network.shape, 1)).astype(np.float32)
    np.testing.assert_allclose(run_onnx(flat, image), run_onnx(plain, image), rtol=1e-3, atol=1e-4)
    assert kernel_shapes(flat).count((3, 3, 3)) == 1
