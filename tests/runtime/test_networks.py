"""The fake networks, and the checks that fake and real share."""

import numpy as np
import pytest

from rcc_onnx.errors import NetworkError, NetworkOutputError
from rcc_onnx.runtime.networks import FakeNetworks, Networks, check_probability
from tests.support.errors import raises_code


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
    "slices",
    [
        np.zeros((1, 160, 160), np.float64),
        np.zeros((160, 160), np.float32),
        np.zeros((1, 160, 160, 1), np.float32),
        np.zeros((1, 160, 80), np.float32),
    ],
)
def test_slices_of_a_wrong_kind(slices: np.ndarray) -> None:
    with raises_code("network-input"):
        FakeNetworks().kidney_probability(slices)


@pytest.mark.parametrize(
    "crop", [np.zeros((40, 64, 64), np.uint8), np.zeros((1, 40, 64, 64), np.float32)]
)
def test_crop_of_a_wrong_kind(crop: np.ndarray) -> None:
    with raises_code("network-input"):
        FakeNetworks().lesion_probability(crop)


@pytest.mark.parametrize("value", [0.0, 1.0, -9e-6, 1.000009])
def test_probabilities_within_the_tolerance_are_handed_on(value: float) -> None:
    answer = np.full((2, 2), value, np.float32)
    assert check_probability(answer, (2, 2), "kidney") is answer


def test_no_answer_to_no_input() -> None:
    answer = np.zeros((0, 2), np.float32)
    assert check_probability(answer, (0, 2), "kidney") is answer


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (np.full((2, 2), np.nan, np.float32), "not finite"),
        (np.full((2, 2), np.inf, np.float32), "not finite"),
        (np.full((2, 2), -2e-5, np.float32), "no probability"),
        (np.full((2, 2), 1.00002, np.float32), "no probability"),
        (np.zeros((2, 3), np.float32), r"\(2, 3\)"),
        (np.zeros((2, 2), np.float64), "float64"),
    ],
)
def test_answers_that_are_refused(answer: np.ndarray, words: str) -> None:
    with pytest.raises(NetworkOutputError, match=words) as caught:
        check_probability(answer, (2, 2), "kidney")
    assert caught.value.code == "network-output"
    assert isinstance(caught.value, NetworkError)
