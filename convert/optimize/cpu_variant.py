"""Makes the variant of a network for CPUs, and compares it with the networks that it must equal."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import onnx

from convert.errors import ConvertError
from convert.keras.verification import (
    CachedNetwork,
    Network,
    disagreement,
    measure,
    open_converted,
    sample_groups,
)
from convert.optimize.conv3d_to_conv2d import rewrite_3d_convolutions
from convert.optimize.winograd_rewrite import rewrite_wide_convolutions
from rcc_onnx.bundles.manifest import NetworkEntry, VariantEntry
from rcc_onnx.errors import NetworkError
from rcc_onnx.system.stderr_capture import one_line
from rcc_onnx.types import NetworkName, Thresholds


@dataclass(frozen=True)
class CpuVariant:
    """The variant of a network for CPUs, if there is one.

    Attributes:
        content: the ONNX file; b"" if there is none.
        entry: in the manifest, or None.
        reason: why there is none; "" if there is one.
    """

    content: bytes = b""
    entry: VariantEntry | None = None
    reason: str = ""


def make_cpu_variant(
    network: NetworkName,
    model: onnx.ModelProto,
    entry: NetworkEntry,
    others: Mapping[str, Network],
    thresholds: Thresholds,
) -> CpuVariant:
    """Rewrite a network for CPUs, and compare it as the plain one was compared.

    Args:
        network: which of the two.
        model: the plain network, with all inner shapes and with its metadata.
        entry: of the plain network.
        others: networks that it must equal, by names for messages; the plain network last.
        thresholds: of the decisions that are compared.

    Raises nothing: if it cannot be made or differs, there is none, and `reason` says why.
    """
    rewrite = rewrite_wide_convolutions if network == "kidney" else rewrite_3d_convolutions
    rewritten = rewrite(model)
    if rewritten.model is None:
        return CpuVariant(reason=rewritten.note)
    rewritten.model.metadata_props.extend(model.metadata_props)
    content = bytes(rewritten.model.SerializeToString(deterministic=True))
    try:
        converted = CachedNetwork(open_converted(network, content, entry))
        for name, other in others.items():
            comparison = measure(other, converted, network, thresholds, sample_groups(network))
            problem = disagreement(comparison, f"{name} and it")
            if problem:
                return CpuVariant(reason=f"was made, but {problem}")
    except (ConvertError, NetworkError) as error:
        return CpuVariant(reason=f"was made, but does not run: {one_line(str(error))}")
    variant = VariantEntry(
        file=entry.file.replace(".onnx", ".cpu.onnx"),
        sha256=hashlib.sha256(content).hexdigest(),
        note=rewritten.note,
        comparison=comparison.variant_comparison,
    )
    return CpuVariant(content, variant)
