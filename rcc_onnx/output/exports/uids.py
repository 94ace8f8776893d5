"""Identity of SEG and SR: who made them, with what, their UIDs, and whether two are the same."""

import hashlib
import json
from pathlib import Path

import pydicom
from pydicom.dataset import Dataset
from pydicom.uid import UID

from rcc_onnx._version import __version__
from rcc_onnx.results import AnalysedCase
from rcc_onnx.system.documents import to_json
from rcc_onnx.types import SIDES

MAKER = "rcc-onnx"
NOT_FOR_DIAGNOSIS = "Research only, not for diagnosis"
LONG_STRING = 64
"""Characters of DICOM's LO."""
SEG = "seg"
"""Name of a case's Segmentation for `result_uid`."""
SEG_SERIES = "seg series"
MADE_AT = (
    "InstanceCreationDate",
    "InstanceCreationTime",
    "ContentDate",
    "ContentTime",
    "ContributionDateTime",
)
"""What SEG and SR state of the moment at which they were made."""


def algorithm_name(result: AnalysedCase) -> str:
    return f"rcc-onnx, models {result.models.name}"[:LONG_STRING]


def algorithm_parameters(result: AnalysedCase) -> dict[str, str]:
    """Return the inputs that determine the answer, for the algorithm's identification."""
    hashes = result.models.sha256
    return {
        "kidney network sha256": hashes["kidney"],
        "lesion network sha256": hashes["lesion"],
        "kidney threshold": f"{result.thresholds.kidney:g}",
        "lesion threshold": f"{result.thresholds.lesion:g}",
        "mask cut-off": f"{result.options.mask_cutoff:g}",
        "precision": str(result.provider.precision),
    }


def tracking_uid(result: AnalysedCase, label: str) -> UID:
    """Return the UID of a segment or side, the same in SEG and SR: it joins measures to pixels."""
    return result_uid(result, "tracking", label)


def result_uid(result: AnalysedCase, *what: str | bool) -> UID:
    """Return a UID that is the same whenever the same is computed from the same images.

    It is made from the images, what was found, the networks, where and how they ran, thresholds,
    options, and the version of this software. So sending a result twice does not make two of it,
    and two machines that differ in a voxel do not give it one name.
    """
    patient, provider = result.placed, result.provider
    return derived_uid(
        *what,
        __version__,
        [image[1:4] for image in patient.placement.images],
        hashlib.sha256(patient.labels.tobytes()).hexdigest(),
        [result.sides[side] for side in SIDES],
        [result.models.version, result.models.sha256],
        [provider.ran, provider.onnxruntime, provider.precision],
        result.thresholds,
        result.options.mask_cutoff,
    )


def derived_uid(*parts: object) -> UID:
    """Return a UID made from nothing but `parts`, values that documents may hold.

    Source: PS3.5 B.2, 2.25 and 128 bits.
    """
    digest = hashlib.sha256(json.dumps(to_json(["rcc-onnx", *parts])).encode()).digest()
    return UID(f"2.25.{int.from_bytes(digest[:16], 'big')}")


def same_but_for_times(first: Path, second: Path) -> bool:
    """Return whether two SEG or SR files differ in nothing but the moment they were made.

    Raises:
        OSError, InvalidDicomError: one cannot be read.
    """
    return _without_times(first) == _without_times(second)


def _without_times(path: Path) -> Dataset:
    dataset = pydicom.dcmread(path)
    for part in (dataset, *dataset.get("ContributingEquipmentSequence", ())):
        for keyword in MADE_AT:
            if keyword in part:
                del part[keyword]
    return dataset
