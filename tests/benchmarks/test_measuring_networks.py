"""The networks for measuring: of the size they are meant to have, and with meaningful outputs."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks.measuring_networks import widen
from convert.keras.frameworks import import_frameworks
from rcc_onnx.bundles.bundle import find_bundle
from rcc_onnx.phantom import network_samples
from rcc_onnx.runtime.session import open_networks
from rcc_onnx.types import NetworkName, ProviderName

SAME = 1e-4
"""The ignored channels add a few millionths before the sigmoid; rounding adds the rest."""


@pytest.mark.parametrize(("name", "millions"), [("kidney", 7.8), ("lesion", 5.6)])
def test_wide_networks_answer_as_the_trained_ones(
    name: NetworkName, millions: float, tmp_path: Path
) -> None:
    bundle = find_bundle("phantom")
    samples = network_samples(9)
    crop = samples.crops[-1]
    inputs = samples.slices[20:22] if name == "kidney" else crop[np.newaxis]
    values = inputs.astype(np.float32) / np.float32(255)
    widen(name, bundle.folder / bundle.manifest.networks[name].file, tmp_path / "wide.h5")
    keras = import_frameworks().tf_keras
    network = keras.models.load_model(str(tmp_path / "wide.h5"), compile=False)
    output = np.asarray(network(values[..., np.newaxis]))[..., 0]
    networks = open_networks(bundle, ProviderName.CPU, 2)
    if name == "kidney":
        trained = networks.kidney_probability(values)
    else:
        trained = networks.lesion_probability(values[0])[np.newaxis]
    assert round(network.count_params() / 1e6, 1) == millions
    assert trained.max() > 0.9
    np.testing.assert_allclose(output, trained, atol=SAME)
    # Not ignored by being zero: an optimiser may drop what is multiplied by nothing.
    last = network.layers[-1].get_weights()[0]
    assert (last != 0).all()
