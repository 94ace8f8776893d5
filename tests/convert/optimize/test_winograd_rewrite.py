"""Winograd's method: its matrices, what is rewritten, and what is left (see also test_rewriter)."""

from typing import Any

import numpy as np
import onnx
import pytest

from convert.optimize import winograd_rewrite as module
from convert.optimize.winograd import TILE, matrices, share_of_time
from convert.optimize.winograd_rewrite import rewrite_wide_convolutions
from tests.support.onnx_unets import UNETS, OnnxUNet, kernel_shapes, run_onnx


@pytest.fixture
def every_width(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rewrite small networks too, which are fast to test and never worth it."""
    monkeypatch.setattr(module, "share_of_time", lambda *_: 0.5)


def network(**options: Any) -> onnx.ModelProto:
    return OnnxUNet(**{"shape": (12, 16), "kernel": (3, 3)} | options).build()


@pytest.mark.usefixtures("every_width")
def test_no_3x3_convolution_is_left() -> None:
    for options in UNETS.values():
        result = rewrite_wide_convolutions(network(**options))
        assert result.model is not None
        assert (3, 3) not in kernel_shapes(result.model)
        assert result.note[0] == ("4" if options.get("up") == "resize" else "3")


@pytest.mark.usefixtures("every_width")
def test_between_rewritten_convolutions_nothing_becomes_an_image_again() -> None:
    fast = rewrite_wide_convolutions(network()).model
    assert fast is not None
    kinds = [node.op_type for node in fast.graph.node]
    # Into rows after the input, and out of them before the last 1x1 convolution.
    assert kinds.count("Transpose") == 2
    assert not {"MaxPool", "ConvTranspose", "BatchNormalization"} & set(kinds)


@pytest.mark.usefixtures("every_width")
def test_what_no_rule_covers_stays_as_it_is() -> None:
    for kernel in ((5, 5), (1, 3)):
        assert rewrite_wide_convolutions(network(kernel=kernel)).model is None
    # The first convolution has one channel, and so no groups.
    plain = network(group=2, width=2)
    fast = rewrite_wide_convolutions(plain).model
    assert fast is not None
    image = np.ones((2, 12, 16, 1), np.float32)
    np.testing.assert_allclose(run_onnx(fast, image), run_onnx(plain, image), rtol=0, atol=2e-6)


@pytest.mark.usefixtures("every_width")
def test_weights_are_stored_once() -> None:
    plain = network(width=16)
    fast = rewrite_wide_convolutions(plain).model
    assert fast is not None
    stored = [
        sum(int(np.prod(weight.dims)) for weight in model.graph.initializer if len(weight.dims) > 1)
        for model in (plain, fast)
    ]
    assert stored[1] < 1.2 * stored[0] + 3 * 36 * 36 + 36 * 12 * 16


def test_a_narrow_network_is_left_as_it_is() -> None:
    result = rewrite_wide_convolutions(network(width=16))
    assert result.model is None
    assert "too few wide" in result.note


@pytest.mark.parametrize(
    ("inside", "outside", "edge", "worth"),
    [
        (32, 32, 160, False),
        (64, 64, 80, False),
        (128, 128, 40, True),
        (512, 256, 20, True),
        # So few tiles that arranging the weights takes longer.
        (512, 512, 10, False),
    ],
)
def test_which_layers_are_worth_it(inside: int, outside: int, edge: int, worth: bool) -> None:
    share = share_of_time(inside, outside, (edge, edge))
    assert (share <= module.MAX_LAYER_SHARE) is worth


def test_the_matrices_are_a_convolution() -> None:
    """In float64 there is nothing but its rounding."""
    fixed, rng = matrices(), np.random.default_rng(3)
    window, kernel = rng.normal(size=(TILE + 2, TILE + 2)), rng.normal(size=(3, 3))
    products = (fixed.values @ window.ravel()) * (fixed.weights @ kernel.ravel())
    outputs = (fixed.outputs @ products).reshape(TILE, TILE)
    views = np.lib.stride_tricks.sliding_window_view(window, (3, 3))
    np.testing.assert_allclose(outputs, (views * kernel).sum(axis=(2, 3)), rtol=0, atol=1e-12)


def test_rounding_is_about_that_of_adding_up() -> None:
    """Sums over 64 channels, with the fixed matrices in float32."""
    fixed, rng = matrices(), np.random.default_rng(3)
    windows = rng.random((200, 64, 6, 6), np.float32)
    kernels = (rng.normal(size=(64, 3, 3)) / 17).astype(np.float32)
    values, weights, outputs = (
        matrix.astype(np.float32) for matrix in (fixed.values, fixed.weights, fixed.outputs)
    )
    transformed = windows.reshape(200, 64, 36) @ values.T
    kernel = kernels.reshape(64, 9) @ weights.T
    products = np.einsum("tcp,cp->tp", transformed, kernel)
    given = products @ outputs.T
    views = np.lib.stride_tricks.sliding_window_view(windows.astype(np.float64), (3, 3), (2, 3))
    expected = np.einsum("tcyxkl,ckl->tyx", views, kernels).reshape(200, 16)
    assert np.sqrt(((given - expected) ** 2).mean()) < 1.2e-6
