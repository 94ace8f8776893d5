"""Check that a bundle is whole and that its networks run."""

from dataclasses import replace

import numpy as np

from rcc_onnx.bundles.bundle import Bundle
from rcc_onnx.bundles.manifest import NETWORK_NAMES
from rcc_onnx.runtime.providers import ProviderRecord
from rcc_onnx.runtime.self_test import self_test
from rcc_onnx.runtime.session import open_network, open_networks
from rcc_onnx.types import CROP_SHAPE_ZYX, SLICE_SHAPE, ProviderName


def verify_bundle(bundle: Bundle) -> ProviderRecord:
    """Check hashes, shapes and operators, and run both networks once on zeros, on the CPU.

    So does every variant. The variants that the CPU takes by itself are compared with the stored
    answers. Returns what ran them.

    Raises:
        BundleError: a file is missing, changed, or not what the manifest says.
        NetworkError: a network cannot be loaded or answers nonsense.
        ProviderDisagreesError: the answers are not the stored ones.
    """
    bundle.check()
    for name in NETWORK_NAMES:
        entry = bundle.manifest.networks[name]
        shape = SLICE_SHAPE if name == "kidney" else CROP_SHAPE_ZYX
        for variant in entry.variant_names:
            network = open_network(name, bundle.read_network(name, variant), entry.variant(variant))
            network.probability(np.zeros((1, *shape), np.float32))
    networks = open_networks(bundle, ProviderName.CPU)
    tested = self_test(networks, networks.record, bundle.manifest, bundle.read_reference_outputs())
    return replace(networks.record, self_test=tested)
