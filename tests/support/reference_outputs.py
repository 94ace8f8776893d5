"""Reference outputs for tests: those of `tiny_networks`, and bundles that hold them."""

import hashlib
import json
from pathlib import Path

import numpy as np

from rcc_onnx.bundles.bundle import load_bundle
from rcc_onnx.bundles.manifest import REFERENCE_OUTPUTS_FILE
from rcc_onnx.bundles.reference_outputs import ReferenceOutputs, write_reference_outputs
from rcc_onnx.runtime.networks import network_input
from rcc_onnx.runtime.session import open_networks
from rcc_onnx.types import ProviderName
from tests.support.tiny_networks import write_bundle


def reference_outputs_of(folder: Path, slices: int = 2) -> ReferenceOutputs:
    """Return the outputs of a bundle's networks for noise, on the CPU."""
    rng = np.random.default_rng(7)
    images = rng.integers(0, 256, (slices, 160, 160)).astype(np.uint8)
    crop = rng.integers(0, 256, (40, 64, 64)).astype(np.uint8)
    networks = open_networks(load_bundle(folder), ProviderName.CPU)
    return ReferenceOutputs(
        images,
        crop,
        networks.kidney_probability(network_input(images)),
        networks.lesion_probability(network_input(crop)),
    )


def put_reference_outputs(folder: Path, data: bytes) -> Path:
    """Put a file of reference outputs into a bundle, whatever it holds, with its hash."""
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text())
    entry = {"file": REFERENCE_OUTPUTS_FILE, "sha256": hashlib.sha256(data).hexdigest()}
    manifest["reference_outputs"] = entry
    (folder / REFERENCE_OUTPUTS_FILE).write_bytes(data)
    path.write_text(json.dumps(manifest))
    return folder


def bundle_with_reference_outputs(folder: Path, off_by: float = 0.0) -> Path:
    """Write a tiny bundle with its outputs, those of the lesion network changed by so much."""
    write_bundle(folder)
    outputs = reference_outputs_of(folder)
    lesion = np.clip(outputs.lesion + np.float32(off_by), 0, 1).astype(np.float32)
    changed = ReferenceOutputs(outputs.slices, outputs.crop, outputs.kidney, lesion)
    return put_reference_outputs(folder, write_reference_outputs(changed))
