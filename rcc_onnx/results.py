"""What an analysis ends in: plain values that writers and users read (docs/pipeline.md section 4).

Coordinates are those of the published pipeline: a kidney's centre counts slices of the network
volume, rows of the grid and columns of its half; a lesion's slice and box count voxels of the crop.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rcc_onnx.bundles.manifest import NETWORK_NAMES, Manifest, StudyKind
from rcc_onnx.errors import OptionError, RccOnnxError
from rcc_onnx.imaging.mask_resampling import SourceMask
from rcc_onnx.imaging.placement import Placement
from rcc_onnx.runtime.providers import ProviderRecord
from rcc_onnx.types import Centre, IntakeRecord, LesionBox, Note, Outcome, Profile, Side, Thresholds

# Measurements of one side in the patient, as plain values (docs/outputs.md).
#
# All of them are taken on the masks that `--save nifti` and `--save seg` write, at their voxels, so
# that anybody can take them again from those files. LPS: x to the patient's left, y to posterior, z
# to the head, mm, in the frame of reference of the series.

Position = tuple[float, float, float]


@dataclass(frozen=True)
class MeasuringOptions:
    """What masks and measurements hang on, beside the thresholds.

    Attributes:
        mask_cutoff: a voxel belongs to a mask from this probability on.
        borderline: a sum is borderline up to this distance from its threshold, as a part of it.

    Raises:
        OptionError: one of them cannot be.
    """

    mask_cutoff: float = 0.5
    borderline: float = 0.1

    def __post_init__(self) -> None:
        # Written so that a value that is no number fails too.
        if not 0 < self.mask_cutoff <= 1:
            raise OptionError(
                f"the mask cut-off must be above 0 and at most 1, not {self.mask_cutoff}"
            )
        if not 0 <= self.borderline < math.inf:
            raise OptionError(
                f"the borderline distance must be a number of 0 or more, not {self.borderline}"
            )


@dataclass(frozen=True)
class Margin:
    """How far a sum of probabilities is from its threshold.

    Attributes:
        absolute: sum less threshold.
        relative: that as a part of the threshold; None for a threshold of 0.
    """

    absolute: float
    relative: float | None
    borderline: bool


def margin(probability_sum: float, threshold: float, options: MeasuringOptions) -> Margin:
    absolute = probability_sum - threshold
    relative = absolute / threshold if threshold else None
    borderline = abs(absolute) <= options.borderline * threshold
    return Margin(absolute, relative, borderline)


@dataclass(frozen=True)
class KidneyMeasures:
    """Of a kidney that was found, without what is labelled suspected lesion.

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
        ends_lps_mm: the two voxel centres.
        ends_file: the same as (row, column) of the file's image, from 0.
    """

    length_mm: float
    slice: int
    sop_instance_uid: str
    frame: int | None
    ends_lps_mm: tuple[Position, Position]
    ends_file: tuple[tuple[int, int], tuple[int, int]]


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
    """Of a suspected lesion whose mask has a voxel.

    Attributes:
        volume_ml: of the whole mask.
        parts: pieces of the mask that do not touch. Diameter, centre and box are the largest's.
        centre_lps_mm: centre of mass.
        touches_crop_border: the mask reaches the border of what the lesion network saw, so the
            lesion may go on beyond it.
        mean_hu: of the pixels that the networks saw.
    """

    volume_ml: float
    parts: int
    diameter: Diameter
    centre_lps_mm: Position
    box: SourceBox
    touches_crop_border: bool
    mean_hu: float


@dataclass(frozen=True)
class Sensitivity:
    """What other settings would have said, from the same run of the networks.

    Attributes:
        thresholds: of the lesion sum; `outcomes` go with them.
        cutoffs: of the masks; the volumes go with them. None: that structure was not found.
    """

    thresholds: Sequence[float]
    outcomes: Sequence[Outcome]
    cutoffs: Sequence[float]
    kidney_volumes_ml: Sequence[float]
    lesion_volumes_ml: Sequence[float] | None


@dataclass(frozen=True)
class SideMeasures:
    """Measurements of one side.

    Attributes:
        kidney: None unless a kidney was found.
        lesion: None unless there is a suspected lesion with a voxel in its mask.
        sensitivity: None unless the lesion network ran.
    """

    kidney: KidneyMeasures | None
    lesion: LesionMeasures | None
    sensitivity: Sensitivity | None


# What a result hangs on, as plain values that its document holds: options, models, files.

Json = dict[str, Any]


@dataclass(frozen=True)
class AskedOptions:
    """What was asked for. None: the default of the bundle or the machine. No path, which may hold a
    name.

    Attributes:
        save: what was asked for with `--save`.
        pseudonyms: whether the case has a pseudonym.
    """

    profile: str
    provider: str
    precision: str
    threads: int | None
    kidney_threshold: float | None
    lesion_threshold: float | None
    series: str | None
    series_policy: str | None
    mask_cutoff: float
    borderline: float
    save: tuple[str, ...] = ()
    pseudonyms: bool = False

    def as_json(self) -> Json:
        """As documents hold it."""
        return {**asdict(self), "save": list(self.save)}

    @classmethod
    def from_json(cls, document: Json) -> "AskedOptions":
        """The inverse of `as_json`. Raises TypeError or KeyError for another document."""
        return cls(**{**document, "save": tuple(document["save"])})


@dataclass(frozen=True)
class SourceUsed:
    """The Keras file that a network was made from; `published`: it is the published one."""

    sha256: str
    published: bool


@dataclass(frozen=True)
class ParityUsed:
    """What comparing a network with its source gave. The difference is in probability."""

    inputs: int
    largest_difference: float
    decisions_equal: bool


@dataclass(frozen=True)
class CertificateUsed:
    """A bundle's certificate in short. `holds`: within the tolerance, and every decision the
    same."""

    tolerance: float
    holds: bool
    networks: Mapping[str, ParityUsed]


@dataclass(frozen=True)
class CertifiedBy:
    """Where the networks of a bundle came from, and how that was shown."""

    sources: Mapping[str, SourceUsed]
    certificate: CertificateUsed

    @classmethod
    def of(cls, manifest: Manifest) -> "CertifiedBy | None":
        """None of a bundle that was made by hand."""
        origin = manifest.provenance
        if origin is None:
            return None
        certificate = origin.certificate
        parts = {"kidney": certificate.kidney, "lesion": certificate.lesion}
        return cls(
            {
                name: SourceUsed(origin.sources[name].sha256, origin.sources[name].published)
                for name in NETWORK_NAMES
            },
            CertificateUsed(
                certificate.tolerance,
                certificate.holds,
                {
                    name: ParityUsed(one.inputs, one.largest_difference, one.decisions_equal)
                    for name, one in parts.items()
                },
            ),
        )

    @staticmethod
    def as_json(certified: "CertifiedBy | None") -> Json:
        """The keys `sources` and `certificate`, both null of a bundle that was made by hand."""
        if certified is None:
            return {"sources": None, "certificate": None}
        short = certified.certificate
        return {
            "sources": {name: asdict(one) for name, one in certified.sources.items()},
            "certificate": {
                "tolerance": short.tolerance,
                "holds": short.holds,
                **{name: asdict(one) for name, one in short.networks.items()},
            },
        }

    @classmethod
    def from_json(cls, document: Json) -> "CertifiedBy | None":
        """The inverse of `as_json`. Raises TypeError or KeyError for another document."""
        sources, short = document["sources"], document["certificate"]
        if sources is None and short is None:
            return None
        return cls(
            {name: SourceUsed(**sources[name]) for name in NETWORK_NAMES},
            CertificateUsed(
                short["tolerance"],
                short["holds"],
                {name: ParityUsed(**short[name]) for name in NETWORK_NAMES},
            ),
        )


@dataclass(frozen=True)
class WrittenFile:
    """A file of a case as it was written; its name from the folder of results, with `/`."""

    name: str
    size: int
    sha256: str

    def as_json(self) -> Json:
        """As documents hold it."""
        return {"name": self.name, "bytes": self.size, "sha256": self.sha256}

    @classmethod
    def from_json(cls, document: Json) -> "WrittenFile":
        """The inverse of `as_json`. Raises TypeError or KeyError for another document."""
        return cls(document["name"], document["bytes"], document["sha256"])


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
            self.network_sha256.get(name)
            in {entry.variant(form).sha256 for form in entry.variant_names}
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
