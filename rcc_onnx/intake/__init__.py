"""The door to a study on disk: a folder in, ordered slices out, or a refusal that says why.

Inside, each step is a module of its own: sources -> reading (multiframe) -> headers -> classify ->
grouping -> geometry -> series -> candidates -> choosing -> study; and pixels, which are decoded
only when a stage asks for a slice.
"""

from pathlib import Path

from rcc_onnx.errors import OptionError
from rcc_onnx.intake.candidates import read_contents
from rcc_onnx.intake.cases import StudyPlace, find_studies
from rcc_onnx.intake.choosing import SeriesWish
from rcc_onnx.intake.headers import SliceHeader
from rcc_onnx.intake.notebook import read_notebook_study
from rcc_onnx.intake.sources import LeftOut
from rcc_onnx.intake.standard import read_standard_study
from rcc_onnx.intake.study import Study, StudySlice
from rcc_onnx.intake_record import SeriesRow
from rcc_onnx.values import InputIs, Profile, SeriesPolicy

__all__ = [
    "InputIs",
    "LeftOut",
    "SeriesPolicy",
    "SeriesWish",
    "SliceHeader",
    "Study",
    "StudyPlace",
    "StudySlice",
    "check_wish",
    "find_studies",
    "read_study",
    "series_table",
]


def check_wish(profile: Profile, wish: SeriesWish) -> None:
    """Raise OptionError if a series was asked for in the notebook profile, which cannot choose."""
    if profile is Profile.NOTEBOOK and wish != SeriesWish():
        raise OptionError(
            "the notebook profile takes every *.dcm file and cannot choose a series; use the "
            "standard profile, or put the series into a folder of its own"
        )


def read_study(root: Path, profile: Profile, wish: SeriesWish | None = None) -> Study:
    """The one CT series of a folder or zip archive, by the rules of a profile (docs/pipeline.md
    section 1; docs/intake.md).

    Headers are read, pixels not, unless copies of slices must be told from different ones.

    Raises:
        IntakeError: one of its leaves, for anything that would have to be guessed.
        OptionError: a series was asked for in the notebook profile, which knows file names only.
    """
    wish = wish or SeriesWish()
    check_wish(profile, wish)
    if profile is Profile.NOTEBOOK:
        return read_notebook_study(root)
    return read_standard_study(root, wish)


def series_table(root: Path) -> tuple[SeriesRow, ...]:
    """Every series of a study with its verdict, by series number.

    Raises:
        IntakeError: nothing there is a CT slice.
    """
    return tuple(one.row for one in read_contents(root).candidates)
