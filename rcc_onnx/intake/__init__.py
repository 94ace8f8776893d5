"""The door to a study on disk: a folder in, ordered slices out, or a refusal that says why.

Inside, each step is a module of its own: headers -> grouping -> geometry -> series -> study, and
pixels, which are decoded only when a stage asks for a slice.
"""

from pathlib import Path

from rcc_onnx.intake.folders import holds_dicom
from rcc_onnx.intake.headers import LeftOut, SliceHeader
from rcc_onnx.intake.notebook import read_notebook_study
from rcc_onnx.intake.series import read_standard_study
from rcc_onnx.intake.study import AxisTurn, Study, StudySlice
from rcc_onnx.values import Profile

__all__ = ["AxisTurn", "LeftOut", "SliceHeader", "Study", "StudySlice", "holds_dicom", "read_study"]


def read_study(folder: Path, profile: Profile) -> Study:
    """The one CT series of a folder, by the rules of a profile (docs/pipeline.md section 1).

    Headers are read, pixels not.

    Raises:
        IntakeError: one of its leaves, for anything that would have to be guessed.
    """
    if profile is Profile.NOTEBOOK:
        return read_notebook_study(folder)
    return read_standard_study(folder)
