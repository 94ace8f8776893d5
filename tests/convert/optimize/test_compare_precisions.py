"""The studies that precisions are compared on, and the figures of a comparison."""

from pathlib import Path

import numpy as np
import pytest

from convert.optimize.compare_precisions import Tally, phantom_studies, user_studies
from rcc_onnx.phantom.study import make_phantom_folder
from rcc_onnx.types import Thresholds
from tests.support.fake_networks import FakeNetworks


def test_phantoms() -> None:
    (study,) = phantom_studies([1])
    assert study.slices.shape[1:] == (160, 160)
    assert study.crops.shape[1:] == (40, 64, 64)
    for values in (study.slices, study.crops):
        assert values.dtype == np.float32
        assert 0.5 < values.max() <= 1


def test_studies_of_the_user(tmp_path: Path) -> None:
    make_phantom_folder(1, tmp_path / "studies")
    # Every tissue is kidney to this stand-in, so there is one on both sides.
    networks = FakeNetworks(kidney_level=0.3)
    (study,) = user_studies(tmp_path / "studies", networks, Thresholds())
    assert study.slices.shape[1:] == (160, 160)
    assert len(study.slices) >= 40
    assert study.crops.shape == (2, 40, 64, 64)
    assert study.crops.dtype == np.float32
    (blind,) = user_studies(tmp_path / "studies", FakeNetworks(kidney_level=2), Thresholds())
    assert blind.crops.shape == (0, 40, 64, 64)


def map_of(value: float) -> np.ndarray:
    volume = np.zeros((40, 64, 64), np.float32)
    volume[3, :10, :10] = value
    return volume


def test_a_tally() -> None:
    tally = Tally(threshold=50.0)
    tally.add(map_of(0.9), map_of(0.9), ((1, 2, 3), (1, 2, 3)))
    assert (tally.decided, tally.differing, tally.located, tally.moved) == (1, 0, 1, 0)
    tally.add(map_of(0.9), map_of(0.8), ((1, 2, 3), (1, 2, 4)))
    assert (tally.differing, tally.located, tally.moved) == (0, 2, 1)
    assert tally.largest == pytest.approx(0.1)
    assert tally.largest_sum == pytest.approx(10 / 90)
    tally.add(map_of(0.6), map_of(0.4), ((1, 2, 3), (1, 2, 3)))
    assert tally.differing == 1
    assert tally.least_dice == 0
    assert tally.closest == pytest.approx(1.2)
    tally.add(map_of(0.9), map_of(0.9), ((1, 2, 3), None))
    assert tally.differing == 2
    # Below the threshold nothing is located, whatever a search would give.
    tally.add(map_of(0.1), map_of(0.1), ((1, 2, 3), None))
    assert tally.differing == 2
