"""The source series in SEG and SR: patient, study, geometry, references."""

import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from pydicom.dataset import Dataset
from pydicom.valuerep import DA, TM

from rcc_onnx.imaging.images import PatientImages
from rcc_onnx.imaging.placement import SourceImage
from rcc_onnx.output.exports.file_geometry import file_affine_lps, file_shape
from rcc_onnx.output.exports.uids import derived_uid

CT_IMAGE = "1.2.840.10008.5.1.4.1.1.2"
UNICODE = "ISO_IR 192"
DECIMALS = 8
"""Of mm: more than any file states, fewer than arithmetic spoils."""

REQUIRED = (
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyID",
    "StudyDate",
    "StudyTime",
    "AccessionNumber",
    "ReferringPhysicianName",
)
"""Attributes that DICOM requires, even if empty."""
OPTIONAL = (
    "IssuerOfPatientID",
    "StudyDescription",
    "PatientIdentityRemoved",
    "DeidentificationMethod",
    "QualityControlSubject",
)


@dataclass(frozen=True)
class SourceSeries:
    """The series that was analysed.

    Attributes:
        identity: patient and study, as every DICOM object of the study states them.
        images: where each slice of the stack comes from, head first.
    """

    identity: Dataset
    uid: str
    frame_of_reference_uid: str
    images: tuple[SourceImage, ...]


def source_series(patient: PatientImages) -> SourceSeries:
    """Read patient and study from the first slice's file.

    A study or frame of reference without a UID gets one that is made from the series'.

    Raises:
        PixelsError: the file cannot be read any more.
    """
    header: Dataset = patient.read_header(0)
    uid = str(header.get("SeriesInstanceUID") or derived_uid("series", header.SOPInstanceUID))
    study_uid = str(header.get("StudyInstanceUID") or derived_uid("study", uid))
    frame_uid = str(header.get("FrameOfReferenceUID") or derived_uid("frame of reference", uid))
    return SourceSeries(_identity(header, study_uid), uid, frame_uid, patient.placement.images)


def slice_headers(
    patient: PatientImages, series: SourceSeries, indices: Iterable[int]
) -> list[Dataset]:
    """Return each slice as a CT image without pixels and with one frame, as highdicom takes it.

    Each has its file's position. SOPInstanceUID is the slice's `stand_in`, whether it is a file of
    its own or a frame of one; `refer_to_sources` puts the real references in its place.
    """
    placement = patient.placement
    affine = file_affine_lps(placement)
    steps = np.linalg.norm(affine[:3, :3], axis=0)
    cosines = (affine[:3, :2] / steps[:2]).T.ravel()
    headers = []
    for index in indices:
        stated = placement.images[index].position_mm
        header = Dataset()
        header.update(series.identity)
        header.SOPClassUID, header.SOPInstanceUID = CT_IMAGE, _stand_in(index)
        header.SeriesInstanceUID = series.uid
        header.FrameOfReferenceUID = series.frame_of_reference_uid
        header.Modality = "CT"
        header.Rows, header.Columns = file_shape(placement)
        header.PixelSpacing = _numbers(steps[1::-1])
        header.SliceThickness = header.SpacingBetweenSlices = _numbers(steps[2:])[0]
        header.ImageOrientationPatient = _numbers(cosines)
        header.ImagePositionPatient = _numbers(
            (affine @ (0, 0, index, 1))[:3] if stated is None else stated
        )
        headers.append(header)
    return headers


def refer_to_sources(made: Dataset, series: SourceSeries) -> None:
    """Replace the stand-ins of `slice_headers` by the real images, or frames of them."""
    stand_ins = {_stand_in(index): image for index, image in enumerate(series.images)}
    for frame in made.PerFrameFunctionalGroupsSequence:
        (derivation,) = frame.DerivationImageSequence
        # Frames of several segments share one object, which must not be changed twice.
        (stated,) = derivation.SourceImageSequence
        reference = Dataset()
        reference.update(stated)
        reference.update(reference_to([stand_ins[stated.ReferencedSOPInstanceUID]]))
        derivation.SourceImageSequence = [reference]
    used = by_file(stand_ins[image.ReferencedSOPInstanceUID] for image in made.SourceImageSequence)
    made.SourceImageSequence = [reference_to(images) for images in used]
    (referenced,) = made.ReferencedSeriesSequence
    referenced.ReferencedInstanceSequence = [
        reference_to([images[0]._replace(frame=None)]) for images in used
    ]


def by_file(images: Iterable[SourceImage]) -> list[list[SourceImage]]:
    """Return images that are frames of one file together, files in the order they come."""
    files: dict[str, list[SourceImage]] = {}
    for image in images:
        files.setdefault(image.sop_instance_uid, []).append(image)
    return list(files.values())


def frames_of(images: Iterable[SourceImage]) -> list[int]:
    """Return frame numbers in rising order; none of single-frame files."""
    return sorted(image.frame for image in images if image.frame is not None)


def reference_to(images: Sequence[SourceImage]) -> Dataset:
    """Return a reference to a file, or to these frames of it (PS3.3 10.3)."""
    reference = Dataset()
    reference.ReferencedSOPClassUID = images[0].sop_class_uid
    reference.ReferencedSOPInstanceUID = images[0].sop_instance_uid
    if frames := frames_of(images):
        reference.ReferencedFrameNumber = frames
    return reference


@contextmanager
def quiet_libraries() -> Iterator[None]:
    """Keep libraries' warnings, which quote patients' names and dates, off terminals and logs."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _stand_in(index: int) -> str:
    return f"2.25.{index + 1}"


def _numbers(values: Iterable[float]) -> list[float]:
    """Return values for decimal strings of 16 characters, without noise of arithmetic."""
    return [round(float(value), DECIMALS) + 0.0 for value in values]


def _identity(header: Dataset, study_uid: str) -> Dataset:
    """Return patient and study as the source states them; empty where DICOM forbids the value."""
    identity = Dataset()
    identity.SpecificCharacterSet = UNICODE
    identity.StudyInstanceUID = study_uid
    for keyword in (*REQUIRED, *OPTIONAL):
        text = _text(header, keyword)
        if keyword in CHECKS and not CHECKS[keyword](text):
            text = ""
        if text or keyword in REQUIRED:
            setattr(identity, keyword, text)
    return identity


def _text(header: Dataset, keyword: str) -> str:
    try:
        value = header.get(keyword, "")
    except (ValueError, TypeError, LookupError):
        return ""
    return "" if value is None else str(value)


def _parses(kind: Callable[[str], object]) -> Callable[[str], bool]:
    def check(text: str) -> bool:
        try:
            return bool(kind(text))
        except ValueError:
            return False

    return check


CHECKS: dict[str, Callable[[str], bool]] = {
    "PatientBirthDate": _parses(DA),
    "PatientSex": ("M", "F", "O").__contains__,
    "StudyDate": _parses(DA),
    "StudyTime": _parses(TM),
    "PatientIdentityRemoved": ("YES", "NO").__contains__,
    "QualityControlSubject": ("YES", "NO").__contains__,
}
"""Attributes for which highdicom or the standard takes no other values."""
