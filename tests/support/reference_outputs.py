"""Reference outputs of the networks of `tiny_networks`, and bundles that hold some."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from rcc_onnx.bundles.bundle import load_bundle
from rcc_onnx.bundles.manifest import REFERENCE_OUTPUTS_FILE
from rcc_onnx.bundles.reference_outputs import ReferenceOutputs, write_reference_outputs
from rcc_onnx.runtime.networks import network_input
from rcc_onnx.runtime.session import open_networks
from rcc_onnx.types import ProviderName
from tests.support.tiny_networks import write_bundle


def reference_outputs_of(folder: Path, slices: int = 2) -> ReferenceOutputs:
    """Return what a bundle's networks give on the CPU for noise."""
    rng = np.random.default_rng(7)
    seen = rng.integers(0, 256, (slices, 160, 160)).astype(np.uint8)
    crop = rng.integers(0, 256, (40, 64, 64)).astype(np.uint8)
    networks = open_networks(load_bundle(folder), ProviderName.CPU)
    return ReferenceOutputs(
        seen,
        crop,
        networks.kidney_probability(network_input(seen)),
        networks.lesion_probability(network_input(crop)),
    )


def put_reference_outputs(folder: Path, data: bytes) -> Path:
    """Put a file of reference outputs into a bundle, whatever it holds, with its hash."""
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["reference_outputs"] = {
        "file": REFERENCE_OUTPUTS_FILE,
        "sha256": hashlib.sha256(data).hexdigest(),
    }
    (folder / REFERENCE_OUTPUTS_FILE).write_bytes(data)
    path.write_text(json.dumps(manifest))
    return folder


def bundle_with_reference_outputs(folder: Path, off_by: float = 0.0, **changes: Any) -> Path:
    """Write a tiny bundle whose reference outputs are its own, the lesion's off by so much."""
    write_bundle(folder, **changes)
    outputs = reference_outputs_of(folder)
    lesion = np.clip(outputs.lesion + np.float32(off_by), 0, 1).astype(np.float32)
    return put_reference_outputs(folder, write_reference_outputs(replace(outputs, lesion=lesion)))
