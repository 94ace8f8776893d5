"""Whether what was asked for can be written here, told before the first case."""

from importlib.util import find_spec

from rcc_onnx.errors import MissingExtraError, OptionError
from rcc_onnx.options import Saving
from rcc_onnx.types import Profile


def check_saving(saving: Saving, profile: Profile) -> None:
    """See that the files asked for can be written.

    Raises:
        OptionError: the notebook profile knows no positions, so nothing of it can be placed.
        MissingExtraError: a package that writes them is not installed.
    """
    if saving.anything and profile is Profile.NOTEBOOK:
        raise OptionError(
            "--save needs to know where slices lie in the patient, and the notebook profile goes "
            "by file names; leave out --save or take --profile standard"
        )
    if saving.nifti or saving.probabilities:
        _need("nibabel", "nifti", "NIfTI files")
    if saving.dicom:
        _need("highdicom", "dicom", "DICOM SEG and SR")


def _need(package: str, extra: str, what: str) -> None:
    # Looks without importing, which takes a second for highdicom.
    if find_spec(package) is None:
        raise MissingExtraError(
            f"{what} are written with {package}, which is not installed; run pip install "
            f'"rcc-onnx[{extra}]"'
        )
