"""The result of a case, as its document holds it (docs/outputs.md).

`CaseResult` and `FailedCase` are the documents `OUT/<case>.json`: their fields are its keys, in
order. Network coordinates are those of the published pipeline (docs/pipeline.md section 4): a
kidney's centre counts slices of the network volume, rows of the grid and columns of its half; a
lesion's box counts voxels of the crop. Measurements are taken on the masks that `--save nifti` and
`--save seg` write, at their voxels. LPS: x to the patient's left, y to posterior, z to the head,
mm, in the frame of reference of the series.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, Literal

from rcc_onnx._version import __version__
from rcc_onnx.bundles.manifest import Manifest, StudyKind
from rcc_onnx.errors import RccOnnxError, SeveralSeriesError
from rcc_onnx.imaging.images import NetworkImages, PatientImages
from rcc_onnx.options import InferenceOptions
from rcc_onnx.runtime.providers import ProviderRecord
from rcc_onnx.system.documents import STRICT
from rcc_onnx.system.host import Environment
from rcc_onnx.types import (
    NETWORK_NAMES,
    RESEARCH_ONLY,
    SIDES,
    Centre,
    IntakeRecord,
    LesionBox,
    Margin,
    Note,
    Outcome,
    Profile,
    SeriesRow,
    Side,
    SkippedFile,
    Thresholds,
    is_above,
)

Position = tuple[float, float, float]
SUSPECTED = (Outcome.LESION, Outcome.LESION_NOT_LOCATED)
"""Outcomes whose lesion sum exceeds its threshold."""
NOT_WRITTEN = {"document": False}
"""Metadata of fields that are not part of the document."""


@dataclass(frozen=True)
class KidneyMeasures:
    """Measurements of a kidney, without what is labelled suspected lesion.

    Attributes:
        mean_hu: of the pixels that the networks saw; None without a voxel.
    """

    volume_ml: float
    mean_hu: float | None


@dataclass(frozen=True)
class Diameter:
    """The longest line between the centres of two voxels of one axial slice.

    Attributes:
        slice: of the stack, from the head, from 0.
        sop_instance_uid: of that slice's image; `frame` counts from 1, None in single-frame files.
        ends_row_column: the two voxel centres in the file's image, from 0.
        ends_lps_mm: the same in the patient.
    """

    mm: float
    slice: int
    sop_instance_uid: str
    frame: int | None
    ends_row_column: tuple[tuple[int, int], tuple[int, int]]
    ends_lps_mm: tuple[Position, Position]


@dataclass(frozen=True)
class SourceBox:
    """The smallest box round the lesion's largest part, ends included.

    Attributes:
        slices: first and last slice of the stack, from the head, from 0.
        sop_instance_uids: of those two.
        rows, columns: first and last of the file's image, from 0.
        lowest_lps_mm, highest_lps_mm: outer edges of its voxels.
    """

    slices: tuple[int, int]
    sop_instance_uids: tuple[str, str]
    rows: tuple[int, int]
    columns: tuple[int, int]
    lowest_lps_mm: Position
    highest_lps_mm: Position


@dataclass(frozen=True)
class LesionMeasures:
    """Measurements of a suspected lesion whose mask has a voxel.

    Attributes:
        volume_ml: of the whole mask.
        parts: pieces of the mask that do not touch. Diameter, centre and box are the largest's.
        centre_lps_mm: centre of mass.
        touches_crop_border: the mask reaches the border of what the lesion network saw, so the
            lesion may extend beyond it.
        mean_hu: of the pixels that the networks saw.
    """

    volume_ml: float
    parts: int
    longest_axial_diameter: Diameter
    centre_lps_mm: Position
    box: SourceBox
    touches_crop_border: bool
    mean_hu: float


@dataclass(frozen=True)
class Sensitivity:
    """Outcomes and volumes under other settings, from the same run of the networks.

    Attributes:
        lesion_thresholds: of the lesion sum; `outcomes` go with them.
        mask_cutoffs: the volumes go with them. None: that structure was not found.
    """

    lesion_thresholds: tuple[float, ...]
    outcomes: tuple[Outcome, ...]
    mask_cutoffs: tuple[float, ...]
    kidney_volumes_ml: tuple[float, ...]
    lesion_volumes_ml: tuple[float, ...] | None


@dataclass(frozen=True)
class KidneyFinding:
    """One side of the kidney network's answer.

    Attributes:
        centre_zyx: None unless a kidney was located.
        measures: None unless a kidney was found whose place in the patient is known.
    """

    probability_sum: float
    margin: Margin
    centre_zyx: Centre | None
    measures: KidneyMeasures | None = None


@dataclass(frozen=True)
class LesionFinding:
    """The lesion network's answer for one crop.

    Attributes:
        box: None unless a lesion was located.
        measures: None unless there is a suspected lesion with a voxel in its mask, whose place in
            the patient is known.
    """

    probability_sum: float
    margin: Margin
    box: LesionBox | None
    measures: LesionMeasures | None = None


@dataclass(frozen=True)
class SideFinding:
    """Everything about one side.

    Attributes:
        assessable: neither the study nor this side has a flag.
        flags: reasons why this side may not be judged from the answer, which is another thing than
            a side without a finding.
        lesion, sensitivity: None unless the lesion network ran.
    """

    outcome: Outcome
    kidney: KidneyFinding
    lesion: LesionFinding | None = None
    flags: tuple[Note, ...] = ()
    assessable: bool = True
    sensitivity: Sensitivity | None = None

    def __post_init__(self) -> None:
        looked = self.outcome not in (Outcome.KIDNEY_NOT_FOUND, Outcome.KIDNEY_NOT_LOCATED)
        if looked != (self.lesion is not None) or looked != (self.kidney.centre_zyx is not None):
            raise ValueError(f"a side cannot be {self.outcome} with these findings")
        box = self.lesion.box if self.lesion else None
        if (self.outcome is Outcome.LESION) != (box is not None):
            raise ValueError(f"a side cannot be {self.outcome} with the box {box}")

    @property
    def lesion_measures(self) -> LesionMeasures | None:
        """Measurements of the suspected lesion, if there are any."""
        return self.lesion.measures if self.lesion else None

    @property
    def is_borderline(self) -> bool:
        """True if a sum of this side is near its threshold."""
        return self.kidney.margin.borderline or bool(self.lesion and self.lesion.margin.borderline)


@dataclass(frozen=True)
class SourceSummary:
    """The Keras file that a network was made from; `published`: it is the published one."""

    sha256: str
    published: bool


@dataclass(frozen=True)
class ParitySummary:
    """Comparison of a network with its source; the difference is in probability."""

    inputs: int
    largest_difference: float
    decisions_equal: bool


@dataclass(frozen=True)
class CertificateSummary:
    """A bundle's certificate in short; `holds`: within the tolerance, every decision the same."""

    tolerance: float
    holds: bool
    kidney: ParitySummary
    lesion: ParitySummary


@dataclass(frozen=True)
class ModelsUsed:
    """The bundle that gave the answer.

    Attributes:
        sha256: hash of each network's file, by its name in the manifest.
        meant_for: kinds of study that the bundle may be used on.
        suitable: whether this study is of such a kind.
        sources, certificate: None of a bundle that was made by hand.
    """

    name: str
    version: str
    sha256: Mapping[str, str]
    meant_for: tuple[StudyKind, ...]
    suitable: bool
    sources: Mapping[str, SourceSummary] | None = None
    certificate: CertificateSummary | None = None

    def came_from(self, manifest: Manifest) -> bool:
        """Return whether a bundle with this manifest gave the answer, with whichever variant."""
        if (self.name, self.version) != (manifest.name, manifest.version):
            return False
        return all(
            self.sha256.get(name)
            in {entry.variant(variant).sha256 for variant in entry.variant_names}
            for name in NETWORK_NAMES
            for entry in (manifest.networks[name],)
        )


@dataclass(frozen=True)
class StudyFacts:
    """The study that was analysed, without anything of the patient.

    Attributes:
        kind: patient, or one of this project's digital phantoms.
        pseudonym: whether the case's name is one, and names of files are hidden.
        skipped_files: files that are not slices of the series.
        images_sha256: hash over the images that were analysed; None where it was not taken.
    """

    kind: StudyKind
    pseudonym: bool
    files_found: int
    slices_in_series: int
    slices_analysed: int
    stride: int
    spacing_zyx_mm: tuple[float, float, float]
    skipped_files: tuple[SkippedFile, ...]
    images_sha256: str | None = None


@dataclass(frozen=True)
class Fingerprint:
    """Inputs that determine a result, beside the models: the same ones give the same result.

    Attributes:
        inputs_sha256: of all files of the study, names and bytes.
        settings_sha256: of the options and of this software's version.
    """

    inputs_sha256: str
    settings_sha256: str


@dataclass(frozen=True)
class WrittenFile:
    """A file of a case as it was written; its name from the folder of results, with `/`."""

    name: str
    bytes: int
    sha256: str


@dataclass(frozen=True, kw_only=True)
class CaseResult:
    """One analysed case, as its document holds it.

    Attributes:
        options: as they were requested; `thresholds`: those in force.
        warnings: sentences that a person should read next to the result.
        flags: reasons why neither side may be judged from the answer.
        intake: how the analysed slices were chosen.
        fingerprint: None where it was not asked for, as when one study is analysed by hand.
        files: of the case, in the order in which they were written, without the JSON; empty until
            they are.
        timings_s: seconds by stage, `total` among them.
        measured: findings have their places in the patient; not in the notebook profile, which
            knows no positions.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT

    schema_version: Literal[1] = 1
    rcc_onnx_version: str = __version__
    notice: str = RESEARCH_ONLY
    case: str
    status: Literal["analysed"] = "analysed"
    options: InferenceOptions
    thresholds: Thresholds
    warnings: tuple[str, ...] = ()
    flags: tuple[Note, ...] = ()
    intake: IntakeRecord | None
    study: StudyFacts
    models: ModelsUsed
    provider: ProviderRecord
    environment: Environment
    fingerprint: Fingerprint | None = None
    files: tuple[WrittenFile, ...] = ()
    timings_s: Mapping[str, float]
    measured: bool
    sides: Mapping[Side, SideFinding]

    def __post_init__(self) -> None:
        if self.sides.keys() != set(SIDES) or "total" not in self.timings_s:
            raise ValueError("a case has two sides, and the seconds of the whole")
        for side, finding in self.sides.items():
            if finding.assessable != (not self.flags_of(side)):
                raise ValueError(f"the {side} side cannot be assessable with these flags")
            lesion = finding.lesion
            if lesion is not None and is_above(lesion.probability_sum, self.thresholds.lesion) != (
                finding.outcome in SUSPECTED
            ):
                raise ValueError(f"the {side} side cannot be {finding.outcome} with this sum")

    @property
    def profile(self) -> Profile:
        return self.options.profile

    def flags_of(self, side: Side) -> tuple[Note, ...]:
        """Return every flag that touches a side: the study's and its own."""
        return (*self.flags, *self.sides[side].flags)


@dataclass(frozen=True)
class ErrorRecord:
    """An error as documents hold it.

    Attributes:
        series: the candidates, where the error is that there are several; else empty.
    """

    code: str
    message: str
    series: tuple[SeriesRow, ...] = ()

    @classmethod
    def of(cls, error: RccOnnxError) -> "ErrorRecord":
        series = error.series if isinstance(error, SeveralSeriesError) else ()
        return cls(error.code, str(error), tuple(series))


@dataclass(frozen=True, kw_only=True)
class FailedCase:
    """One case that could not be analysed, and why. `fingerprint`: as of a `CaseResult`."""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT

    schema_version: Literal[1] = 1
    rcc_onnx_version: str = __version__
    notice: str = RESEARCH_ONLY
    case: str
    status: Literal["failed"] = "failed"
    options: InferenceOptions
    error: ErrorRecord
    fingerprint: Fingerprint | None = None


@dataclass(frozen=True, kw_only=True)
class AnalysedCase(CaseResult):
    """A case with the arrays behind it, from which its pictures and masks are made.

    Attributes:
        patient_images: None in the notebook profile.
    """

    network_images: NetworkImages = field(repr=False, compare=False, metadata=NOT_WRITTEN)
    patient_images: PatientImages | None = field(repr=False, compare=False, metadata=NOT_WRITTEN)

    @property
    def placed(self) -> PatientImages:
        """The `patient_images` of a case that has them. Raises ValueError for any other."""
        if self.patient_images is None:
            raise ValueError(f"{self.case}: findings of this case have no place in the patient")
        return self.patient_images

    def without_images(self) -> CaseResult:
        """Return the result without arrays, to be kept while other cases are analysed."""
        return CaseResult(**{item.name: getattr(self, item.name) for item in fields(CaseResult)})
