"""The form of a network that CPUs take: made, compared with Keras, and left out if it fails."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import onnx
from numpy.typing import NDArray

from convert.errors import ConvertError
from convert.keras.onnx_network import open_converted
from convert.keras.samples import sample_groups
from convert.keras.verification import Network, disagreement, measure
from convert.optimize.conv3d_to_conv2d import rewrite_3d_convolutions
from convert.optimize.winograd_rewrite import rewrite_wide_convolutions
from rcc_onnx.bundles.manifest import NetworkEntry, NetworkName
from rcc_onnx.bundles.variants import VariantEntry
from rcc_onnx.errors import NetworkError
from rcc_onnx.system.stderr_capture import one_line
from rcc_onnx.types import Thresholds


@dataclass(frozen=True)
class CpuForm:
    """What was made of a network for CPUs.

    Attributes:
        content: the ONNX file; b"" if there is none.
        variant: its entry in the manifest, or None.
        note: why there is none; "" if that goes without saying.
    """

    content: bytes = b""
    variant: VariantEntry | None = None
    note: str = ""


@dataclass
class Remembered:
    """A network that is asked the same more than once, and computes it once."""

    network: Network
    _answers: dict[bytes, NDArray[np.float32]] = field(default_factory=dict)

    def predict(self, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
        key = hashlib.sha256(inputs.tobytes()).digest()
        if key not in self._answers:
            self._answers[key] = self.network.predict(inputs)
        return self._answers[key]


def make_cpu_form(
    network: NetworkName,
    model: onnx.ModelProto,
    entry: NetworkEntry,
    others: Mapping[str, Network],
    thresholds: Thresholds,
) -> CpuForm:
    """Rewrite a network for CPUs, and hold it to what the plain one was held to.

    Args:
        network: which of the two.
        model: the plain network, with all inner shapes and with its metadata.
        entry: of the plain network.
        others: what it is compared with, by names for messages; the plain network last.
        thresholds: of the decisions that are compared.

    Raises nothing: a form that cannot be made or does not agree is none, and `note` says why.
    """
    made = (
        rewrite_wide_convolutions(model) if network == "kidney" else rewrite_3d_convolutions(model)
    )
    if made.model is None:
        return CpuForm(note=made.note)
    made.model.metadata_props.extend(model.metadata_props)
    content = bytes(made.model.SerializeToString(deterministic=True))
    try:
        rewritten = Remembered(open_converted(network, content, entry))
        for who, other in others.items():
            figures = measure(other, rewritten, network, thresholds, sample_groups(network))
            problem = disagreement(figures, f"{who} and it")
            if problem:
                return CpuForm(note=f"was made, but {problem}")
    except (ConvertError, NetworkError) as error:
        return CpuForm(note=f"was made, but does not run: {one_line(str(error))}")
    variant = VariantEntry(
        file=entry.file.replace(".onnx", ".cpu.onnx"),
        sha256=hashlib.sha256(content).hexdigest(),
        note=made.note,
        comparison=figures.agreement(),
    )
    return CpuForm(content, variant)
