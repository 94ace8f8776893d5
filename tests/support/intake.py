"""Short views of what reading a study gave."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rcc_onnx.dicom import SeriesSelection, Study, read_study
from rcc_onnx.pipeline.preprocess import network_volume
from rcc_onnx.types import Profile


def volume(root: Path | str, **selection: Any) -> NDArray[np.uint8]:
    """Return the network volume of a study that is read in the standard profile."""
    study = read_study(Path(root), Profile.STANDARD, SeriesSelection(**selection))
    return network_volume(study).values


def skipped(study: Study) -> dict[str, str]:
    """Reasons by file name."""
    return {file.file: file.reason for file in study.skipped_files}


def warnings(study: Study) -> dict[str, str]:
    """Texts by code."""
    return {note.code: note.text for note in study.record.warnings}
