"""The values that stages hand to one another. Frozen, checked where they are made.

Axes are named z, y, x: slices from head to feet, rows from anterior to posterior, columns from the
patient's right to the left. The network grid has 2 mm pixels and slices about 5 mm apart
(docs/pipeline.md section 1).
"""

import math
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


Side = Literal["right", "left"]
SIDES: tuple[Side, Side] = ("right", "left")

Edge = Literal["right", "left", "front", "back"]
"""Edges of the grid, named as the patient's sides."""

GRID_SIZE = 160
"""Rows and columns of the network grid."""
SLICE_SHAPE = (GRID_SIZE, GRID_SIZE)
HALF_WIDTH = 80
"""Columns of one side of the grid: 0 to 79 are the patient's right."""
MIN_SLICES = 40
"""Volumes with fewer slices are padded with zeros up to this many: a crop needs them."""
CROP_SHAPE_ZYX = (40, 64, 64)
"""Shape of the crop round a kidney that the 3D network sees."""
PHANTOM_MANUFACTURER = "rcc-onnx digital phantom"
"""Manufacturer (0008,0070) of every phantom file; with QualityControlSubject YES it marks one."""


class Profile(StrEnum):
    """The computation: `standard`, or the published notebook to the letter."""

    STANDARD = "standard"
    NOTEBOOK = "notebook"


class InputIs(StrEnum):
    """Kind of an input; `auto` looks into it."""

    AUTO = "auto"
    STUDY = "study"
    STUDIES = "studies"


class SeriesPolicy(StrEnum):
    """Rules to choose among several suitable series of one study."""

    THINNEST = "thinnest"
    MOST_SLICES = "most-slices"
    CONTRAST = "contrast"


class ProviderName(StrEnum):
    """Execution providers by our names; `auto` chooses one."""

    AUTO = "auto"
    CPU = "cpu"
    CUDA = "cuda"
    DIRECTML = "directml"
    OPENVINO = "openvino"
    OPENVINO_GPU = "openvino-gpu"
    OPENVINO_NPU = "openvino-npu"
    TENSORRT = "tensorrt"
    COREML = "coreml"


class SchemaName(StrEnum):
    """Documents whose JSON Schema `rcc-onnx schema` prints."""

    CASE = "case"
    RESULTS = "results"
    DOCTOR = "doctor"
    EVALUATION = "evaluation"


class Precision(StrEnum):
    """In what numbers the networks compute."""

    FLOAT32 = "float32"
    INT8 = "int8"
    FLOAT16 = "float16"


class Outcome(StrEnum):
    """The finding on one side."""

    KIDNEY_NOT_FOUND = "kidney_not_found"
    KIDNEY_NOT_LOCATED = "kidney_not_located"
    NO_LESION = "no_lesion"
    LESION_NOT_LOCATED = "lesion_not_located"
    LESION = "lesion"


class Structure(IntEnum):
    """Labels of masks, in memory and in files."""

    RIGHT_KIDNEY = 1
    LEFT_KIDNEY = 2
    SUSPECTED_LESION = 3


KIDNEYS: dict[Side, Structure] = {
    "right": Structure.RIGHT_KIDNEY,
    "left": Structure.LEFT_KIDNEY,
}

NetworkName = Literal["kidney", "lesion"]
NETWORK_NAMES: tuple[NetworkName, NetworkName] = ("kidney", "lesion")


def is_above(probability_sum: float, threshold: float) -> bool:
    """Return whether something is there: its sum exceeds the threshold, as the notebook compares.

    Source: docs/pipeline.md section 2.
    """
    return probability_sum > threshold


@dataclass(frozen=True)
class Margin:
    """Distance of a sum of probabilities from its threshold.

    Attributes:
        absolute: sum less threshold.
        relative: that as a part of the threshold; None for a threshold of 0.
        borderline: the sum is near its threshold, on either side of it.
    """

    absolute: float
    relative: float | None
    borderline: bool


@dataclass(frozen=True)
class Thresholds:
    """Sums of probabilities (in voxels of the network grid) above which something is there.

    Attributes:
        borderline: a sum is borderline up to this distance from its threshold, as a part of it.

    Raises:
        ValueError: one of them is not a finite number of 0 or more.
    """

    kidney: float = 1000.0
    lesion: float = 50.0
    borderline: float = 0.1

    def __post_init__(self) -> None:
        for name in ("kidney", "lesion", "borderline"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0):
                raise ValueError(f"{name} threshold must be a number of at least 0, not {value}")

    def margin(self, network: NetworkName, probability_sum: float) -> Margin:
        """Return how far a network's sum is from its threshold."""
        threshold: float = getattr(self, network)
        absolute = probability_sum - threshold
        return Margin(
            absolute=absolute,
            relative=absolute / threshold if threshold else None,
            borderline=abs(absolute) <= self.borderline * threshold,
        )


class Centre(NamedTuple):
    """Centre of a kidney: slice and row of the network volume, column of its half."""

    z: int
    y: int
    x: int


@dataclass(frozen=True)
class LesionBox:
    """Slice of the crop and the box on it, edges included, in voxels of the crop."""

    slice: int
    top: int
    bottom: int
    left: int
    right: int


@dataclass(frozen=True)
class NetworkVolume:
    """The volume that the networks see, and where it came from.

    Attributes:
        values: uint8, shape (slices, 160, 160); -160 HU is 0 and 240 HU is 255. At least 40 slices.
        padding_before: slices of zeros that were put before the first real slice.
        real_slices: how many slices of `values` come from the study.
        body_beyond: edges of the grid that the body reaches over.
    """

    values: "NDArray[np.uint8]"
    padding_before: int
    real_slices: int
    body_beyond: frozenset[Edge] = frozenset()

    def __post_init__(self) -> None:
        shape = self.values.shape
        if self.values.dtype != "uint8" or shape[1:] != (GRID_SIZE, GRID_SIZE):
            raise ValueError(f"a network volume is uint8 (n, 160, 160), not {shape}")
        if shape[0] < MIN_SLICES:
            raise ValueError(f"a network volume has at least {MIN_SLICES} slices, not {shape[0]}")


@dataclass(frozen=True)
class Note:
    """Something a person should know, with a code that scripts may rely on."""

    code: str
    text: str


@dataclass(frozen=True)
class SkippedFile:
    """A file that is not a slice of the analysed series, and why."""

    file: str
    reason: str


@dataclass(frozen=True)
class SeriesRow:
    """One candidate: a series, or a part of one that hides several things under one UID.

    Attributes:
        label: what `--series` takes: SeriesNumber, with `.1`, `.2` ... where that is not unique.
        matrix: rows and columns.
        thickness_mm: SliceThickness; None if the files do not state it.
        spacing_mm: between slices; None if it is unknown.
        extent_mm: from the first to the last slice; 0 if it is unknown.
        verdict: `suitable`, or the code of the refusal.
        reason: the refusal's sentence; "" if suitable.
    """

    label: str
    series_instance_uid: str
    study_instance_uid: str
    number: str
    description: str
    image_type: str
    contrast: str
    kernel: str
    slices: int
    matrix: tuple[int, int]
    thickness_mm: float | None
    spacing_mm: float | None
    extent_mm: float
    verdict: str
    reason: str

    @property
    def is_suitable(self) -> bool:
        return self.verdict == "suitable"


@dataclass(frozen=True)
class IntakeRecord:
    """The choice and the order of the slices that were analysed.

    Attributes:
        chosen: the series; None in the notebook profile, which looks at names only.
        chosen_because: in a sentence.
        other_series: the candidates that were not chosen.
        files_used: files of the chosen series; less than its slices if they are multi-frame.
        order: how slices were ordered.
        first, last: names of the first and the last slice in that order.
        orientation: ImageOrientationPatient of the files.
        transpose, flip_rows, flip_columns: what was done to the arrays, in that order.
        transfer_syntax: UID of the pixels' encoding.
        lossy: whether the pixels went through lossy compression.
        warnings: what does not stop the analysis.
    """

    chosen: SeriesRow | None
    chosen_because: str
    other_series: tuple[SeriesRow, ...]
    files_used: int
    order: str
    first: str
    last: str
    orientation: tuple[float, ...]
    transpose: bool
    flip_rows: bool
    flip_columns: bool
    patient_position: str
    transfer_syntax: str
    lossy: bool
    warnings: tuple[Note, ...]


RESEARCH_ONLY = "Research software, not for diagnosis. A suspected lesion is not a diagnosis."
"""Stands in every output."""


OUTCOME_WORDS = {
    Outcome.KIDNEY_NOT_FOUND: "kidney not found",
    Outcome.KIDNEY_NOT_LOCATED: "kidney not located",
    Outcome.NO_LESION: "no lesion",
    Outcome.LESION_NOT_LOCATED: "suspected lesion, not located",
    Outcome.LESION: "suspected lesion",
}
PAGE_WORDS = OUTCOME_WORDS | {Outcome.NO_LESION: "no suspected lesion"}
"""Used where there is room for a whole phrase."""
NO_LESION_FOUND = "No suspected lesion found; this does not rule out disease."
NO_LESION_ON_A_SIDE = "No suspected lesion on a side does not rule out disease."
NO_KIDNEY = "No kidney was found, so nothing was looked for."
PHANTOM = "This is a digital phantom, not a patient."


def counted(number: int, what: str, many: str = "") -> str:
    """Return text such as `1 file` and `2 files`."""
    return f"{number} {what if number == 1 else many or what + 's'}"
