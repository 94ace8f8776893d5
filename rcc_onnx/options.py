"""Which files of a case are written beside the JSON and the pictures."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from enum import StrEnum


class Save(StrEnum):
    """What `--save` takes."""

    NIFTI = "nifti"
    PROBABILITIES = "probabilities"
    SEG = "seg"
    SR = "sr"
    ALL = "all"


@dataclass(frozen=True)
class Saving:
    """What was asked for with `--save`.

    Attributes:
        nifti: the mask as NIfTI.
        probabilities: both networks' probabilities as NIfTI.
        seg: the mask as a DICOM Segmentation.
        sr: the measurements as a DICOM Structured Report.
    """

    nifti: bool = False
    probabilities: bool = False
    seg: bool = False
    sr: bool = False

    @classmethod
    def of(cls, wishes: Iterable[Save]) -> "Saving":
        """What several `--save` come to."""
        asked = set(wishes)
        return cls(*(Save.ALL in asked or one in asked for one in Save if one is not Save.ALL))

    @property
    def names(self) -> tuple[str, ...]:
        """What was asked for, as `--save` names it."""
        return tuple(name for name, asked in asdict(self).items() if asked)

    @property
    def anything(self) -> bool:
        return self.nifti or self.probabilities or self.dicom

    @property
    def dicom(self) -> bool:
        """Whether any DICOM object is."""
        return self.seg or self.sr
