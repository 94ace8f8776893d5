"""A whole conversion, from two Keras files to a bundle folder: `convert_files` shows the way."""

import hashlib
import platform
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import onnx

from convert.bundle import CARD_FILE, KIDNEY_FILE, LESION_FILE, check_target, write_folder
from convert.errors import ChannelsFirstError, ConvertOptionError, ExportError, KerasLoadError
from convert.keras.architecture import EXPECTED_SHAPES
from convert.keras.export import INPUT_NAME, OPSET, OUTPUT_NAME, export_network
from convert.keras.frameworks import Frameworks, import_frameworks, package_versions
from convert.keras.network import build_network
from convert.keras.reference_outputs import (
    NetworkOutputs,
    choose_reference_outputs,
    reference_outputs_entry,
    reference_outputs_file,
)
from convert.keras.source import InspectedSource, inspect_files
from convert.keras.verification import (
    TOLERANCE,
    CachedNetwork,
    Comparison,
    compare,
    open_converted,
    sample_groups,
)
from convert.model_card import RESEARCH_USE_ONLY, model_card
from convert.optimize.cpu_variant import make_cpu_variant
from rcc_onnx._version import __version__
from rcc_onnx.bundles.manifest import (
    BATCH,
    MANIFEST_FILE,
    REFERENCE_OUTPUTS_FILE,
    SCHEMA_VERSION,
    ByNetwork,
    Certificate,
    Manifest,
    NetworkEntry,
    Provenance,
    SourceFile,
    StudyKind,
    TensorEntry,
)
from rcc_onnx.system.documents import document_bytes
from rcc_onnx.types import NETWORK_NAMES, NetworkName, Thresholds

_FILES = ByNetwork(KIDNEY_FILE, LESION_FILE)

_CHANNELS_FIRST = (
    "The network works on channels first, which TensorFlow supports only in part on a CPU. "
    "Build it with data_format='channels_last', set the same weights (convolutions keep their "
    "layout), save it, and convert that"
)

Progress = Callable[[str], None]
"""Called with a sentence when a step begins."""


@dataclass(frozen=True)
class Request:
    """What to convert, and what the manifest of the bundle states.

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


def convert_files(request: Request, progress: Progress) -> Conversion:
    """Inspect, build, export, compare, rewrite and write.

    Raises a leaf of ConvertError; then there is no new folder, and an old one is unchanged.
    """
    _check_options(request)
    check_target(request.out, request.overwrite)
    progress("Reading the files")
    sources = inspect_files(request.sources)
    progress("Loading TensorFlow")
    frameworks = import_frameworks()
    kidney = _convert_network("kidney", sources.kidney, request.thresholds, frameworks, progress)
    lesion = _convert_network("lesion", sources.lesion, request.thresholds, frameworks, progress)
    progress("Writing the bundle")
    reference_outputs = reference_outputs_file(kidney.outputs, lesion.outputs)
    manifest = _manifest(
        request, ByNetwork(kidney.entry, lesion.entry), _provenance(sources, kidney, lesion)
    )
    manifest = replace(manifest, reference_outputs=reference_outputs_entry(reference_outputs))
    files = {
        REFERENCE_OUTPUTS_FILE: reference_outputs,
        MANIFEST_FILE: document_bytes(manifest),
        CARD_FILE: model_card(manifest).encode(),
        **kidney.files,
        **lesion.files,
    }
    write_folder(request.out, files, request.overwrite)
    return Conversion(manifest, ByNetwork(kidney.comparison, lesion.comparison))


@dataclass(frozen=True)
class _Converted:
    """One network.

    Attributes:
        files: the content of each of its files, by name.
        comparison: of the plain ONNX network with Keras.
        outputs: inputs and outputs that the bundle keeps.
    """

    entry: NetworkEntry
    files: dict[str, bytes]
    comparison: Comparison
    outputs: NetworkOutputs


def _convert_network(
    network: NetworkName,
    inspected: InspectedSource,
    thresholds: Thresholds,
    frameworks: Frameworks,
    progress: Progress,
) -> _Converted:
    """Make the ONNX files of one network and compare them with Keras."""
    progress(f"Converting the {network} network")
    shape = EXPECTED_SHAPES[network]
    try:
        keras = build_network(inspected.keras, inspected.architecture, shape, frameworks)
        reference = CachedNetwork(keras)
        model = export_network(keras, frameworks)
        progress(f"Comparing the {network} network with Keras")
        content = _to_bytes(model)
        plain = CachedNetwork(open_converted(network, content, _network_entry(network, content)))
        comparison = compare(reference, plain, network, thresholds, sample_groups(network))
        outputs = choose_reference_outputs(network, reference, plain)
    except (KerasLoadError, ExportError) as problem:
        if not inspected.architecture.channels_first:
            raise
        raise ChannelsFirstError(f"{problem}. {_CHANNELS_FIRST}") from problem
    _add_metadata(model, network, inspected.source, comparison)
    content = _to_bytes(model)
    entry = _network_entry(network, content)
    files = {entry.file: content}
    progress(f"Rewriting the {network} network for CPUs")
    others = {"Keras": reference, "the plain network": plain}
    made = make_cpu_variant(network, model, entry, others, thresholds)
    if made.entry is not None:
        entry = replace(entry, variants={"cpu": made.entry})
        files[made.entry.file] = made.content
    else:
        entry = replace(entry, left_out={"cpu": made.reason})
    return _Converted(entry, files, comparison, outputs)


def _add_metadata(
    model: onnx.ModelProto, network: NetworkName, source: SourceFile, comparison: Comparison
) -> None:
    """Add the key facts, for an ONNX file that is found without its bundle."""
    versions = ", ".join(f"{package} {version}" for package, version in _converter().items())
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


def _converter() -> dict[str, str]:
    versions = {"rcc_onnx": __version__, "python": platform.python_version()}
    return versions | dict(package_versions())


def _check_options(request: Request) -> None:
    """Check the options as the manifest will, before any work is done."""
    empty = ByNetwork(_network_entry("kidney", b""), _network_entry("lesion", b""))
    try:
        _manifest(replace(request, licence=request.licence or "x"), empty, None)
    except ValueError as error:
        # It begins with the name of the field, which is that of the option.
        field, _, problem = str(error).partition(" ")
        raise ConvertOptionError(f"--{field.replace('_', '-')} {problem}") from error


def _provenance(
    sources: ByNetwork[InspectedSource], kidney: _Converted, lesion: _Converted
) -> Provenance:
    return Provenance(
        sources=ByNetwork(sources.kidney.source, sources.lesion.source),
        converter=_converter(),
        certificate=Certificate(
            TOLERANCE, kidney.comparison.certificate, lesion.comparison.certificate
        ),
    )


def _manifest(
    request: Request, networks: ByNetwork[NetworkEntry], provenance: Provenance | None
) -> Manifest:
    return Manifest(
        schema_version=SCHEMA_VERSION,
        name=request.name,
        version=request.version,
        purpose=request.purpose,
        use_on=request.use_on,
        licence=request.licence or _licence(provenance),
        thresholds=ByNetwork(request.thresholds.kidney, request.thresholds.lesion),
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
