"""The door to a study on disk: a folder in, ordered slices out, or a refusal that says why.

Inside, each step is a module of its own: sources -> reading (multiframe) -> headers -> classify ->
grouping -> geometry -> series -> candidates -> choosing -> study; and pixels, which are decoded
only when a stage asks for a slice.
"""

from pathlib import Path

from rcc_onnx.dicom.discovery import StudyPlace, find_studies
from rcc_onnx.dicom.headers import SliceHeader
from rcc_onnx.dicom.images_hash import ImagesHash
from rcc_onnx.dicom.notebook import read_notebook_study
from rcc_onnx.dicom.pixels import PixelObserver
from rcc_onnx.dicom.reader import read_standard_study
from rcc_onnx.dicom.series import SeriesSelection, as_recorded, read_contents
from rcc_onnx.dicom.sources import LeftOut
from rcc_onnx.dicom.study import Study, StudySlice
from rcc_onnx.errors import OptionError
from rcc_onnx.types import InputIs, Profile, SeriesPolicy, SeriesRow

__all__ = [
    "ImagesHash",
    "InputIs",
    "LeftOut",
    "PixelObserver",
    "SeriesPolicy",
    "SeriesSelection",
    "SliceHeader",
    "Study",
    "StudyPlace",
    "StudySlice",
    "check_series_selection",
    "find_studies",
    "read_study",
    "series_table",
]


def check_series_selection(profile: Profile, wish: SeriesSelection) -> None:
    """Raise OptionError if a series was asked for in the notebook profile, which cannot choose."""
    if profile is Profile.NOTEBOOK and wish != SeriesSelection():
        raise OptionError(
            "the notebook profile takes every *.dcm file and cannot choose a series; use the "
            "standard profile, or put the series into a folder of its own"
        )


def read_study(
    root: Path,
    profile: Profile,
    wish: SeriesSelection | None = None,
    *,
    shown_as: str | None = None,
) -> Study:
    """The one CT series of a folder or zip archive, by the rules of a profile (docs/pipeline.md
    section 1; docs/intake.md).

    Headers are read, pixels not, unless copies of slices must be told from different ones.

    Args:
        root: the folder or archive.
        profile: which rules.
        wish: which series; None: the only suitable one.
        shown_as: what messages and the record call the study, where no name of a folder or file
            may be told; files are then called by number, in the order of their names.

    Raises:
        IntakeError: one of its leaves, for anything that would have to be guessed.
        OptionError: a series was asked for in the notebook profile, which knows file names only.
    """
    wish = wish or SeriesSelection()
    check_series_selection(profile, wish)
    if profile is Profile.NOTEBOOK:
        return read_notebook_study(root, shown_as)
    return read_standard_study(root, wish, shown_as)


def series_table(root: Path, *, free_text: bool = False) -> tuple[SeriesRow, ...]:
    """Every series of a study with its verdict, by series number.

    Args:
        root: the folder or archive.
        free_text: give texts as the files have them, which may hold a patient's name, instead of
            the words that are known to be harmless.

    Raises:
        IntakeError: nothing there is a CT slice.
    """
    candidates = read_contents(root).candidates
    return tuple(as_recorded(one) if free_text else one.row for one in candidates)
