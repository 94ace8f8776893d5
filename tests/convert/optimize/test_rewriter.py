"""Every rewriting pass on the same networks: what must hold for all of them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import pytest

from convert.optimize import winograd_rewrite
from convert.optimize.calibration import observed_ranges
from convert.optimize.conv3d_to_conv2d import rewrite_3d_convolutions
from convert.optimize.float16 import to_float16
from convert.optimize.quantize_int8 import to_int8
from convert.optimize.winograd_rewrite import rewrite_wide_convolutions
from tests.support.onnx_unets import UNETS, OnnxUNet, input_shape, run_onnx

IMAGE_UNET = {"shape": (12, 16), "kernel": (3, 3)}


@dataclass(frozen=True)
class Pass:
    """A pass, the networks it is tested on, and how far their probabilities may move.

    Attributes:
        least: difference that rounding must cause; without any, nothing was rewritten.
        spread: of the inputs.
    """

    rewrite: Callable[[onnx.ModelProto], onnx.ModelProto | None]
    unets: dict[str, dict[str, Any]]
    most: float
    least: float = 0.0
    spread: tuple[float, float] = (-6, 6)
    batches: tuple[int, ...] = (1, 3)


def quantized(plain: onnx.ModelProto) -> onnx.ModelProto:
    rng = np.random.default_rng(7)
    images = [rng.random((1, *input_shape(plain)), np.float32) for _ in range(4)]
    return to_int8(plain, observed_ranges(plain, images))


SOME = ("plain", "normalised after the activation", "a slope for each channel")
FLOAT16 = {name: UNETS[name] for name in (*SOME, "upsampled by repetition")}
PASSES = {
    # Sums of some hundred products in another order; probabilities differ by 1e-7.
    "3D as 2D": Pass(
        lambda plain: rewrite_3d_convolutions(plain).model,
        UNETS
        | {
            "odd halves": {"shape": (6, 10, 2)},
            "long kernel": {"kernel": (5, 5, 3)},
            "flat kernel": {"kernel": (1, 3, 3)},
            "kernel of one row": {"kernel": (3, 1, 5)},
            "two channels": {"width": 2},
        },
        most=2e-6,
    ),
    # 2e-7; a wrong index or weight shows in the second digit.
    "Winograd": Pass(
        lambda plain: rewrite_wide_convolutions(plain).model,
        {name: IMAGE_UNET | options for name, options in UNETS.items()}
        | {
            "no whole tiles": IMAGE_UNET | {"shape": (10, 6)},
            "smaller than a tile": IMAGE_UNET | {"shape": (2, 4)},
        },
        most=2e-6,
    ),
    # float16 keeps three digits; the networks are eight layers deep.
    "float16": Pass(to_float16, FLOAT16, most=5e-3, least=1e-5, batches=(2,)),
    "float16, emulated": Pass(
        lambda plain: to_float16(plain, emulated=True), FLOAT16, 5e-3, 1e-5, batches=(2,)
    ),
    # A wrong layout, scale or zero costs far more; see the last test of int8.
    "int8": Pass(
        quantized,
        UNETS
        | {
            "odd sizes": {"shape": (6, 10, 2)},
            "groups, which no rule covers": {"group": 2},
            "long kernel": {"kernel": (5, 5, 3)},
            "flat kernel": {"kernel": (1, 3, 3)},
        },
        most=0.03,
        least=1e-5,
        spread=(0, 1),
        batches=(1,),
    ),
    "int8, images": Pass(
        quantized,
        {name: IMAGE_UNET | UNETS[name] for name in (*SOME[:2], "another activation")},
        most=0.03,
        least=1e-5,
        spread=(0, 1),
    ),
}
CASES = [(kind, name) for kind, entry in PASSES.items() for name in entry.unets]


@pytest.fixture(autouse=True)
def every_width(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Rewrite small networks too, which are fast to test and never worth Winograd's method."""
    monkeypatch.setattr(winograd_rewrite, "share_of_time", lambda *_: 0.5)
    return


def both(kind: str, name: str) -> tuple[onnx.ModelProto, onnx.ModelProto]:
    plain = OnnxUNet(**PASSES[kind].unets[name]).build()
    rewritten = PASSES[kind].rewrite(plain)
    assert rewritten is not None
    return plain, rewritten


@pytest.mark.parametrize(("kind", "name"), CASES)
def test_the_rewritten_network_computes_the_same(kind: str, name: str) -> None:
    plain, rewritten = both(kind, name)
    entry, rng = PASSES[kind], np.random.default_rng(8)
    for batch in entry.batches:
        image = rng.uniform(*entry.spread, (batch, *input_shape(plain))).astype(np.float32)
        expected, given = run_onnx(plain, image), run_onnx(rewritten, image)
        # A network that gives the same everywhere would agree with anything.
        assert expected.std() > 0.005
        assert (given.shape, given.dtype) == (expected.shape, np.float32)
        difference = np.abs(given - expected)
        assert entry.least <= difference.max() <= entry.most
        assert difference.mean() < 0.15 * expected.std()


@pytest.mark.parametrize("kind", PASSES)
def test_inputs_outputs_and_operator_set_stay_and_bytes_depend_on_nothing_else(kind: str) -> None:
    plain, rewritten = both(kind, "plain")
    assert rewritten.graph.input == plain.graph.input
    assert rewritten.graph.output == plain.graph.output
    assert rewritten.opset_import == plain.opset_import
    assert {node.domain for node in rewritten.graph.node} == {""}
    again = both(kind, "plain")[1]
    first, second = (model.SerializeToString(deterministic=True) for model in (rewritten, again))
    assert first == second
