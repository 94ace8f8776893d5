"""Whether an ONNX file is safe to run and is the network that its manifest entry describes."""

from rcc_onnx.errors import BundleNetworkError, CustomOperatorError, ExternalDataError
from rcc_onnx.manifest import NetworkEntry, TensorEntry
from rcc_onnx.onnx_file import FLOAT32, MAIN_DOMAINS, OnnxSummary, TensorInfo

ALLOWED_DOMAINS = MAIN_DOMAINS
"""Domains whose operators a network may use.

Only ONNX's own: every onnxruntime build knows them and their meaning is fixed by the opset.
"com.microsoft" (fused operators of onnxruntime) is left out because its operators differ between
releases and providers; "ai.onnx.ml" because it holds trees and encoders, nothing a U-Net needs. A
file may import a domain as long as no node uses it: tf2onnx always imports "ai.onnx.ml".
"""


def check_network(summary: OnnxSummary, entry: NetworkEntry) -> None:
    """Refuse a network that is unsafe, or that is not what `entry` says.

    Raises:
        ExternalDataError: weights lie outside the file.
        CustomOperatorError: a node uses a foreign domain, or the file defines functions.
        BundleNetworkError: opset, input or output differ from the manifest.
    """
    _check_self_contained(summary, entry.file)
    _check_opset(summary, entry)
    _check_tensor("input", summary.inputs, entry.input, entry.file)
    _check_tensor("output", summary.outputs, entry.output, entry.file)


def _check_self_contained(summary: OnnxSummary, file: str) -> None:
    if summary.external:
        raise ExternalDataError(
            f"{file}: the bytes of {len(summary.external)} tensor(s) lie outside the file (first: "
            f"{_short(summary.external[0])}). All bytes must be under the hash in manifest.json: "
            "save the network as one file."
        )
    if summary.functions:
        domain, name = summary.functions[0]
        raise CustomOperatorError(
            f"{file}: defines functions of its own (first: {_short(name)} in domain "
            f"{_short(domain)}). Inline them before making a bundle."
        )
    foreign = sorted(pair for pair in summary.operators if pair[0] not in ALLOWED_DOMAINS)
    if foreign:
        domain, name = foreign[0]
        raise CustomOperatorError(
            f"{file}: uses {len(foreign)} operator(s) that are not ONNX's own (first: "
            f"{_short(name)} in domain {_short(domain)}). Convert the network again without them."
        )


def _check_opset(summary: OnnxSummary, entry: NetworkEntry) -> None:
    versions = [version for domain, version in summary.opsets if domain in MAIN_DOMAINS]
    if versions != [entry.opset]:
        found = ", ".join(map(str, versions)) or "none"
        raise BundleNetworkError(
            f"{entry.file}: imports opset {found}, manifest.json says {entry.opset}"
        )


def _check_tensor(end: str, found: tuple[TensorInfo, ...], entry: TensorEntry, file: str) -> None:
    if len(found) != 1:
        raise BundleNetworkError(f"{file}: has {len(found)} {end}s, the pipeline needs exactly one")
    (tensor,) = found
    if tensor.name != entry.name:
        raise BundleNetworkError(
            f"{file}: the {end} is named {_short(tensor.name)}, manifest.json says "
            f"{_short(entry.name)}"
        )
    if tensor.element_type != FLOAT32:
        raise BundleNetworkError(
            f"{file}: the {end} has element type {tensor.element_type} of ONNX, not {FLOAT32} "
            "(float32)"
        )
    if tensor.shape != entry.shape:
        shape = "of unknown shape" if tensor.shape is None else f"{list(tensor.shape)!r:.200}"
        raise BundleNetworkError(
            f"{file}: the {end} is {shape}, manifest.json says {list(entry.shape)}"
        )


def _short(name: str) -> str:
    """A name out of the file, safe to print."""
    return ascii(name if len(name) <= 80 else name[:77] + "...")
