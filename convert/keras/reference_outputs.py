"""Makes the reference outputs of a bundle: a few inputs, and what its Keras networks compute.

The engine compares a machine with them before it analyses anything. Every conversion makes them;
`add_reference_outputs` makes them for a bundle that exists, from its source files.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from convert.bundle import bundle_files, write_folder
from convert.errors import ParityError, SourceMismatchError
from convert.keras.architecture import EXPECTED_SHAPES
from convert.keras.frameworks import import_frameworks
from convert.keras.network import build_network
from convert.keras.source import InspectedSource, inspect_files
from convert.keras.verification import TOLERANCE, Network, open_converted, sample_groups
from rcc_onnx.bundles.bundle import Bundle, load_bundle
from rcc_onnx.bundles.manifest import (
    MANIFEST_FILE,
    REFERENCE_OUTPUTS_FILE,
    ByNetwork,
    ReferenceOutputsEntry,
)
from rcc_onnx.bundles.reference_outputs import (
    ReferenceOutputs,
    read_reference_outputs,
    write_reference_outputs,
)
from rcc_onnx.errors import ProviderDisagreesError
from rcc_onnx.pipeline.localization import LESION_MIN_PROBABILITY
from rcc_onnx.runtime.networks import network_input
from rcc_onnx.runtime.providers import SelfTestRecord
from rcc_onnx.runtime.self_test import self_test
from rcc_onnx.runtime.session import open_networks
from rcc_onnx.system.documents import document_bytes
from rcc_onnx.types import NETWORK_NAMES, NetworkName, Precision, ProviderName

KEPT_SLICES = 2
"""In two slices through the middle of a kidney its sum is above the usual threshold."""
GREY_STEP = 8
"""Grey values are rounded to multiples of this: noise then takes half the space in the file."""


@dataclass(frozen=True)
class NetworkOutputs:
    """Inputs and outputs of one network.

    Attributes:
        inputs: uint8 (n, ...), without a channel, as the network sees them times 255.
        outputs: float32, the same shape: probabilities.
    """

    inputs: NDArray[np.uint8]
    outputs: NDArray[np.float32]


def choose_reference_outputs(
    network: NetworkName, reference: Network, converted: Network
) -> NetworkOutputs:
    """Choose the phantoms of the comparison on which most is found, and run the reference.

    An input counts by its pixels on the smaller side of 0.5, so that outputs are both high and low.
    A network that finds nothing in any keeps the first ones.

    Args:
        network: which of the two.
        reference: the source network.
        converted: the plain ONNX network.

    Raises:
        ParityError: the two differ on the chosen inputs.
    """
    phantoms = [group.inputs for group in sample_groups(network) if group.kind == "phantom"]
    inputs = np.concatenate(phantoms)
    probabilities = np.concatenate([reference.predict(phantom) for phantom in phantoms])
    high = (probabilities >= LESION_MIN_PROBABILITY).reshape(len(inputs), -1)
    found = high.sum(axis=1)
    order = np.argsort(-np.minimum(found, high.shape[1] - found), kind="stable")
    chosen = np.sort(order[: KEPT_SLICES if network == "kidney" else 1])
    kept = _coarse(inputs[chosen][..., 0])
    values = network_input(kept)[..., np.newaxis]
    outputs = reference.predict(values)
    # Written so that NaN fails too.
    if not float(np.abs(outputs - converted.predict(values)).max()) <= TOLERANCE:
        raise ParityError(
            f"the {network} network: Keras and ONNX Runtime differ on the inputs that the bundle "
            "would keep; nothing was written"
        )
    return NetworkOutputs(kept, outputs[..., 0])


def reference_outputs_file(kidney: NetworkOutputs, lesion: NetworkOutputs) -> bytes:
    """Return the content of the bundle's file."""
    return write_reference_outputs(
        ReferenceOutputs(kidney.inputs, lesion.inputs[0], kidney.outputs, lesion.outputs[0])
    )


def reference_outputs_entry(data: bytes) -> ReferenceOutputsEntry:
    """Return the entry of the file in the manifest."""
    return ReferenceOutputsEntry(REFERENCE_OUTPUTS_FILE, hashlib.sha256(data).hexdigest())


def _coarse(values: NDArray[np.float32]) -> NDArray[np.uint8]:
    grey = np.rint(values * 255).astype(np.uint8)
    return grey // GREY_STEP * GREY_STEP


def add_reference_outputs(
    folder: Path, sources: ByNetwork[Path], progress: Callable[[str], None]
) -> SelfTestRecord:
    """Make the reference outputs of a bundle, compare every variant that the CPU runs, write.

    The bundle gets one file and a key in its manifest, or stays as it is. Reference outputs that it
    has are replaced. Returns the self-test of the variant that the CPU takes.

    Raises:
        SourceMismatchError: the files are not those that the bundle was converted from.
        ParityError: a variant does not compute what Keras does.
        BundleError, ConvertError: the bundle or a source is broken, or cannot be written.
    """
    bundle = load_bundle(folder)
    bundle.check()
    progress("Reading the files")
    inspected = inspect_files(sources)
    _check_sources(bundle, inspected)
    progress("Loading TensorFlow")
    frameworks = import_frameworks()
    made: dict[str, NetworkOutputs] = {}
    for name in NETWORK_NAMES:
        progress(f"Running the {name} network")
        source = inspected[name]
        keras = build_network(source.keras, source.architecture, EXPECTED_SHAPES[name], frameworks)
        entry = bundle.manifest.networks[name].variant("plain")
        converted = open_converted(name, bundle.read_network(name), entry)
        made[name] = choose_reference_outputs(name, keras, converted)
    data = reference_outputs_file(made["kidney"], made["lesion"])
    progress("Comparing")
    record = _self_test(bundle, read_reference_outputs(data, REFERENCE_OUTPUTS_FILE))
    progress("Writing the bundle")
    manifest = replace(bundle.manifest, reference_outputs=reference_outputs_entry(data))
    changed = {REFERENCE_OUTPUTS_FILE: data, MANIFEST_FILE: document_bytes(manifest)}
    write_folder(folder, bundle_files(bundle) | changed, overwrite=True)
    return record


def _check_sources(bundle: Bundle, inspected: ByNetwork[InspectedSource]) -> None:
    provenance = bundle.manifest.provenance
    if provenance is None:
        raise SourceMismatchError(
            f"the manifest of {bundle.folder} does not name its source files, so it is not known "
            "which networks its reference outputs must come from; convert it again"
        )
    for name in NETWORK_NAMES:
        expected, given = provenance.sources[name].sha256, inspected[name].source.sha256
        if given != expected:
            raise SourceMismatchError(
                f"the {name} network of {bundle.folder} was converted from a file with SHA-256 "
                f"{expected}, and the one given has {given}; give that file, or convert the "
                "bundle again"
            )


def _self_test(bundle: Bundle, outputs: ReferenceOutputs) -> SelfTestRecord:
    """Compare the CPU in every precision that the bundle has; return that of float32."""
    networks = (bundle.manifest.networks[name] for name in NETWORK_NAMES)
    quantized = any("int8" in network.variant_names for network in networks)
    precisions = [Precision.FLOAT32, *([Precision.INT8] if quantized else [])]
    records = []
    for precision in precisions:
        opened = open_networks(bundle, ProviderName.CPU, precision=precision)
        try:
            records.append(self_test(opened, opened.record, bundle.manifest, outputs))
        except ProviderDisagreesError as problem:
            raise ParityError(f"{problem.problem}; nothing was written") from problem
    return records[0]
