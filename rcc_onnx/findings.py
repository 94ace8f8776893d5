"""What an analysis ends in: plain values that writers and users read (docs/pipeline.md section 4).

Coordinates are those of the published pipeline: a kidney's centre counts slices of the network
volume, rows of the grid and columns of its half; a lesion's slice and box count voxels of the crop.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rcc_onnx.errors import RccOnnxError
from rcc_onnx.intake_record import IntakeRecord, Note
from rcc_onnx.manifest import NETWORK_NAMES, Manifest, StudyKind
from rcc_onnx.measures import MeasuringOptions, SideMeasures
from rcc_onnx.placement import Placement
from rcc_onnx.provenance import AskedOptions, CertifiedBy, WrittenFile
from rcc_onnx.providers import ProviderRecord
from rcc_onnx.source_masks import SourceMask
from rcc_onnx.values import Centre, LesionBox, Outcome, Profile, Side, Thresholds


@dataclass(frozen=True)
class KidneyFinding:
    """One side of the kidney network's answer. `centre` is None unless a kidney was located."""

    probability_sum: float
    centre: Centre | None


@dataclass(frozen=True)
class LesionFinding:
    """The lesion network's answer for one crop. `box` is None unless a lesion was located."""

    probability_sum: float
    box: LesionBox | None


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
class CropImage:
    """What the lesion network saw of one side, and said.

    Attributes:
        start_zyx: first voxel of the crop in the network volume (of all 160 columns).
        values: uint8 (40, 64, 64).
        probability: float32 (40, 64, 64).
    """

    start_zyx: tuple[int, int, int]
    values: NDArray[np.uint8]
    probability: NDArray[np.float32]

    @property
    def where(self) -> tuple[slice, slice, slice]:
        """The crop's place in the network volume."""
        z, y, x = (
            slice(start, start + length)
            for start, length in zip(self.start_zyx, self.values.shape, strict=True)
        )
        return z, y, x


@dataclass(frozen=True)
class NetworkImages:
    """The arrays behind the findings, on the network volume.

    Attributes:
        kidney_probability: float32 (depth, 160, 160).
        crops: of the sides that the lesion network looked at.
    """

    kidney_probability: NDArray[np.float32]
    crops: Mapping[Side, CropImage]

    def lesion_probability(self, side: Side | None = None) -> NDArray[np.float32]:
        """Of one or both sides, at their places in a (depth, 160, 160) volume; 0 elsewhere."""
        volume = np.zeros(self.kidney_probability.shape, np.float32)
        for crop_side, crop in self.crops.items():
            if side in (None, crop_side):
                volume[crop.where] = crop.probability
        return volume


@dataclass(frozen=True)
class PatientImages:
    """What is needed to show and measure findings in the patient. Standard profile only.

    Attributes:
        placement: where the network volume lies.
        mask_cutoff: a voxel belongs to a mask from this probability on.
        labels: uint8 (depth, 160, 160), the values of `Structure`; 0 elsewhere.
        masks: the same at the voxels of the series; where two overlap, the later counts.
        hu: float32 (depth, 160, 160), HU of the pixels that the networks saw, not masked; NaN where
            no image is.
        read_hu: HU of a slice of the turned stack, float64, decoded anew; raises PixelsError.
        read_header: the DICOM header of such a slice's file, without pixels, as the library that
            reads DICOM gives it; raises IntakeError.
    """

    placement: Placement
    mask_cutoff: float
    labels: NDArray[np.uint8]
    masks: tuple[SourceMask, ...]
    hu: NDArray[np.float32]
    read_hu: Callable[[int], NDArray[np.float64]]
    read_header: Callable[[int], Any]

    def label_slice(self, index: int) -> NDArray[np.uint8]:
        """Labels of a slice of the turned stack, `Structure` or 0: uint8 (rows, columns)."""
        labels = np.zeros(self.placement.shape_yx, np.uint8)
        for mask in self.masks:
            part = mask.slice(index)
            if part is not None:
                labels[part.where][part.mask] = mask.structure
        return labels


@dataclass(frozen=True)
class ModelsUsed:
    """Which bundle gave the answer.

    Attributes:
        network_sha256: hash of each network's file, by its name in the manifest.
        meant_for: kinds of study that the bundle may be used on.
        suitable: whether this study is of such a kind.
        certified: None of a bundle that was made by hand.
    """

    name: str
    version: str
    network_sha256: Mapping[str, str]
    meant_for: tuple[StudyKind, ...]
    suitable: bool
    certified: CertifiedBy | None = None

    def came_from(self, manifest: Manifest) -> bool:
        """Whether a bundle with this manifest gave the answer, in whichever form ran."""
        if (self.name, self.version) != (manifest.name, manifest.version):
            return False
        return all(
            self.network_sha256.get(name) in {entry.form(form).sha256 for form in entry.forms}
            for name in NETWORK_NAMES
            for entry in (manifest.networks[name],)
        )


@dataclass(frozen=True)
class StudyFacts:
    """What was analysed, without anything of the patient.

    Attributes:
        kind: patient, or one of this project's digital phantoms.
        left_out: file name and reason of each file that is not a slice of the study.
        images_sha256: hash over the images that were analysed; None where nobody took it.
    """

    kind: StudyKind
    files_found: int
    slices_in_series: int
    slices_analysed: int
    stride: int
    spacing_zyx_mm: tuple[float, float, float]
    left_out: tuple[tuple[str, str], ...]
    images_sha256: str | None = None


@dataclass(frozen=True)
class Fingerprint:
    """What a result hangs on, beside the models: two results with the same one are the same.

    Attributes:
        inputs_sha256: of all files of the study, names and bytes.
        settings_sha256: of the options and of this software's version.
    """

    inputs_sha256: str
    settings_sha256: str


@dataclass(frozen=True)
class CaseResult:
    """One analysed case.

    Attributes:
        timings_s: seconds by stage, `total` among them.
        warnings: sentences that a person should read next to the result.
        flags: why the answer may say nothing about either side.
        intake: how the analysed slices were chosen.
        options: what the masks and measurements hang on.
        fingerprint: None where nobody asked for it, as when one study is analysed by hand.
        asked: the options, as they were asked for; None of a result that no engine made.
        environment: software and machine, as `machine.environment` gives it; None likewise.
        files: of the case, in the order in which they were written, without the JSON; empty until
            they are.
        measures: of each side, in the patient. None in the notebook profile, which knows no
            positions.
        network_images: arrays behind the findings. None once the case was written.
        patient_images: the same in the patient. None in the notebook profile too.
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
    options: MeasuringOptions = field(default_factory=MeasuringOptions)
    fingerprint: Fingerprint | None = None
    asked: AskedOptions | None = None
    environment: Mapping[str, Any] | None = None
    files: tuple[WrittenFile, ...] = ()
    measures: Mapping[Side, SideMeasures] | None = None
    network_images: NetworkImages | None = field(default=None, repr=False, compare=False)
    patient_images: PatientImages | None = field(default=None, repr=False, compare=False)

    def without_images(self) -> "CaseResult":
        """The same without arrays, to be kept while other cases are analysed."""
        return replace(self, network_images=None, patient_images=None)

    def flags_of(self, side: Side) -> tuple[Note, ...]:
        """Every flag that touches a side: the study's and its own."""
        return (*self.flags, *self.sides[side].flags)


@dataclass(frozen=True)
class FailedCase:
    """One case that could not be analysed, and why. `fingerprint`: as of a `CaseResult`."""

    case: str
    profile: Profile
    error: RccOnnxError
    fingerprint: Fingerprint | None = None
