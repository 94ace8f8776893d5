"""A whole conversion, from two Keras files to a bundle folder. Read from the top."""

import hashlib
import platform
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import onnx

from convert.bundle import (
    CARD_FILE,
    KIDNEY_FILE,
    LESION_FILE,
    check_target,
    write_folder,
)
from convert.errors import ChannelsFirstError, ConvertOptionError, ExportError, KerasLoadError
from convert.keras.architecture import (
    EXPECTED_SHAPES,
    Architecture,
    check_declared_sizes,
    check_roles,
    read_architecture,
)
from convert.keras.export import INPUT_NAME, OPSET, OUTPUT_NAME, export_network
from convert.keras.frameworks import Frameworks, import_frameworks, package_versions
from convert.keras.hdf5 import KerasFile, read_keras_file
from convert.keras.network import build_network
from convert.keras.onnx_network import open_converted
from convert.keras.probe import check_readable
from convert.keras.reference_outputs import Stored, ask, joined, reference_outputs_entry
from convert.keras.samples import sample_groups
from convert.keras.source import identify
from convert.keras.verification import TOLERANCE, Comparison, compare
from convert.model_card import RESEARCH_USE_ONLY, model_card
from convert.optimize.cpu_variant import Remembered, make_cpu_form
from rcc_onnx._version import __version__
from rcc_onnx.bundles.manifest import (
    BATCH,
    MANIFEST_FILE,
    NETWORK_NAMES,
    REFERENCE_OUTPUTS_FILE,
    ByNetwork,
    Certificate,
    Manifest,
    NetworkEntry,
    NetworkName,
    Provenance,
    SourceFile,
    StudyKind,
    TensorEntry,
)
from rcc_onnx.bundles.reference_outputs import write_reference_outputs
from rcc_onnx.errors import BundleManifestError
from rcc_onnx.types import Thresholds

_FILES = ByNetwork(KIDNEY_FILE, LESION_FILE)

_CHANNELS_FIRST = (
    "The network works on channels first, which TensorFlow supports only in part on a CPU. "
    "Build it with data_format='channels_last', set the same weights (convolutions keep their "
    "layout), save it, and convert that"
)

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Request:
    """What to convert, and what the bundle is to say about itself.

    Attributes:
        licence: SPDX identifier or text; None takes the published licence for the published files
            and "NOASSERTION" (SPDX for: nothing is claimed) for any others.
    """

    sources: ByNetwork[Path]
    out: Path
    name: str
    version: str
    purpose: str
    licence: str | None
    use_on: tuple[StudyKind, ...]
    thresholds: Thresholds
    overwrite: bool


@dataclass(frozen=True)
class Conversion:
    """A bundle that was written."""

    manifest: Manifest
    comparisons: ByNetwork[Comparison]
    architectures: ByNetwork[Architecture]


@dataclass(frozen=True)
class Inspected:
    """A source file that can be converted, as far as that is known without TensorFlow."""

    source: SourceFile
    keras: KerasFile
    architecture: Architecture


def convert_files(request: Request, progress: Progress) -> Conversion:
    """Inspect, convert, compare, write. `progress` is told what begins.

    Raises a leaf of ConvertError; then there is no new folder, and an old one is as it was.
    """
    _check_options(request)
    check_target(request.out, request.overwrite)
    progress("Reading the files")
    inspected = inspect_files(request.sources)
    progress("Loading TensorFlow")
    frameworks = import_frameworks()
    kidney = _convert_one("kidney", inspected.kidney, request.thresholds, frameworks, progress)
    lesion = _convert_one("lesion", inspected.lesion, request.thresholds, frameworks, progress)
    comparisons = ByNetwork(kidney.comparison, lesion.comparison)
    provenance = Provenance(
        sources=ByNetwork(inspected.kidney.source, inspected.lesion.source),
        converter=_converter(),
        certificate=Certificate(
            TOLERANCE, comparisons.kidney.certificate, comparisons.lesion.certificate
        ),
    )
    progress("Writing the bundle")
    manifest = _manifest(request, ByNetwork(kidney.entry, lesion.entry), provenance)
    answers = write_reference_outputs(joined(kidney.stored, lesion.stored))
    manifest = replace(manifest, reference_outputs=reference_outputs_entry(answers))
    files = {
        REFERENCE_OUTPUTS_FILE: answers,
        MANIFEST_FILE: manifest.to_json().encode(),
        CARD_FILE: model_card(manifest).encode(),
        **kidney.files,
        **lesion.files,
    }
    write_folder(request.out, files, request.overwrite)
    return Conversion(
        manifest,
        comparisons,
        ByNetwork(inspected.kidney.architecture, inspected.lesion.architecture),
    )


@dataclass(frozen=True)
class _Converted:
    """One network.

    Attributes:
        files: the content of each of its files, by name.
        stored: what the bundle keeps of its source's answers.
    """

    entry: NetworkEntry
    files: dict[str, bytes]
    comparison: Comparison
    stored: Stored


def inspect_files(paths: ByNetwork[Path]) -> ByNetwork[Inspected]:
    """All that can be known of both sources without TensorFlow. Raises a leaf of ConvertError."""
    parts = {}
    for network in NETWORK_NAMES:
        source = identify(paths[network], network)
        check_readable(paths[network])
        keras = read_keras_file(paths[network])
        architecture = read_architecture(keras.config, keras.keras_version, source.file)
        check_declared_sizes(architecture, keras.weights, source.file)
        parts[network] = Inspected(source, keras, architecture)
    inspected = ByNetwork(parts["kidney"], parts["lesion"])
    check_roles(
        ByNetwork(inspected.kidney.architecture, inspected.lesion.architecture),
        ByNetwork(inspected.kidney.source.file, inspected.lesion.source.file),
    )
    return inspected


def _convert_one(
    network: NetworkName,
    inspected: Inspected,
    thresholds: Thresholds,
    frameworks: Frameworks,
    progress: Progress,
) -> _Converted:
    """The ONNX files of one network, and how the plain one compared with Keras."""
    progress(f"Converting the {network} network")
    shape = EXPECTED_SHAPES[network]
    try:
        keras = build_network(inspected.keras, inspected.architecture, shape, frameworks)
        reference = Remembered(keras)
        model = export_network(keras, frameworks)
        progress(f"Comparing the {network} network with Keras")
        plain = _to_bytes(model)
        converted = Remembered(open_converted(network, plain, _network_entry(network, plain)))
        comparison = compare(reference, converted, network, thresholds, sample_groups(network))
        stored = ask(network, reference, converted)
    except (KerasLoadError, ExportError) as problem:
        if not inspected.architecture.channels_first:
            raise
        raise ChannelsFirstError(f"{problem}. {_CHANNELS_FIRST}") from problem
    _add_metadata(model, network, inspected.source, comparison)
    content = _to_bytes(model)
    entry = _network_entry(network, content)
    files = {entry.file: content}
    progress(f"Rewriting the {network} network for CPUs")
    others = {"Keras": reference, "the plain form": converted}
    form = make_cpu_form(network, model, entry, others, thresholds)
    if form.variant is not None:
        entry = replace(entry, variants={"cpu": form.variant})
        files[form.variant.file] = form.content
    else:
        entry = replace(entry, left_out={"cpu": form.note})
    return _Converted(entry, files, comparison, stored)


def _add_metadata(
    model: onnx.ModelProto, network: NetworkName, source: SourceFile, comparison: Comparison
) -> None:
    """The key facts, so that an ONNX file that was parted from its bundle still tells them."""
    versions = ", ".join(" ".join(pair) for pair in _converter())
    facts = {
        "network": network,
        "source_sha256": source.sha256,
        "source_git_blob": source.git_blob,
        "source_is_published_file": "yes" if source.published else "no",
        "converted_with": versions,
        "compared_inputs": str(comparison.certificate.inputs),
        "largest_difference": f"{comparison.certificate.largest_difference:.2g}",
        "tolerance": f"{TOLERANCE:g}",
        "use": RESEARCH_USE_ONLY,
    }
    onnx.helper.set_model_props(model, {f"rcc_onnx.{key}": value for key, value in facts.items()})


def _to_bytes(model: onnx.ModelProto) -> bytes:
    return bytes(model.SerializeToString(deterministic=True))


def _converter() -> tuple[tuple[str, str], ...]:
    return (
        ("rcc_onnx", __version__),
        ("python", platform.python_version()),
        *package_versions(),
    )


def _check_options(request: Request) -> None:
    """Let the manifest judge the options before any work is done."""
    nothing = ByNetwork(_network_entry("kidney", b""), _network_entry("lesion", b""))
    try:
        _manifest(replace(request, licence=request.licence or "x"), nothing, None)
    except BundleManifestError as problem:
        option = f"--{problem.key.replace('_', '-')}" if problem.key else "an option"
        raise ConvertOptionError(f"{option} {problem.problem}") from problem


def _manifest(
    request: Request, networks: ByNetwork[NetworkEntry], provenance: Provenance | None
) -> Manifest:
    return Manifest(
        name=request.name,
        version=request.version,
        purpose=request.purpose,
        use_on=request.use_on,
        licence=request.licence or _licence(provenance),
        thresholds=request.thresholds,
        networks=networks,
        provenance=provenance,
    )


def _licence(provenance: Provenance | None) -> str:
    if provenance and all(provenance.sources[name].published for name in NETWORK_NAMES):
        return "Apache-2.0"
    return "NOASSERTION"


def _network_entry(network: NetworkName, model: bytes) -> NetworkEntry:
    shape: tuple[str | int, ...] = (BATCH, *EXPECTED_SHAPES[network])
    return NetworkEntry(
        file=_FILES[network],
        sha256=hashlib.sha256(model).hexdigest(),
        opset=OPSET,
        input=TensorEntry(INPUT_NAME, shape, "float32"),
        output=TensorEntry(OUTPUT_NAME, shape, "float32"),
    )
