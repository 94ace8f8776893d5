"""The header of each file of a folder, without its pixels."""

import logging
import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import pydicom
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.multival import MultiValue

from rcc_onnx.errors import FolderNotFoundError, InvalidAttributeError, MissingAttributeError

log = logging.getLogger(__name__)

Vector = tuple[float, ...]


class LeftOut(NamedTuple):
    """A file of the study folder that is not used, and why, in a few words."""

    file_name: str
    reason: str


@dataclass(frozen=True)
class SliceHeader:
    """What one DICOM file says about its image. None: the file does not say it, or says nonsense.

    Attributes:
        position: ImagePositionPatient in mm.
        orientation: ImageOrientationPatient, six cosines.
        pixel_spacing: PixelSpacing in mm: between rows, then between columns.
        unusable: keywords of attributes that are there, but hold no number that can be meant.
    """

    path: Path
    sop_class_uid: str = ""
    sop_instance_uid: str = ""
    series_uid: str = ""
    series_number: str = ""
    transfer_syntax_uid: str = ""
    modality: str = ""
    image_type: tuple[str, ...] = ()
    photometric_interpretation: str = ""
    samples_per_pixel: int = 1
    frames: int = 1
    rows: int = 0
    columns: int = 0
    position: Vector | None = None
    orientation: Vector | None = None
    pixel_spacing: Vector | None = None
    slice_thickness: Vector | None = None
    rescale_slope: Vector | None = None
    rescale_intercept: Vector | None = None
    rescale_type: str = ""
    patient_position: str = ""
    manufacturer: str = ""
    quality_control_subject: str = ""
    unusable: frozenset[str] = frozenset()

    @property
    def file_name(self) -> str:
        """The name alone: what messages show."""
        return self.path.name

    def required(self, keyword: str) -> Vector:
        """The numbers of an attribute that the analysis cannot do without.

        Raises:
            MissingAttributeError, InvalidAttributeError: naming the file and the attribute.
        """
        value: Vector | None = getattr(self, NUMBERS[keyword].field)
        if value is not None:
            return value
        if keyword in self.unusable:
            raise InvalidAttributeError(
                f"{self.file_name}: {keyword} holds no usable number; "
                "export the series again from its source"
            )
        raise MissingAttributeError(
            f"{self.file_name}: {keyword} is missing and cannot be guessed; "
            "use a series that has it, or export this one again with it"
        )


class _Numbers(NamedTuple):
    field: str
    length: int


NUMBERS = {
    "ImagePositionPatient": _Numbers("position", 3),
    "ImageOrientationPatient": _Numbers("orientation", 6),
    "PixelSpacing": _Numbers("pixel_spacing", 2),
    "SliceThickness": _Numbers("slice_thickness", 1),
    "RescaleSlope": _Numbers("rescale_slope", 1),
    "RescaleIntercept": _Numbers("rescale_intercept", 1),
}
"""Attributes of numbers: the field of `SliceHeader` that holds them, and how many there are."""

_TEXTS = {
    "SOPClassUID": "sop_class_uid",
    "SOPInstanceUID": "sop_instance_uid",
    "SeriesInstanceUID": "series_uid",
    "SeriesNumber": "series_number",
    "Modality": "modality",
    "PhotometricInterpretation": "photometric_interpretation",
    "RescaleType": "rescale_type",
    "PatientPosition": "patient_position",
    "Manufacturer": "manufacturer",
    "QualityControlSubject": "quality_control_subject",
}
_COUNTS = {
    "SamplesPerPixel": ("samples_per_pixel", 1),
    "NumberOfFrames": ("frames", 1),
    "Rows": ("rows", 0),
    "Columns": ("columns", 0),
}


def list_files(folder: Path) -> list[Path]:
    """The files of the folder itself, not of folders in it, sorted by name as text.

    Raises:
        FolderNotFoundError: no such folder.
    """
    if not folder.is_dir():
        raise FolderNotFoundError(f"{folder}: no such folder; give the folder of one CT study")
    return sorted((path for path in folder.iterdir() if path.is_file()), key=lambda p: p.name)


def read_header(path: Path) -> SliceHeader | LeftOut:
    """The header of a file, or why the file is passed over: not DICOM, or damaged."""
    try:
        # pydicom warns about values that break their VR, and quotes them. Nothing here hangs on
        # such a value without a check of its own, and quotes may be about the patient.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            dataset = pydicom.dcmread(
                path,
                stop_before_pixels=True,
                specific_tags=[*NUMBERS, *_TEXTS, *_COUNTS, "ImageType"],
            )
            return _header(path, dataset)
    except InvalidDicomError:
        return LeftOut(path.name, "not a DICOM file")
    except OSError as error:
        return LeftOut(path.name, f"cannot be read ({error.strerror or type(error).__name__})")
    except Exception as error:  # whatever a damaged file makes pydicom raise
        log.debug("%s: header not read: %s", path.name, type(error).__name__)
        return LeftOut(path.name, "damaged DICOM header")


def _header(path: Path, dataset: Dataset) -> SliceHeader:
    numbers = {
        keyword: _numbers(dataset, keyword, spec.length) for keyword, spec in NUMBERS.items()
    }
    file_meta = getattr(dataset, "file_meta", Dataset())
    texts = {field: _text(dataset, keyword) for keyword, field in _TEXTS.items()}
    texts["sop_class_uid"] = texts["sop_class_uid"] or _text(file_meta, "MediaStorageSOPClassUID")
    counts = {
        field: _count(dataset, keyword, default) for keyword, (field, default) in _COUNTS.items()
    }
    return SliceHeader(
        path=path,
        transfer_syntax_uid=_text(file_meta, "TransferSyntaxUID"),
        image_type=tuple(str(word) for word in _many(dataset.get("ImageType"))),
        unusable=frozenset(k for k, value in numbers.items() if value == ()),
        **{NUMBERS[keyword].field: value or None for keyword, value in numbers.items()},  # type: ignore[arg-type]
        **texts,  # type: ignore[arg-type]
        **counts,  # type: ignore[arg-type]
    )


def _many(value: object) -> Sequence[object]:
    """The values of an attribute as a sequence; absent or empty is no value."""
    if value is None or value == "":
        return ()
    return list(value) if isinstance(value, MultiValue | list | tuple) else (value,)


def _text(dataset: Dataset, keyword: str) -> str:
    return "\\".join(str(value) for value in _many(dataset.get(keyword))).strip()


def _count(dataset: Dataset, keyword: str, default: int) -> int:
    values = _many(dataset.get(keyword))
    return int(str(values[0])) if values else default


def _numbers(dataset: Dataset, keyword: str, count: int) -> Vector | None:
    """Exactly `count` finite numbers; None: absent or empty; (): there, but not that."""
    try:
        values = tuple(float(str(value)) for value in _many(dataset.get(keyword)))
    except ValueError:
        return ()
    if not values:
        return None
    return values if len(values) == count and all(map(math.isfinite, values)) else ()
