"""What the networks see of studies, drawn or read."""

from pathlib import Path

import numpy as np

from convert.optimize.compare_precisions import phantom_studies, user_studies
from rcc_onnx.phantom.study import make_phantom_folder
from rcc_onnx.runtime.networks import FakeNetworks
from rcc_onnx.types import Thresholds


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
