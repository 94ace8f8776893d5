"""Measurements of one side in the patient, as plain values (docs/outputs.md).

All of them are taken on the masks that `--save nifti` and `--save seg` write, at their voxels, so
that anybody can take them again from those files. LPS: x to the patient's left, y to posterior, z
to the head, mm, in the frame of reference of the series.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from rcc_onnx.errors import OptionError
from rcc_onnx.values import Outcome

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
