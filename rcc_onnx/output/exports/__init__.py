"""Files for other programs: masks, probabilities, measurements (docs/outputs.md).

A format is one `CaseFile` in `EXPORTS`. The modules that write are imported when one is written:
nibabel and highdicom are extras, and take a second.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path

from rcc_onnx.errors import MissingExtraError
from rcc_onnx.options import InferenceOptions, Save
from rcc_onnx.results import AnalysedCase
from rcc_onnx.types import NetworkName

EXTRAS = {"nibabel": "nifti", "highdicom": "dicom"}
"""Extras of rcc-onnx that install packages."""


@dataclass(frozen=True)
class CaseFile:
    """One kind of file that an analysed case may have beside its JSON.

    Attributes:
        suffix: of the file's name, after the case's.
        write: into a path of the same suffix.
        applies: whether this result has it.
        save: what `--save` must name for it; None: written in any case.
        package: what writes it, beside what the base install brings.
        folder: in the folder of results.
    """

    suffix: str
    write: Callable[[AnalysedCase, Path], object]
    applies: Callable[[AnalysedCase], bool]
    save: Save | None = None
    package: str = ""
    folder: str = ""

    def name(self, case: str) -> str:
        """Return the file's path from the folder of results, with `/`."""
        return f"{self.folder}{case}{self.suffix}"

    def is_wanted(self, result: AnalysedCase) -> bool:
        """Return whether this result has the file, and it was requested."""
        return self.save in (None, *result.options.save) and self.applies(result)


def is_placed(result: AnalysedCase) -> bool:
    """Return whether findings of the case have their places in the patient."""
    return result.patient_images is not None


def _has_masks(result: AnalysedCase) -> bool:
    # A Segmentation without segments cannot be (PS3.3 C.8.20.2).
    return result.patient_images is not None and bool(result.patient_images.masks)


def _has_crops(result: AnalysedCase) -> bool:
    return bool(result.network_images.crops)


def _write_mask(result: AnalysedCase, to: Path) -> None:
    from rcc_onnx.output.exports.nifti import write_mask  # noqa: PLC0415  an extra

    write_mask(result, to)


def _write_probability(network: NetworkName, result: AnalysedCase, to: Path) -> None:
    from rcc_onnx.output.exports.nifti import write_probability  # noqa: PLC0415  an extra

    write_probability(network, result, to)


def _write_seg(result: AnalysedCase, to: Path) -> None:
    from rcc_onnx.output.exports.seg import write_seg  # noqa: PLC0415  an extra

    write_seg(result, to)


def _write_sr(result: AnalysedCase, to: Path) -> None:
    from rcc_onnx.output.exports.sr import write_sr  # noqa: PLC0415  an extra

    write_sr(result, to)


EXPORTS: tuple[CaseFile, ...] = (
    CaseFile("_mask.nii.gz", _write_mask, is_placed, Save.NIFTI, "nibabel"),
    CaseFile(
        "_kidney_probability.nii.gz",
        partial(_write_probability, "kidney"),
        is_placed,
        Save.PROBABILITIES,
        "nibabel",
    ),
    CaseFile(
        "_lesion_probability.nii.gz",
        partial(_write_probability, "lesion"),
        _has_crops,
        Save.PROBABILITIES,
        "nibabel",
    ),
    CaseFile("_seg.dcm", _write_seg, _has_masks, Save.SEG, "highdicom"),
    CaseFile("_sr.dcm", _write_sr, is_placed, Save.SR, "highdicom"),
)
"""In the order in which they are written."""


def check_exports(options: InferenceOptions) -> None:
    """Raise MissingExtraError if a requested file cannot be written here."""
    for export in EXPORTS:
        # Looks without importing, which takes a second for highdicom.
        if export.save in options.save and find_spec(export.package) is None:
            raise MissingExtraError(
                f"--save {export.save} needs {export.package}, which is not installed; run pip "
                f'install "rcc-onnx[{EXTRAS[export.package]}]"'
            )
