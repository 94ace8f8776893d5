"""Who made a SEG or SR, with what, and the UIDs of what was made."""

import hashlib

from pydicom.uid import UID

from rcc_onnx._version import __version__
from rcc_onnx.results import AnalysedCase
from rcc_onnx.system.documents import to_json
from rcc_onnx.types import SIDES

MAKER = "rcc-onnx"
NOT_FOR_DIAGNOSIS = "Research only, not for diagnosis"
LONG_STRING = 64
"""Characters of DICOM's LO."""


def seg_uid(result: AnalysedCase) -> str:
    """SOPInstanceUID of a case's Segmentation, whether it is written or not."""
    return result_uid(result, "seg")


def seg_series_uid(result: AnalysedCase) -> str:
    return result_uid(result, "seg series")


def tracking_uid(result: AnalysedCase, label: str) -> str:
    """Of a segment or side, the same in SEG and SR, so that a measurement finds its pixels."""
    return result_uid(result, "tracking", label)


def algorithm_name(result: AnalysedCase) -> str:
    return f"rcc-onnx, models {result.models.name}"[:LONG_STRING]


def algorithm_parameters(result: AnalysedCase) -> list[tuple[str, str]]:
    """What the answer hangs on, for the algorithm's identification."""
    hashes = result.models.sha256
    return [
        ("kidney network sha256", hashes["kidney"]),
        ("lesion network sha256", hashes["lesion"]),
        ("kidney threshold", f"{result.thresholds.kidney:g}"),
        ("lesion threshold", f"{result.thresholds.lesion:g}"),
        ("mask cut-off", f"{result.options.mask_cutoff:g}"),
        ("precision", str(result.provider.precision)),
    ]


def result_uid(result: AnalysedCase, *what: object) -> UID:
    """A UID that is the same whenever the same is computed from the same images.

    What it hangs on: the images, what was found, the networks, where and how they ran, thresholds
    and options, and the version of this software. So sending a result twice does not make two of
    it, and two machines that differ in a voxel do not give it one name.
    """
    patient = result.patient_images
    if patient is None:
        raise AssertionError("a name for a result without positions, or whose images were dropped")
    return derived_uid(
        __version__,
        [image[1:4] for image in patient.placement.images],
        hashlib.sha256(patient.labels.tobytes()).hexdigest(),
        to_json([result.sides[side] for side in SIDES]),
        sorted(result.models.sha256.items()),
        result.models.version,
        to_json(result.provider.ran),
        result.provider.onnxruntime,
        to_json(result.provider.precision),
        to_json(result.thresholds),
        result.options.mask_cutoff,
        *what,
    )


def derived_uid(*parts: object) -> UID:
    """A UID that hangs on nothing but `parts` (PS3.5 B.2: 2.25 and 128 bits)."""
    digest = hashlib.sha256("/".join(map(repr, ("rcc-onnx", *parts))).encode()).digest()
    return UID(f"2.25.{int.from_bytes(digest[:16], 'big')}")
