"""The checks of inputs and outputs that all networks share, and the fake networks of the tests."""

import numpy as np
import pytest

from rcc_onnx.errors import NetworkError, NetworkOutputError, ProbabilityMapError
from rcc_onnx.runtime.networks import Networks, check_probability, split_sides
from tests.support.errors import raises_code
from tests.support.fake_networks import FakeNetworks


def test_fake_networks_mark_what_is_bright() -> None:
    networks: Networks = FakeNetworks()
    slices = np.zeros((3, 160, 160), np.float32)
    slices[1, 2, 3] = 0.5
    kidney = networks.kidney_probability(slices)
    assert kidney.dtype == np.float32
    assert kidney.shape == slices.shape
    assert np.argwhere(kidney).tolist() == [[1, 2, 3]]
    crop = np.full((40, 64, 64), 0.74, np.float32)
    crop[4, 5, 6] = 0.75
    assert np.argwhere(networks.lesion_probability(crop)).tolist() == [[4, 5, 6]]


@pytest.mark.parametrize(
    ("network", "shape", "dtype"),
    [
        ("kidney", (1, 160, 160), np.float64),
        ("kidney", (160, 160), np.float32),
        ("kidney", (1, 160, 160, 1), np.float32),
        ("kidney", (1, 160, 80), np.float32),
        ("lesion", (40, 64, 64), np.uint8),
        ("lesion", (1, 40, 64, 64), np.float32),
    ],
)
def test_inputs_of_a_wrong_kind(network: str, shape: tuple[int, ...], dtype: type) -> None:
    with raises_code("network-input"):
        getattr(FakeNetworks(), f"{network}_probability")(np.zeros(shape, dtype))


@pytest.mark.parametrize("values", [[0.0], [1.0], [-9e-6], [1.000009], []])
def test_probabilities_within_the_tolerance_are_handed_on(values: list[float]) -> None:
    output = np.array(values, np.float32)
    assert check_probability(output, (len(values),), "kidney") is output


@pytest.mark.parametrize(
    ("output", "words"),
    [
        (np.full((2, 2), np.nan, np.float32), "not finite"),
        (np.full((2, 2), np.inf, np.float32), "not finite"),
        (np.full((2, 2), -2e-5, np.float32), "not a probability"),
        (np.full((2, 2), 1.00002, np.float32), "not a probability"),
        (np.zeros((2, 3), np.float32), r"\(2, 3\)"),
        (np.zeros((2, 2), np.float64), "float64"),
    ],
)
def test_outputs_that_are_refused(output: np.ndarray, words: str) -> None:
    with pytest.raises(NetworkOutputError, match=words) as caught:
        check_probability(output, (2, 2), "kidney")
    assert caught.value.code == "network-output"
    assert isinstance(caught.value, NetworkError)


def test_sides_are_the_patients():
    volume = np.zeros((40, 160, 160), np.uint8)
    volume[:, :, 79] = 1
    volume[:, :, 80] = 2
    sides = split_sides(volume)
    assert list(sides) == ["right", "left"]
    assert sides["right"].shape == sides["left"].shape == (40, 160, 80)
    assert (sides["right"][0, 0, 79], sides["left"][0, 0, 0]) == (1, 2)


@pytest.mark.parametrize("shape", [(40, 160, 80), (160, 160), (40, 64, 64)])
def test_only_a_whole_volume_is_split(shape):
    with pytest.raises(ProbabilityMapError):
        split_sides(np.zeros(shape))
