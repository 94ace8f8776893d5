"""Check that a bundle is whole and that its networks run."""

import numpy as np

from rcc_onnx.bundles import Bundle
from rcc_onnx.providers import ProviderName, ProviderRecord
from rcc_onnx.sessions import open_networks
from rcc_onnx.values import CROP_SHAPE_ZYX, GRID_SIZE


def verify_bundle(bundle: Bundle) -> ProviderRecord:
    """Check hashes, shapes and operators, and run both networks once on zeros, on the CPU.

    Returns what ran them.

    Raises:
        BundleError: a file is missing, changed, or not what the manifest says.
        NetworkError: a network cannot be loaded or answers nonsense.
    """
    bundle.check()
    networks = open_networks(bundle, ProviderName.CPU)
    networks.kidney_probability(np.zeros((1, GRID_SIZE, GRID_SIZE), np.float32))
    networks.lesion_probability(np.zeros(CROP_SHAPE_ZYX, np.float32))
    return networks.record
