"""Small CT series for tests, as pydicom datasets that a test may spoil before they are written."""

from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import (
    CTImageStorage,
    EnhancedCTImageStorage,
    ExplicitVRLittleEndian,
    LegacyConvertedEnhancedCTImageStorage,
    generate_uid,
)


@dataclass(frozen=True)
class Layout:
    """How the files show a volume whose rows run to posterior and columns to the left.

    The arrays are flipped first and transposed then, and orientation and position say so.
    """

    transpose: bool = False
    flip_rows: bool = False
    flip_columns: bool = False

    def store(self, image: NDArray[np.integer]) -> NDArray[np.integer]:
        image = image[:: -1 if self.flip_rows else 1, :: -1 if self.flip_columns else 1]
        return image.T if self.transpose else image

    def orientation(self) -> list[float]:
        to_left = [-1.0 if self.flip_columns else 1.0, 0.0, 0.0]
        to_posterior = [0.0, -1.0 if self.flip_rows else 1.0, 0.0]
        return to_posterior + to_left if self.transpose else to_left + to_posterior

    def corner(
        self, shape: tuple[int, int], spacing_yx: tuple[float, float]
    ) -> tuple[float, float]:
        """x and y of the first stored pixel, where the volume's own first pixel is -100, -90."""
        last_row, last_column = shape[0] - 1, shape[1] - 1
        return (
            -100.0 + (last_column * spacing_yx[1] if self.flip_columns else 0.0),
            -90.0 + (last_row * spacing_yx[0] if self.flip_rows else 0.0),
        )


LAYOUTS = [Layout(*flags) for flags in product([False, True], repeat=3)]


@dataclass(frozen=True)
class Storage:
    """How HU become stored values."""

    signed: bool = True
    slope: float = 1.0
    intercept: float = 0.0

    def store(self, hu: NDArray[np.integer]) -> NDArray[np.integer]:
        stored = np.round((hu - self.intercept) / self.slope)
        return stored.astype(np.int16 if self.signed else np.uint16)


def ct_series(
    hu: NDArray[np.integer],
    spacing_zyx: tuple[float, float, float] = (2.5, 2.0, 2.0),
    layout: Layout | None = None,
    storage: Storage | None = None,
    series: str = "1",
) -> list[Dataset]:
    """One dataset a slice of a (z, y, x) volume in HU, head first, as thick as far apart."""
    layout, storage = layout or Layout(), storage or Storage()
    corner = layout.corner(hu.shape[1:], spacing_zyx[1:])
    between = list(spacing_zyx[1:])
    slices = []
    for index, image in enumerate(hu):
        dataset = _empty_slice(series, index)
        dataset.SliceThickness = spacing_zyx[0]
        dataset.ImageOrientationPatient = layout.orientation()
        dataset.ImagePositionPatient = [*corner, round(50.0 - index * spacing_zyx[0], 6)]
        dataset.PixelSpacing = between[::-1] if layout.transpose else between
        dataset.RescaleSlope, dataset.RescaleIntercept = storage.slope, storage.intercept
        dataset.PixelRepresentation = int(storage.signed)
        stored = np.ascontiguousarray(layout.store(storage.store(image)))
        dataset.Rows, dataset.Columns = stored.shape
        dataset.PixelData = stored.tobytes()
        slices.append(dataset)
    return slices


def _empty_slice(series: str, index: int) -> Dataset:
    """Everything that does not depend on geometry or pixels."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = CTImageStorage
    uid = generate_uid(entropy_srcs=[series, str(index)])
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = uid
    dataset.SeriesInstanceUID = generate_uid(entropy_srcs=[series])
    dataset.SeriesNumber = series
    dataset.InstanceNumber = str(index + 1)
    dataset.Modality = "CT"
    dataset.PatientPosition = "HFS"
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.BitsAllocated = dataset.BitsStored = 16
    dataset.HighBit = 15
    return dataset


def enhanced_ct(series: list[Dataset], legacy: bool = False) -> Dataset:
    """One multi-frame object of single-frame slices, with functional groups (PS3.3 A.38, A.70)."""
    first = series[0]
    dataset = _empty_slice("1", 0)
    sop_class = LegacyConvertedEnhancedCTImageStorage if legacy else EnhancedCTImageStorage
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = sop_class
    for keyword in ("SeriesInstanceUID", "Rows", "Columns", "PixelRepresentation"):
        setattr(dataset, keyword, getattr(first, keyword))
    dataset.NumberOfFrames = len(series)
    shared, dataset.PerFrameFunctionalGroupsSequence = Dataset(), []
    shared.PlaneOrientationSequence = [_part(first, "ImageOrientationPatient")]
    shared.PixelMeasuresSequence = [_part(first, "PixelSpacing", "SliceThickness")]
    dataset.SharedFunctionalGroupsSequence = [shared]
    for slice_ in series:
        frame = Dataset()
        frame.PlanePositionSequence = [_part(slice_, "ImagePositionPatient")]
        frame.PixelValueTransformationSequence = [_part(slice_, "RescaleSlope", "RescaleIntercept")]
        dataset.PerFrameFunctionalGroupsSequence.append(frame)
    dataset.PixelData = b"".join(slice_.PixelData for slice_ in series)
    return dataset


def _part(source: Dataset, *keywords: str) -> Dataset:
    item = Dataset()
    for keyword in keywords:
        setattr(item, keyword, getattr(source, keyword))
    return item


def set_all(series: list[Dataset], **attributes: Any) -> list[Dataset]:
    """Set attributes of every slice, in place; None removes one."""
    for dataset in series:
        for keyword, value in attributes.items():
            if value is None:
                delattr(dataset, keyword)
            else:
                setattr(dataset, keyword, value)
    return series


def write_series(folder: Path, slices: list[Dataset], names: list[str] | None = None) -> Path:
    """Write the slices, as 001.dcm, 002.dcm ... unless names are given; returns the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    names = names or [f"{number:03}.dcm" for number in range(1, len(slices) + 1)]
    for name, dataset in zip(names, slices, strict=True):
        dataset.save_as(folder / name, enforce_file_format=True)
    return folder


def body_volume(shape: tuple[int, int, int] = (6, 90, 110), seed: int = 0) -> NDArray[np.int16]:
    """Air, an oval body of random HU with a hole in it, a thing beside it; nothing symmetric."""
    rng = np.random.default_rng(seed)
    z, y, x = np.ogrid[: shape[0], : shape[1], : shape[2]]
    hu = np.full(shape, -1000)
    middle_y, middle_x = shape[1] * 0.55 + z, shape[2] * 0.45 - z
    inside = ((y - middle_y) / (shape[1] * 0.35)) ** 2 + ((x - middle_x) / (shape[2] * 0.4)) ** 2
    noise = rng.integers(-250, 400, shape)
    hu = np.where(inside < 1, noise, hu)
    hu = np.where(inside < 0.05, -900, hu)
    beside = (y < shape[1] * 0.1) & (x > shape[2] * 0.9) & (z >= 0)
    return np.where(beside, 100, hu).astype(np.int16)
