"""A study that passed the intake: ordered slices, decoded when asked for."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from rcc_onnx.dicom.headers import SliceHeader
from rcc_onnx.dicom.pixels import PixelObserver, read_dataset, read_hu, read_stored_values
from rcc_onnx.dicom.sources import LeftOut
from rcc_onnx.imaging.hounsfield import HuImage
from rcc_onnx.imaging.placement import Reorientation
from rcc_onnx.types import PHANTOM_MANUFACTURER, IntakeRecord, Note, Profile

NETWORK_SLICE_MM = 5.0
"""The slices of the network volume are at least this far apart, less a little in rounding."""


@dataclass(frozen=True)
class StudySlice:
    """One slice, ready to be decoded.

    Attributes:
        header: what its file says.
        turn: how its array is turned.
        shape: rows and columns once turned.
        spacing_yx_mm: between rows and between columns once turned.
        slope, intercept: HU = stored value x slope + intercept; 1 and 0 where a Modality LUT does
            it instead.
    """

    header: SliceHeader
    turn: Reorientation
    shape: tuple[int, int]
    spacing_yx_mm: tuple[float, float]
    slope: float
    intercept: float

    def stored_values(self, seen: PixelObserver | None = None) -> NDArray[Any]:
        """Stored values, turned; decoded anew at every call. `seen` is told them before that.

        Raises:
            PixelsError: they cannot be decoded.
        """
        return np.ascontiguousarray(self.turn.apply(read_stored_values(self.header, seen)))

    def hounsfield(self, seen: PixelObserver | None = None) -> HuImage:
        """HU, turned, with padding as air; decoded anew at every call. `seen` as above.

        Raises:
            PixelsError: they cannot be decoded.
        """
        image = read_hu(self.header, seen)
        return replace(
            image,
            stored=np.ascontiguousarray(self.turn.apply(image.stored)),
            padded=None
            if image.padded is None
            else np.ascontiguousarray(self.turn.apply(image.padded)),
        )

    def dataset(self) -> Dataset:
        """The data set of its file without pixels, read anew; of a multi-frame file, all frames'.

        Raises:
            PixelsError: the file cannot be read any more.
        """
        return read_dataset(self.header)

    def rescale(self, stored: NDArray[Any]) -> NDArray[np.float64]:
        """HU of stored values, any shape."""
        return stored.astype(np.float64) * self.slope + self.intercept


@dataclass(frozen=True)
class Study:
    """One CT series that can be analysed.

    Attributes:
        folder: where it lies.
        profile: the profile it was read for.
        slices: at least one; head first in the standard profile, by file name in the notebook's.
        spacing_zyx_mm: between slices, rows and columns (turned).
        stride: every how many slices one goes to the networks.
        files_found: files in the folder, at any depth, and in archives.
        left_out: files that are not slices of the study, and why.
        record: how the slices came about.
    """

    folder: Path
    profile: Profile
    slices: tuple[StudySlice, ...]
    spacing_zyx_mm: tuple[float, float, float]
    stride: int
    files_found: int
    left_out: tuple[LeftOut, ...]
    record: IntakeRecord

    def __post_init__(self) -> None:
        if not self.slices or self.stride < 1 or min(self.spacing_zyx_mm) <= 0:
            raise ValueError("a study has slices, a stride of at least 1 and positive spacings")

    def affine_zyx_lps(self) -> NDArray[np.float64]:
        """From (slice, row, column, 1) of the turned stack to the patient's x, y, z in mm, 4x4.

        Voxel centres; x to the left, y to posterior, z to the head (PS3.3 C.7.6.2.1.1). Only in the
        standard profile, whose slices are known to be an evenly spaced stack.
        """
        first, last = self.slices[0], self.slices[-1]
        cosines = np.array(first.header.required("ImageOrientationPatient"))
        between_rows, between_columns = first.header.required("PixelSpacing")
        steps = [cosines[3:] * between_rows, cosines[:3] * between_columns]
        if first.turn.transpose:
            steps.reverse()
        origin = np.array(first.header.required("ImagePositionPatient"))
        down = np.array(last.header.required("ImagePositionPatient")) - origin
        for axis, flip in enumerate((first.turn.flip_rows, first.turn.flip_columns)):
            if flip:
                origin = origin + steps[axis] * (first.shape[axis] - 1)
                steps[axis] = -steps[axis]
        affine = np.eye(4)
        affine[:3, 0] = down / (len(self.slices) - 1)
        affine[:3, 1], affine[:3, 2], affine[:3, 3] = steps[0], steps[1], origin
        return affine

    @property
    def warnings(self) -> tuple[Note, ...]:
        """What a person should read next to the result."""
        return self.record.warnings

    @property
    def has_contrast(self) -> bool:
        """Whether any slice records contrast in a vessel."""
        return any(one.header.contrast for one in self.slices)

    @property
    def files_used(self) -> int:
        """Files that hold slices of the study, whether the networks see them or not."""
        return len({one.header.source.name for one in self.slices})

    @property
    def needed_slices(self) -> tuple[StudySlice, ...]:
        """The slices that go to the networks: 0, stride, 2 x stride ..."""
        return self.slices[:: self.stride]

    @property
    def is_digital_phantom(self) -> bool:
        """Whether every slice's file says that it is one of this project's phantoms."""
        return all(
            one.header.manufacturer == PHANTOM_MANUFACTURER
            and one.header.quality_control_subject == "YES"
            for one in self.slices
        )
