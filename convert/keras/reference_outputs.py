"""What a bundle keeps of its source networks' answers, for machines to be compared with later."""

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from convert.errors import ParityError
from convert.keras.samples import sample_groups
from convert.keras.verification import TOLERANCE, Network
from rcc_onnx.bundles.manifest import REFERENCE_OUTPUTS_FILE, NetworkName, ReferenceOutputsEntry
from rcc_onnx.bundles.reference_outputs import ReferenceOutputs
from rcc_onnx.pipeline.localization import LESION_MIN_PROBABILITY
from rcc_onnx.runtime.networks import network_input

KEPT_SLICES = 2
"""In two slices through the middle of a kidney its sum is above the usual threshold."""
GREY_STEP = 8
"""Grey values are kept in steps of so many: noise then takes half the room in the file."""


@dataclass(frozen=True)
class Stored:
    """Inputs of one network, and its answers.

    Attributes:
        inputs: uint8 (n, ...), without a channel, as the network sees them times 255.
        answers: float32, the same shape: probabilities.
    """

    inputs: NDArray[np.uint8]
    answers: NDArray[np.float32]


def ask(network: NetworkName, reference: Network, converted: Network) -> Stored:
    """Choose inputs on which the reference says most, and ask it.

    They are the phantoms of the comparison on which most is found, the answer there being both
    high and low; a network that finds nothing in any is asked about the first ones.

    Args:
        network: which of the two.
        reference: the source network.
        converted: the plain ONNX form, which must agree here too.

    Raises:
        ParityError: it does not.
    """
    phantoms = [group.inputs for group in sample_groups(network) if group.kind == "phantom"]
    inputs = np.concatenate(phantoms)
    found = np.concatenate([reference.predict(one) for one in phantoms]) >= LESION_MIN_PROBABILITY
    size = found[0].size
    high = found.reshape(len(found), size).sum(axis=1)
    order = np.argsort(-np.minimum(high, size - high), kind="stable")
    chosen = np.sort(order[: KEPT_SLICES if network == "kidney" else 1])
    kept = _coarse(inputs[chosen][..., 0])
    asked = network_input(kept)[..., np.newaxis]
    answers = reference.predict(asked)
    # Written so that a difference that is no number fails too.
    if not float(np.abs(answers - converted.predict(asked)).max()) <= TOLERANCE:
        raise ParityError(
            f"the {network} network: Keras and ONNX Runtime differ on the inputs that the bundle "
            "would keep; nothing was written"
        )
    return Stored(kept, answers[..., 0])


def joined(kidney: Stored, lesion: Stored) -> ReferenceOutputs:
    """The content of the bundle's file."""
    return ReferenceOutputs(kidney.inputs, lesion.inputs[0], kidney.answers, lesion.answers[0])


def reference_outputs_entry(data: bytes) -> ReferenceOutputsEntry:
    """What the manifest says of the file."""
    return ReferenceOutputsEntry(REFERENCE_OUTPUTS_FILE, hashlib.sha256(data).hexdigest())


def _coarse(values: NDArray[np.float32]) -> NDArray[np.uint8]:
    grey = np.rint(values * 255).astype(np.uint8)
    return grey // GREY_STEP * GREY_STEP
