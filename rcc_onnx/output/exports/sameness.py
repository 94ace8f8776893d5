"""Whether two DICOM files say the same, whenever they were made."""

from pathlib import Path

import pydicom
from pydicom.dataset import Dataset

MADE_AT = (
    "InstanceCreationDate",
    "InstanceCreationTime",
    "ContentDate",
    "ContentTime",
    "ContributionDateTime",
)
"""What SEG and SR state of the moment at which they were made."""


def same_but_for_times(one: Path, other: Path) -> bool:
    """Whether two SEG or SR files differ in nothing but the moment at which they were made.

    Raises:
        OSError, InvalidDicomError: one cannot be read.
    """
    return _timeless(pydicom.dcmread(one)) == _timeless(pydicom.dcmread(other))


def _timeless(dataset: Dataset) -> Dataset:
    for part in (dataset, *dataset.get("ContributingEquipmentSequence", ())):
        for keyword in MADE_AT:
            if keyword in part:
                del part[keyword]
    return dataset
