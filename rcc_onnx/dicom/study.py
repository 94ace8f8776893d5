"""A study that passed the intake: ordered slices, decoded when asked for."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from rcc_onnx.dicom.headers import SliceHeader
from rcc_onnx.dicom.pixels import PixelObserver, read_dataset, read_hu, read_stored_values
from rcc_onnx.imaging.hounsfield import HuImage
from rcc_onnx.imaging.placement import Reorientation
from rcc_onnx.types import PHANTOM_MANUFACTURER, IntakeRecord, Profile, SkippedFile

NETWORK_SLICE_MM = 5.0
"""The slices of the network volume are at least this far apart, less a little in rounding."""


@dataclass(frozen=True)
class StudySlice:
    """One slice, ready to be decoded.

    Attributes:
        header: the attributes of its file.
        reorientation: from its file's array to the canonical one.
        slope, intercept: HU = stored value x slope + intercept; 1 and 0 where a Modality LUT does
            it instead.
    """

    header: SliceHeader
    reorientation: Reorientation
    slope: float
    intercept: float

    @property
    def shape(self) -> tuple[int, int]:
        """Canonical rows and columns."""
        rows, columns = self.header.rows, self.header.columns
        return (columns, rows) if self.reorientation.transpose else (rows, columns)

    @property
    def spacing_yx_mm(self) -> tuple[float, float]:
        """Distances between canonical rows and between canonical columns."""
        between_rows, between_columns = self.header.required("PixelSpacing")
        if self.reorientation.transpose:
            return between_columns, between_rows
        return between_rows, between_columns

    def stored_values(self, observer: PixelObserver | None = None) -> NDArray[Any]:
        """Return canonical stored values; decoded anew at every call.

        Raises:
            PixelsError: they cannot be decoded.
        """
        return np.ascontiguousarray(
            self.reorientation.apply(read_stored_values(self.header, observer))
        )

    def hounsfield(self, observer: PixelObserver | None = None) -> HuImage:
        """Return canonical HU, with padding as air; decoded anew at every call.

        Raises:
            PixelsError: they cannot be decoded.
        """
        image = read_hu(self.header, observer)
        padded = image.padded
        if padded is not None:
            padded = np.ascontiguousarray(self.reorientation.apply(padded))
        stored = np.ascontiguousarray(self.reorientation.apply(image.stored))
        return replace(image, stored=stored, padded=padded)

    def dataset(self) -> Dataset:
        """Read the data set of its file without pixels; of a multi-frame file, all frames'.

        Raises:
            PixelsError: the file cannot be read any more.
        """
        return read_dataset(self.header)

    def rescale(self, stored: NDArray[Any]) -> NDArray[np.float64]:
        """Return HU of stored values, any shape."""
        return stored.astype(np.float64) * self.slope + self.intercept


@dataclass(frozen=True)
class Study:
    """One CT series that can be analysed.

    Attributes:
        folder: the folder or archive.
        profile: the profile it was read for.
        slices: at least one; head first in the standard profile, by file name in the notebook's.
        spacing_zyx_mm: between slices, canonical rows and columns.
        stride: the networks see slices 0, stride, 2 x stride ...
        files_found: files in the folder, at any depth, and in archives.
        skipped_files: files that are not slices of the study, and why.
        record: which series it is, and how it was put in order.
    """

    folder: Path
    profile: Profile
    slices: tuple[StudySlice, ...]
    spacing_zyx_mm: tuple[float, float, float]
    stride: int
    files_found: int
    skipped_files: tuple[SkippedFile, ...]
    record: IntakeRecord

    def __post_init__(self) -> None:
        if not self.slices or self.stride < 1 or min(self.spacing_zyx_mm) <= 0:
            raise ValueError("a study has slices, a stride of at least 1 and positive spacings")

    def affine_zyx_lps(self) -> NDArray[np.float64]:
        """Return the 4x4 from (slice, row, column, 1) of the canonical volume to x, y, z in mm.

        Voxel centres; x to the left, y to posterior, z to the head (PS3.3 C.7.6.2.1.1). Only in the
        standard profile, whose slices are known to be an evenly spaced stack.
        """
        first, last = self.slices[0], self.slices[-1]
        cosines = np.array(first.header.required("ImageOrientationPatient"))
        between_rows, between_columns = first.header.required("PixelSpacing")
        steps = [cosines[3:] * between_rows, cosines[:3] * between_columns]
        if first.reorientation.transpose:
            steps.reverse()
        origin = np.array(first.header.required("ImagePositionPatient"))
        down = np.array(last.header.required("ImagePositionPatient")) - origin
        for axis, flip in enumerate(
            (first.reorientation.flip_rows, first.reorientation.flip_columns)
        ):
            if flip:
                origin = origin + steps[axis] * (first.shape[axis] - 1)
                steps[axis] = -steps[axis]
        affine = np.eye(4)
        affine[:3, 0] = down / (len(self.slices) - 1)
        affine[:3, 1], affine[:3, 2], affine[:3, 3] = steps[0], steps[1], origin
        return affine

    @property
    def has_contrast(self) -> bool:
        """True if any slice records contrast in a vessel."""
        return any(item.header.contrast for item in self.slices)

    @property
    def needed_slices(self) -> tuple[StudySlice, ...]:
        """The slices that the networks see."""
        return self.slices[:: self.stride]

    @property
    def is_digital_phantom(self) -> bool:
        """True if every file is marked as one of this project's phantoms."""
        return all(
            item.header.manufacturer == PHANTOM_MANUFACTURER
            and item.header.quality_control_subject == "YES"
            for item in self.slices
        )
