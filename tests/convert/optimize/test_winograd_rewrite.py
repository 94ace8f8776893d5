"""Winograd's way against the plain convolution: the matrices, the rules of the pass, its limits."""

from typing import Any

import numpy as np
import onnx
import pytest

from convert.optimize import winograd_rewrite as module
from convert.optimize.winograd import TILE, matrices, share_of_time
from convert.optimize.winograd_rewrite import rewrite_wide_convolutions
from rcc_onnx.runtime.session import import_runtime
from tests.support.volume_networks import VolumeUNet

CLOSE = 2e-6
"""Probabilities here differ by 2e-7; a wrong place or weight shows in the second digit."""

NETWORKS: dict[str, dict[str, Any]] = {
    "plain": {},
    "not normalised": {"normalised": ""},
    "normalised after the activation": {"normalised": "after"},
    "another activation": {"activation": "Elu"},
    "a slope for each channel": {"activation": "PRelu"},
    "enlarged by repetition": {"up": "resize"},
    "added": {"join": "Add"},
    "average pooling": {"down": "AveragePool"},
    "no whole tiles": {"shape": (10, 6)},
    "smaller than a tile": {"shape": (2, 4)},
    "wide": {"width": 16},
}


@pytest.fixture
def every_width(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small networks are fast to test, and never worth rewriting."""
    monkeypatch.setattr(module, "share_of_time", lambda *_: 0.5)


def network(**options: Any) -> VolumeUNet:
    return VolumeUNet(**{"shape": (12, 16), "kernel": (3, 3)} | options)


def run(model: onnx.ModelProto, image: np.ndarray) -> np.ndarray:
    options = import_runtime().SessionOptions()
    options.log_severity_level = 3
    session = import_runtime().InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return np.asarray(session.run(None, {"image": image})[0])


@pytest.mark.usefixtures("every_width")
@pytest.mark.parametrize("name", NETWORKS)
def test_the_rewritten_network_computes_the_same(name: str) -> None:
    plain = network(**NETWORKS[name]).build()
    fast = rewrite_wide_convolutions(plain).model
    assert fast is not None
    shape = [one.dim_value for one in plain.graph.input[0].type.tensor_type.shape.dim][1:]
    for batch in (1, 3):
        image = np.random.default_rng(7).normal(0, 3, (batch, *shape)).astype(np.float32)
        expected = run(plain, image)
        # A network that answers the same everywhere would agree with anything.
        assert expected.std() > 0.01
        given = run(fast, image)
        assert (given.shape, given.dtype) == (expected.shape, expected.dtype)
        np.testing.assert_allclose(given, expected, rtol=0, atol=CLOSE)


@pytest.mark.usefixtures("every_width")
@pytest.mark.parametrize("name", NETWORKS)
def test_no_3x3_convolution_is_left(name: str) -> None:
    result = rewrite_wide_convolutions(network(**NETWORKS[name]).build())
    assert result.model is not None
    kernels = [
        tuple(attribute.ints)
        for node in result.model.graph.node
        for attribute in node.attribute
        if attribute.name == "kernel_shape" and node.op_type == "Conv"
    ]
    assert (3, 3) not in kernels
    assert result.note[0] == ("4" if NETWORKS[name].get("up") == "resize" else "3")


@pytest.mark.usefixtures("every_width")
def test_between_rewritten_convolutions_nothing_becomes_an_image_again() -> None:
    fast = rewrite_wide_convolutions(network().build()).model
    assert fast is not None
    kinds = [node.op_type for node in fast.graph.node]
    # Into rows after the input, and out of them before the last 1x1 convolution.
    assert kinds.count("Transpose") == 2
    assert not {"MaxPool", "ConvTranspose", "BatchNormalization"} & set(kinds)


@pytest.mark.usefixtures("every_width")
def test_what_no_rule_covers_stays_as_it_is() -> None:
    for options in ({"kernel": (5, 5)}, {"kernel": (1, 3)}, {"group": 2, "width": 2}):
        plain = network(**options).build()
        fast = rewrite_wide_convolutions(plain).model
        if options.get("group"):
            # The first convolution has one channel, and so no groups.
            assert fast is not None
            image = np.ones((2, 12, 16, 1), np.float32)
            np.testing.assert_allclose(run(fast, image), run(plain, image), rtol=0, atol=CLOSE)
        else:
            assert fast is None


@pytest.mark.usefixtures("every_width")
def test_ends_and_operator_set_stay_and_weights_are_stored_once() -> None:
    plain = network(width=16).build()
    fast = rewrite_wide_convolutions(plain).model
    assert fast is not None
    assert fast.graph.input == plain.graph.input
    assert fast.graph.output == plain.graph.output
    assert fast.opset_import == plain.opset_import
    assert {node.domain for node in fast.graph.node} == {""}
    stored = [
        sum(int(np.prod(weight.dims)) for weight in model.graph.initializer if len(weight.dims) > 1)
        for model in (plain, fast)
    ]
    assert stored[1] < 1.2 * stored[0] + 3 * 36 * 36 + 36 * 12 * 16


@pytest.mark.usefixtures("every_width")
def test_the_same_network_gives_the_same_bytes() -> None:
    twice = [rewrite_wide_convolutions(network().build()).model for _ in range(2)]
    one, other = (model.SerializeToString(deterministic=True) for model in twice if model)
    assert one == other


def test_a_narrow_network_is_left_as_it_is() -> None:
    result = rewrite_wide_convolutions(network(width=16).build())
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
    answers = (fixed.outputs @ products).reshape(TILE, TILE)
    views = np.lib.stride_tricks.sliding_window_view(window, (3, 3))
    np.testing.assert_allclose(answers, (views * kernel).sum(axis=(2, 3)), rtol=0, atol=1e-12)


def test_rounding_is_about_that_of_adding_up() -> None:
    """Sums over 64 channels, with the fixed matrices in float32."""
    fixed, rng = matrices(), np.random.default_rng(3)
    windows = rng.random((200, 64, 6, 6), np.float32)
    kernels = (rng.normal(size=(64, 3, 3)) / 17).astype(np.float32)
    values, weights, answers = (
        one.astype(np.float32) for one in (fixed.values, fixed.weights, fixed.outputs)
    )
    turned = windows.reshape(200, 64, 36) @ values.T
    kernel = kernels.reshape(64, 9) @ weights.T
    products = np.einsum("tcp,cp->tp", turned, kernel)
    given = products @ answers.T
    views = np.lib.stride_tricks.sliding_window_view(windows.astype(np.float64), (3, 3), (2, 3))
    expected = np.einsum("tcyxkl,ckl->tyx", views, kernels).reshape(200, 16)
    assert np.sqrt(((given - expected) ** 2).mean()) < 1.2e-6
