"""Masks and their place in the pixels of the source's files, before reorientation."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rcc_onnx.imaging.images import PatientImages
from rcc_onnx.imaging.placement import Placement
from rcc_onnx.types import Side, Structure


def file_shape(placement: Placement) -> tuple[int, int]:
    """Return rows and columns of the files' images."""
    rows, columns = placement.shape_yx
    return (columns, rows) if placement.reorientation.transpose else (rows, columns)


def file_affine_lps(placement: Placement) -> NDArray[np.float64]:
    """Return 4x4, from (column, row, slice, 1) of the files' images to x, y, z in mm (LPS).

    Slices from the head, evenly spaced.
    """
    reorientation = placement.reorientation
    to_canonical = np.zeros((4, 4))
    # Which axis of the file runs along the canonical slice's rows (1) and columns (2).
    row_axis, column_axis = (0, 1) if reorientation.transpose else (1, 0)
    for axis, source, flip in (
        (1, row_axis, reorientation.flip_rows),
        (2, column_axis, reorientation.flip_columns),
    ):
        to_canonical[axis, source] = -1 if flip else 1
        to_canonical[axis, 3] = placement.shape_yx[axis - 1] - 1 if flip else 0
    to_canonical[0, 2] = to_canonical[3, 3] = 1
    affine: NDArray[np.float64] = placement.affine_zyx_lps @ to_canonical
    return affine


def kidney_label(side: Side) -> str:
    """Return the name of a kidney for people: "Right kidney"."""
    return f"{side.capitalize()} kidney"


@dataclass(frozen=True)
class Segment:
    """A mask, as DICOM calls it: a kidney's, or that of a side's suspected lesion.

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
        """Its name for people: "Right kidney", "Suspected lesion, right kidney"."""
        kidney = kidney_label(self.side)
        return f"Suspected lesion, {kidney.lower()}" if self.is_lesion else kidney


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
    """Return every slice that holds a voxel of a mask; the later of overlapping masks has it.

    A mask that lies wholly under others is no segment.
    """
    placement = patient.placement
    painted: dict[int, NDArray[np.uint8]] = {}
    slices_of: dict[int, list[int]] = {}
    for index in range(len(placement.images)):
        numbers = patient.paint_slice(index, range(1, len(patient.masks) + 1))
        for number in np.unique(numbers[numbers > 0]).tolist():
            slices_of.setdefault(number, []).append(index)
            painted[index] = placement.reorientation.undo(numbers)
    kept = sorted(slices_of)
    renumbered = np.zeros(len(patient.masks) + 1, np.uint8)
    renumbered[kept] = np.arange(1, len(kept) + 1)
    pixels = np.empty((len(painted), *file_shape(placement)), np.uint8)
    for into, numbers in zip(pixels, painted.values(), strict=True):
        into[:] = renumbered[numbers]
    segments = (
        Segment(number, mask.side, mask.structure, tuple(slices_of[place]))
        for number, place in enumerate(kept, 1)
        for mask in (patient.masks[place - 1],)
    )
    return SegmentedSlices(tuple(segments), tuple(painted), pixels)
