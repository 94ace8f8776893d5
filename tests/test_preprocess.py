"""The network volume: bit for bit what the published notebook computes."""

import numpy as np
import pytest

from rcc_onnx.intake import read_study
from rcc_onnx.preprocess import network_input, network_volume, window
from rcc_onnx.values import Profile
from tests.conftest import REFERENCE

CASES = sorted(path.stem for path in (REFERENCE / "expected").glob("*.npz"))


def test_nine_cases_are_there():
    assert len(CASES) == 9


@pytest.mark.parametrize("case", CASES)
def test_notebook_volume_equals_the_published_one(case, reference_cases):
    expected = np.load(REFERENCE / "expected" / f"{case}.npz")["volume"]
    volume = network_volume(read_study(reference_cases / case, Profile.NOTEBOOK))
    assert volume.values.dtype == expected.dtype
    np.testing.assert_array_equal(volume.values, expected)


def test_padding_is_recorded(reference_cases):
    case = reference_cases / "d02_unsigned_2p5mm_left_lesion_zpad"
    volume = network_volume(read_study(case, Profile.NOTEBOOK))
    assert (volume.real_slices, volume.padding_before, len(volume.values)) == (30, 5, 40)
    assert not volume.values[:5].any()
    assert not volume.values[35:].any()


def test_network_input_is_the_double_quotient_rounded_to_single():
    values = np.arange(256, dtype=np.uint8)
    found = network_input(values)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, (values / 255).astype(np.float32))


def test_window_clips_and_rounds_halves_to_even():
    hu = np.array([-3000.0, -160.0, -120.0, 40.0, 200.0, 240.0, 3000.0])
    # -120 is 25.5, 40 is 127.5, 200 is 229.5 before rounding.
    assert window(hu).tolist() == [0, 0, 26, 128, 230, 255, 255]
