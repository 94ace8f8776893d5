"""Comparison of two SEG or SR files, whenever they were made."""

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
