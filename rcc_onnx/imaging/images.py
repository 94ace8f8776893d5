"""The arrays behind the result of a case, from which pictures, masks and measures are made."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rcc_onnx.imaging.mask_resampling import SourceMask
from rcc_onnx.imaging.placement import Placement
from rcc_onnx.types import Side


@dataclass(frozen=True)
class CropImage:
    """The crop of one side that the lesion network saw, and its answer.

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
        """Return one or both sides at their places in a (depth, 160, 160) volume; 0 elsewhere."""
        volume = np.zeros(self.kidney_probability.shape, np.float32)
        for crop_side, crop in self.crops.items():
            if side in (None, crop_side):
                volume[crop.where] = crop.probability
        return volume


@dataclass(frozen=True)
class PatientImages:
    """Arrays to show and measure findings in the patient. Standard profile only.

    Attributes:
        placement: where the network volume lies.
        mask_cutoff: a voxel belongs to a mask from this probability on.
        labels: uint8 (depth, 160, 160), the values of `Structure`; 0 elsewhere.
        masks: the same at the voxels of the series; where two overlap, the later counts.
        hu: float32 (depth, 160, 160), HU of the pixels that the networks saw, not masked; NaN where
            no image is.
        read_hu: HU of a slice of the canonical volume, float64, decoded anew; raises PixelsError.
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
        """Return labels of a slice of the canonical volume, `Structure` or 0: (rows, columns)."""
        return self.paint_slice(index, [mask.structure for mask in self.masks])

    def paint_slice(self, index: int, values: Sequence[int]) -> NDArray[np.uint8]:
        """Return such a slice in which each mask has its own value, a later one over an earlier."""
        painted = np.zeros(self.placement.shape_yx, np.uint8)
        for mask, value in zip(self.masks, values, strict=True):
            part = mask.slice(index)
            if part is not None:
                painted[part.where][part.mask] = value
        return painted
