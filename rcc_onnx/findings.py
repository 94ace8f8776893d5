"""What an analysis ends in: plain values that writers and users read (docs/pipeline.md section 4).

Coordinates are those of the published pipeline: a kidney's centre counts slices of the network
volume, rows of the grid and columns of its half; a lesion's slice and box count voxels of the crop.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rcc_onnx.errors import RccOnnxError
from rcc_onnx.intake_record import IntakeRecord, Note
from rcc_onnx.manifest import StudyKind
from rcc_onnx.providers import ProviderRecord
from rcc_onnx.values import Centre, LesionBox, Outcome, Profile, Side, Thresholds


@dataclass(frozen=True)
class KidneyFinding:
    """One side of the kidney network's answer. `centre` is None unless a kidney was located."""

    probability_sum: float
    centre: Centre | None


@dataclass(frozen=True)
class LesionFinding:
    """The lesion network's answer for one crop. `box` is None unless a lesion was located.

    Attributes:
        crop: uint8 (40, 64, 64), what the network saw.
    """

    probability_sum: float
    box: LesionBox | None
    crop: NDArray[np.uint8]


@dataclass(frozen=True)
class SideFinding:
    """Everything about one side. `lesion` is None unless the lesion network ran.

    Attributes:
        flags: why the answer may say nothing about this side, which is another thing than a side
            without a finding.
    """

    outcome: Outcome
    kidney: KidneyFinding
    lesion: LesionFinding | None = None
    flags: tuple[Note, ...] = ()

    def __post_init__(self) -> None:
        looked = self.outcome not in (Outcome.KIDNEY_NOT_FOUND, Outcome.KIDNEY_NOT_LOCATED)
        if looked != (self.lesion is not None) or looked != (self.kidney.centre is not None):
            raise ValueError(f"a side cannot be {self.outcome} with these findings")
        box = self.lesion.box if self.lesion else None
        if (self.outcome is Outcome.LESION) != (box is not None):
            raise ValueError(f"a side cannot be {self.outcome} with the box {box}")


@dataclass(frozen=True)
class ModelsUsed:
    """Which bundle gave the answer.

    Attributes:
        network_sha256: hash of each network's file, by its name in the manifest.
        meant_for: kinds of study that the bundle may be used on.
        suitable: whether this study is of such a kind.
    """

    name: str
    version: str
    network_sha256: Mapping[str, str]
    meant_for: tuple[StudyKind, ...]
    suitable: bool


@dataclass(frozen=True)
class StudyFacts:
    """What was analysed, without anything of the patient.

    Attributes:
        kind: patient, or one of this project's digital phantoms.
        left_out: file name and reason of each file that is not a slice of the study.
    """

    kind: StudyKind
    files_found: int
    slices_in_series: int
    slices_analysed: int
    stride: int
    spacing_zyx_mm: tuple[float, float, float]
    left_out: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class CaseResult:
    """One analysed case.

    Attributes:
        timings_s: seconds by stage, `total` among them.
        warnings: sentences that a person should read next to the result.
        flags: why the answer may say nothing about either side.
        intake: how the analysed slices were chosen.
    """

    case: str
    profile: Profile
    thresholds: Thresholds
    sides: Mapping[Side, SideFinding]
    study: StudyFacts
    models: ModelsUsed
    provider: ProviderRecord
    timings_s: Mapping[str, float]
    warnings: tuple[str, ...] = ()
    flags: tuple[Note, ...] = ()
    intake: IntakeRecord | None = None

    def flags_of(self, side: Side) -> tuple[Note, ...]:
        """Every flag that touches a side: the study's and its own."""
        return (*self.flags, *self.sides[side].flags)


@dataclass(frozen=True)
class FailedCase:
    """One case that could not be analysed, and why."""

    case: str
    profile: Profile
    error: RccOnnxError
