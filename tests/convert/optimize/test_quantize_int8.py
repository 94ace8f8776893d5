"""Networks in 8-bit integers against their float32 version (see also test_rewriter)."""

import numpy as np
import onnx
import pytest

from convert.errors import QuantizeError
from convert.optimize.calibration import observed_ranges
from convert.optimize.qdq import WEIGHT_LEVELS
from convert.optimize.quantize_int8 import to_int8
from tests.support.onnx_unets import OnnxUNet, run_onnx

ROUNDING = 0.03
"""Probability that 8 bits may cost in these networks, whose outputs spread over 0.1 and more."""


def images(shape: tuple[int, ...], count: int) -> list[np.ndarray]:
    rng = np.random.default_rng(7)
    return [rng.random((1, *shape, 1), np.float32) for _ in range(count)]


def quantized(plain: onnx.ModelProto, shape: tuple[int, ...]) -> onnx.ModelProto:
    return to_int8(plain, observed_ranges(plain, images(shape, 4)))


def test_slices_in_any_batch() -> None:
    shape = (8, 6)
    small = quantized(OnnxUNet(shape=shape, kernel=(3, 3)).build(), shape)
    image = np.concatenate(images(shape, 3))
    np.testing.assert_array_equal(run_onnx(small, image)[1:2], run_onnx(small, image[1:2]))


def test_every_convolution_but_the_last_is_of_bytes() -> None:
    plain = OnnxUNet().build()
    small = quantized(plain, OnnxUNet().shape)
    producers = {node.output[0]: node.op_type for node in small.graph.node}
    kinds = [
        [producers.get(name, "weight") for name in node.input]
        for node in small.graph.node
        if node.op_type == "Conv"
    ]
    assert kinds[-1][1:] == ["weight", "weight"]
    assert all(set(inputs) == {"DequantizeLinear"} for inputs in kinds[:-1])
    assert len(kinds) == 5
    assert {node.domain for node in small.graph.node} == {""}


def test_no_sum_of_two_products_leaves_16_bits() -> None:
    assert 2 * 255 * WEIGHT_LEVELS < 2**15
    small = quantized(OnnxUNet(width=16).build(), OnnxUNet().shape)
    weights = [
        onnx.numpy_helper.to_array(weight)
        for weight in small.graph.initializer
        if weight.data_type == onnx.TensorProto.INT8 and len(weight.dims) == 4
    ]
    assert weights
    assert max(int(np.abs(values.astype(int)).max()) for values in weights) == WEIGHT_LEVELS


def test_the_image_keeps_every_grey_value() -> None:
    plain = OnnxUNet().build()
    grey = [np.linspace(0, 255, 192).round().astype(np.float32).reshape(1, 4, 8, 6, 1) / 255]
    ranges = observed_ranges(plain, grey)
    assert ranges["image"] == (0.0, 1.0)


def test_ranges_cover_what_was_seen_and_are_shared_where_tensors_are_joined() -> None:
    plain = OnnxUNet().build()
    ranges = observed_ranges(plain, images(OnnxUNet().shape, 2))
    joined = next(node for node in plain.graph.node if node.op_type == "Concat")
    assert len({ranges[name] for name in (*joined.input, *joined.output)}) == 1
    assert all(low <= 0 <= high for low, high in ranges.values())
    first = next(node for node in plain.graph.node if node.op_type == "Conv").output[0]
    watched = onnx.ModelProto()
    watched.CopyFrom(plain)
    watched.graph.output.insert(
        0, next(value for value in plain.graph.value_info if value.name == first)
    )
    values = np.concatenate([run_onnx(watched, image) for image in images(OnnxUNet().shape, 2)])
    assert ranges[first] == pytest.approx((values.min(), values.max()))


def test_a_network_that_has_no_such_form() -> None:
    network = OnnxUNet()
    network.add("Sigmoid", "image", out="probability")
    with pytest.raises(QuantizeError, match="no convolution") as raised:
        to_int8(network.model(), {})
    assert raised.value.code == "convert-quantize"


def test_a_wrong_range_shows() -> None:
    plain = OnnxUNet().build()
    ranges = observed_ranges(plain, images(OnnxUNet().shape, 4))
    image = images(OnnxUNet().shape, 1)[0]
    spoilt = {name: (low / 4, high / 4) for name, (low, high) in ranges.items()}
    difference = np.abs(run_onnx(to_int8(plain, spoilt), image) - run_onnx(plain, image)).max()
    assert difference > ROUNDING
