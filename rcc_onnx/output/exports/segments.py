"""Which segments there are: each kidney, and each side's suspected lesion."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rcc_onnx.imaging.images import PatientImages
from rcc_onnx.imaging.mask_resampling import SourceMask
from rcc_onnx.output.exports.geometry import file_shape
from rcc_onnx.types import Side, Structure


@dataclass(frozen=True)
class Segment:
    """One mask as DICOM calls it.

    Attributes:
        number: from 1, as segments are numbered.
        slices: those of the stack, from the head, that hold a voxel of it.
    """

    number: int
    side: Side
    structure: Structure
    slices: tuple[int, ...]

    @property
    def is_lesion(self) -> bool:
        return self.structure is Structure.SUSPECTED_LESION

    @property
    def label(self) -> str:
        """What a person reads: "Right kidney", "Suspected lesion, right kidney"."""
        return (
            f"Suspected lesion, {self.side} kidney" if self.is_lesion else kidney_label(self.side)
        )


def kidney_label(side: Side) -> str:
    return f"{side.capitalize()} kidney"


@dataclass(frozen=True)
class SegmentedSlices:
    """The segments of a case and their pixels.

    Attributes:
        indices: slices of the stack that hold a voxel, from the head.
        pixels: uint8 (slices, rows, columns) as in the files, segment numbers; 0 elsewhere.
    """

    segments: tuple[Segment, ...]
    indices: tuple[int, ...]
    pixels: NDArray[np.uint8]


def segmented_slices(patient: PatientImages) -> SegmentedSlices:
    """Every slice that holds a voxel of a mask; the later of overlapping masks has it.

    A mask that lies wholly under others is no segment.
    """
    numbered = dict(_numbered_slices(patient))
    found: dict[int, list[int]] = {number: [] for number in range(1, len(patient.masks) + 1)}
    for index, numbers in numbered.items():
        for number in np.unique(numbers[numbers > 0]).tolist():
            found[number].append(index)
    kept = [number for number, slices in found.items() if slices]
    return SegmentedSlices(
        segments=tuple(
            Segment(at, mask.side, mask.structure, tuple(found[number]))
            for at, number in enumerate(kept, 1)
            for mask in (patient.masks[number - 1],)
        ),
        indices=tuple(numbered),
        pixels=_as_in_files(patient, numbered.values(), kept),
    )


def _as_in_files(
    patient: PatientImages, numbered: Collection[NDArray[np.uint8]], kept: list[int]
) -> NDArray[np.uint8]:
    """Slices as the files have them, the kept masks counted from 1 again."""
    renumbered = np.zeros(len(patient.masks) + 1, np.uint8)
    renumbered[kept] = np.arange(1, len(kept) + 1)
    pixels = np.empty((len(numbered), *file_shape(patient.placement)), np.uint8)
    for into, numbers in zip(pixels, numbered, strict=True):
        into[:] = patient.placement.reorientation.undo(renumbered[numbers])
    return pixels


def _numbered_slices(patient: PatientImages) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """Yield slices with a voxel, and for each canonical pixel its mask, counted from 1."""
    for index in range(len(patient.placement.images)):
        numbers = None
        for number, mask in enumerate(patient.masks, 1):
            numbers = _painted(mask, index, number, numbers)
        if numbers is not None:
            yield index, numbers


def _painted(
    mask: SourceMask, index: int, number: int, numbers: NDArray[np.uint8] | None
) -> NDArray[np.uint8] | None:
    part = mask.slice(index)
    if part is None:
        return numbers
    if numbers is None:
        numbers = np.zeros(mask.placement.shape_yx, np.uint8)
    numbers[part.where][part.mask] = number
    return numbers
