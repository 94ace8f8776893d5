"""Adds stored answers to a bundle that was converted without them, from its source files."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from convert.bundle import write_folder
from convert.conversion import inspect_files
from convert.errors import AnswersSourceError, ParityError
from convert.keras.architecture import EXPECTED_SHAPES
from convert.keras.frameworks import import_frameworks
from convert.keras.network import build_network
from convert.keras.onnx_network import open_converted
from convert.keras.reference_outputs import Stored, ask, joined, reference_outputs_entry
from rcc_onnx.bundles.bundle import Bundle, load_bundle
from rcc_onnx.bundles.bundle_files import LARGEST_DOCUMENT, read_bundle_file
from rcc_onnx.bundles.data_folder import is_file
from rcc_onnx.bundles.manifest import (
    DOCUMENTS,
    MANIFEST_FILE,
    NETWORK_NAMES,
    REFERENCE_OUTPUTS_FILE,
    ByNetwork,
    Manifest,
)
from rcc_onnx.bundles.reference_outputs import (
    ReferenceOutputs,
    read_reference_outputs,
    write_reference_outputs,
)
from rcc_onnx.errors import ProviderDisagreesError
from rcc_onnx.runtime.providers import SelfTestRecord
from rcc_onnx.runtime.self_test import self_test
from rcc_onnx.runtime.session import open_networks
from rcc_onnx.types import Precision, ProviderName

Progress = Callable[[str], None]


def add_reference_outputs(
    folder: Path, sources: ByNetwork[Path], progress: Progress
) -> SelfTestRecord:
    """Ask Keras, compare every form that the CPU runs, write.

    The bundle gets one file and a key in its manifest, or stays as it is. Stored answers that it
    had are made anew. Gives back how the form that the CPU takes agrees.

    Raises:
        AnswersSourceError: the files are not those that the bundle was converted from.
        ParityError: a form does not answer as Keras does.
        BundleError, ConvertError: the bundle or a source is broken, or cannot be written.
    """
    bundle = load_bundle(folder)
    bundle.check()
    progress("Reading the files")
    inspected = inspect_files(sources)
    _same_sources(bundle, ByNetwork(inspected.kidney.source.sha256, inspected.lesion.source.sha256))
    progress("Loading TensorFlow")
    frameworks = import_frameworks()
    stored: dict[str, Stored] = {}
    for name in NETWORK_NAMES:
        progress(f"Asking the {name} network")
        one = inspected[name]
        keras = build_network(one.keras, one.architecture, EXPECTED_SHAPES[name], frameworks)
        entry = bundle.manifest.networks[name].variant("plain")
        converted = open_converted(name, bundle.read_network(name), entry)
        stored[name] = ask(name, keras, converted)
    data = write_reference_outputs(joined(stored["kidney"], stored["lesion"]))
    progress("Comparing")
    agreement = _agreement(bundle, read_reference_outputs(data, REFERENCE_OUTPUTS_FILE))
    progress("Writing the bundle")
    manifest = replace(bundle.manifest, reference_outputs=reference_outputs_entry(data))
    write_folder(folder, _files(bundle, manifest, data), overwrite=True)
    return agreement


def _same_sources(bundle: Bundle, sha256: ByNetwork[str]) -> None:
    provenance = bundle.manifest.provenance
    if provenance is None:
        raise AnswersSourceError(
            f"{bundle.folder} does not say what it was converted from, so nobody knows whose "
            "answers it should hold; convert it again"
        )
    for name in NETWORK_NAMES:
        expected = provenance.sources[name].sha256
        if sha256[name] != expected:
            raise AnswersSourceError(
                f"the {name} network of {bundle.folder} was converted from a file with SHA-256 "
                f"{expected}, and the one given has {sha256[name]}; give that file, or convert the "
                "bundle again"
            )


def _agreement(bundle: Bundle, answers: ReferenceOutputs) -> SelfTestRecord:
    forms = {
        form for name in NETWORK_NAMES for form in bundle.manifest.networks[name].variant_names
    }
    precisions = [Precision.FLOAT32, *([Precision.INT8] if "int8" in forms else [])]
    found = []
    for precision in precisions:
        networks = open_networks(bundle, ProviderName.CPU, precision=precision)
        try:
            found.append(self_test(networks, networks.record, bundle.manifest, answers))
        except ProviderDisagreesError as problem:
            raise ParityError(f"{problem.problem}; nothing was written") from problem
    return found[0]


def _files(bundle: Bundle, manifest: Manifest, answers: bytes) -> dict[str, bytes]:
    """Every file of the bundle that is to be, by name."""
    files = {MANIFEST_FILE: manifest.to_json().encode(), REFERENCE_OUTPUTS_FILE: answers}
    for name in NETWORK_NAMES:
        for form in bundle.manifest.networks[name].variant_names:
            entry = bundle.manifest.networks[name].variant(form)
            files[entry.file] = bundle.read_network(name, form)
    for document in DOCUMENTS:
        if is_file(bundle.folder / document):
            files[document] = read_bundle_file(bundle.folder, document, LARGEST_DOCUMENT)
    return files
