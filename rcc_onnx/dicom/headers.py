"""From files to headers: each file is read once, as far as its pixels, several at a time."""

import logging
import re
import secrets
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import cache
from hashlib import blake2b
from io import BytesIO
from typing import NamedTuple

import pydicom
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.uid import DeflatedExplicitVRLittleEndian

from rcc_onnx.dicom.dataset import (
    EMPTY,
    DeflatedTooLargeError,
    count,
    has,
    human_text,
    item,
    items,
    numbers,
    open_dataset,
    text,
    transfer_syntax,
    values,
)
from rcc_onnx.dicom.sources import HEADER_BYTES, LeftOut, Source
from rcc_onnx.errors import IntakeError

# What DICOM files say about each image, without pixels: the values that all later steps use.

Vector = tuple[float, ...]

CT_IMAGE = "1.2.840.10008.5.1.4.1.1.2"
ENHANCED_CT = "1.2.840.10008.5.1.4.1.1.2.1"
LEGACY_ENHANCED_CT = "1.2.840.10008.5.1.4.1.1.2.2"
CT_CLASSES = (CT_IMAGE, ENHANCED_CT, LEGACY_ENHANCED_CT)
"""SOP classes whose images are CT, whatever Modality says or does not say."""


@dataclass(frozen=True)
class Bits:
    """How stored values lie in their words (PS3.5 section 8.1). 0: the file does not say."""

    allocated: int = 0
    stored: int = 0
    high: int = 0
    signed: bool = False


@dataclass(frozen=True)
class SliceHeader:
    """What one image of one file says. None: it does not say it, or says nonsense.

    Attributes:
        frame: index of the image in a multi-frame file; None in a single-frame file.
        position: ImagePositionPatient in mm.
        orientation: ImageOrientationPatient, six cosines.
        pixel_spacing: PixelSpacing in mm: between rows, then between columns.
        pixels_at: where in the file the element after the header starts, as a rule the pixels; None
            where they are packed, or the file does not say all that it must about them.
        padding: stored values that are padding, lowest and highest, ends included.
        patient: a hash of PatientID, to tell patients apart without keeping it; "" if none.
        contrast: ContrastBolusAgent, or another sign of contrast; "" if none is recorded.
        lossy: whether the file says, or its transfer syntax shows, lossy compression.
        modality_lut: whether a Modality LUT takes the place of slope and intercept.
        marks: what may tell apart several stacks under one SeriesInstanceUID, by name.
        unusable: keywords of attributes that are there, but hold no number that can be meant.
    """

    source: Source
    frame: int | None = None
    sop_class_uid: str = ""
    sop_instance_uid: str = ""
    study_uid: str = ""
    series_uid: str = ""
    patient: str = ""
    series_number: str = ""
    series_description: str = ""
    frame_of_reference_uid: str = ""
    transfer_syntax_uid: str = ""
    modality: str = ""
    image_type: tuple[str, ...] = ()
    photometric_interpretation: str = ""
    samples_per_pixel: int = 1
    frames: int = 1
    rows: int = 0
    columns: int = 0
    bits: Bits = field(default_factory=Bits)
    pixels_at: int | None = None
    position: Vector | None = None
    orientation: Vector | None = None
    pixel_spacing: Vector | None = None
    slice_thickness: Vector | None = None
    rescale_slope: Vector | None = None
    rescale_intercept: Vector | None = None
    rescale_type: str = ""
    modality_lut: bool = False
    padding: tuple[int, int] | None = None
    lossy: bool = False
    contrast: str = ""
    kernel: str = ""
    patient_position: str = ""
    manufacturer: str = ""
    quality_control_subject: str = ""
    marks: tuple[tuple[str, str], ...] = ()
    unusable: frozenset[str] = frozenset()

    @property
    def file_name(self) -> str:
        """What messages show: the path below the study's folder, and the frame if there are any."""
        return self.source.name if self.frame is None else f"{self.source.name}[{self.frame}]"

    def required(self, keyword: str) -> Vector:
        """The numbers of an attribute that the analysis cannot do without.

        Raises:
            IntakeError (missing-attribute, invalid-attribute): naming the file and the attribute.
        """
        value: Vector | None = getattr(self, NUMBERS[keyword].field)
        if value is not None:
            return value
        if keyword in self.unusable:
            raise IntakeError(
                f"{self.file_name}: {keyword} holds no usable number; "
                "export the series again from its source",
                code="invalid-attribute",
            )
        raise IntakeError(
            f"{self.file_name}: {keyword} is missing and cannot be guessed; "
            "use a series that has it, or export this one again with it",
            code="missing-attribute",
        )


class Numbers(NamedTuple):
    """The field of `SliceHeader` that holds an attribute of numbers, and how many there are."""

    field: str
    length: int


NUMBERS = {
    "ImagePositionPatient": Numbers("position", 3),
    "ImageOrientationPatient": Numbers("orientation", 6),
    "PixelSpacing": Numbers("pixel_spacing", 2),
    "SliceThickness": Numbers("slice_thickness", 1),
    "RescaleSlope": Numbers("rescale_slope", 1),
    "RescaleIntercept": Numbers("rescale_intercept", 1),
}


# Multi-frame CT: each frame becomes a header of its own (PS3.3 C.7.6.16, functional groups).
#
# What the frames share and what each says for itself are nested in sequences; a frame's own word
# comes before the shared one, and that before the top level, where Legacy Converted files keep
# some.

MAX_FRAMES = 20_000
"""More than any CT object holds."""

_GROUPS = {
    "ImagePositionPatient": "PlanePositionSequence",
    "ImageOrientationPatient": "PlaneOrientationSequence",
    "PixelSpacing": "PixelMeasuresSequence",
    "SliceThickness": "PixelMeasuresSequence",
    "RescaleSlope": "PixelValueTransformationSequence",
    "RescaleIntercept": "PixelValueTransformationSequence",
}
_MARKS = {
    "StackID": "FrameContentSequence",
    "TemporalPositionIndex": "FrameContentSequence",
    "FrameAcquisitionNumber": "FrameContentSequence",
    "FrameType": "CTImageFrameTypeSequence",
    "ConvolutionKernel": "CTReconstructionSequence",
}


def expand_frames(header: SliceHeader, dataset: Dataset) -> list[SliceHeader]:
    """One header for each frame of an enhanced object.

    A multi-frame file without functional groups is given back as it is: it says nothing about
    where its frames lie.

    Raises:
        ValueError: the number of frames and of their groups differ.
    """
    shared = item(dataset, "SharedFunctionalGroupsSequence")
    frames = items(dataset, "PerFrameFunctionalGroupsSequence")
    if not frames and not len(shared):
        return [header]
    if len(frames) != count(dataset, "NumberOfFrames", 1) or len(frames) > MAX_FRAMES:
        raise ValueError("frames and their functional groups differ in number")
    if header.sop_class_uid in CT_CLASSES and not header.contrast:
        usage = items(dataset, "ContrastBolusAgentSequence")
        header = replace(header, contrast="recorded" if usage else "")
    return [_frame(header, index, [own, shared], dataset) for index, own in enumerate(frames)]


def _frame(header: SliceHeader, index: int, groups: Sequence[Dataset], top: Dataset) -> SliceHeader:
    found = {}
    for keyword, group in _GROUPS.items():
        places = [*(item(one, group) for one in groups), top]
        said = (numbers(place, keyword, NUMBERS[keyword].length) for place in places)
        found[keyword] = next((value for value in said if value is not None), None)
    frame_type = _first(groups, "CTImageFrameTypeSequence", "FrameType")
    return replace(
        header,
        frame=index,
        frames=1,
        image_type=tuple(frame_type) or header.image_type,
        rescale_type="\\".join(_first(groups, "PixelValueTransformationSequence", "RescaleType"))
        or header.rescale_type,
        kernel=header.kernel
        or "\\".join(_first(groups, "CTReconstructionSequence", "ConvolutionKernel")),
        marks=header.marks
        + tuple((name, "\\".join(_first(groups, group, name))) for name, group in _MARKS.items()),
        unusable=frozenset(k for k, value in found.items() if value == ()),
        **{NUMBERS[key].field: value or None for key, value in found.items()},  # type: ignore[arg-type]
    )


def _first(groups: Sequence[Dataset], group: str, keyword: str) -> Sequence[str]:
    return next((said for one in groups if (said := values(item(one, group), keyword))), ())


log = logging.getLogger(__name__)

READERS = 4
"""Threads. Parsing holds Python's lock, so on a fast disk more gain nothing; what they hide is the
waiting for a network drive."""
NOT_DICOM = "not a DICOM file"
DAMAGED = "damaged DICOM header"

_PREAMBLE = 128
_MAGIC = b"DICM"
_BARE_STARTS = (b"\x02\x00", b"\x08\x00", b"\x00\x08")
"""First group of a file without preamble: 0002 or 0008, in little or big endian."""
_TEXTS = {
    "SOPClassUID": "sop_class_uid",
    "SOPInstanceUID": "sop_instance_uid",
    "StudyInstanceUID": "study_uid",
    "SeriesInstanceUID": "series_uid",
    "SeriesNumber": "series_number",
    "FrameOfReferenceUID": "frame_of_reference_uid",
    "Modality": "modality",
    "PhotometricInterpretation": "photometric_interpretation",
    "RescaleType": "rescale_type",
    "PatientPosition": "patient_position",
    "Manufacturer": "manufacturer",
    "QualityControlSubject": "quality_control_subject",
    "ConvolutionKernel": "kernel",
}
_MARKS_reading = (
    "AcquisitionNumber",
    "ImageType",
    "ContrastBolusAgent",
    "TemporalPositionIdentifier",
    "ConvolutionKernel",
    "KVP",
    "SeriesDescription",
)
_LOSSY = ("1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51", "1.2.840.10008.1.2.4.81")
_PERHAPS_LOSSY = ("1.2.840.10008.1.2.4.91", "1.2.840.10008.1.2.4.203")
"""JPEG 2000 and its fast kin: lossy, unless the file says that it was not."""
_NO_CONTRAST = re.compile(r"(no|none|non|without|w/?o|n|0|nil|off)\b.*", re.IGNORECASE)
_BY_MOUTH = re.compile(r"oral|rectal|mouth", re.IGNORECASE)
_BY_VESSEL = re.compile(r"iv|i\.v|intrav|art|vein|venous", re.IGNORECASE)


def read_headers(sources: Sequence[Source]) -> tuple[list[SliceHeader], list[LeftOut]]:
    """The images of all files, in the order of the files, and the files that are none."""
    headers: list[SliceHeader] = []
    left_out: list[LeftOut] = []
    # Before the threads start: a cache lets each of those that come at once make a key of its own.
    _process_key()
    # pydicom warns about values that break their VR, and quotes them. Nothing here hangs on such a
    # value without a check of its own, and quotes may be about the patient. The filter is set once,
    # outside the threads, which share it.
    with warnings.catch_warnings(), ThreadPoolExecutor(READERS) as pool:
        warnings.simplefilter("ignore")
        for found in pool.map(read_file, sources):
            if isinstance(found, LeftOut):
                left_out.append(found)
            else:
                headers += found
    return headers, left_out


def read_file(source: Source) -> list[SliceHeader] | LeftOut:
    """The images of one file, or why it is passed over: not DICOM, damaged, unreadable."""
    try:
        found = _header_dataset(source)
        return LeftOut(source.name, NOT_DICOM) if found is None else _images(source, *found)
    except InvalidDicomError:
        return LeftOut(source.name, NOT_DICOM)
    except OSError as error:
        return LeftOut(source.name, f"cannot be read ({error.strerror or error})")
    except DeflatedTooLargeError:
        return LeftOut(source.name, "deflated data set that inflates beyond its limit")
    except Exception as error:  # whatever a damaged file makes pydicom raise
        log.debug("%s: header not read: %s", source.name, type(error).__name__)
        return LeftOut(source.name, DAMAGED)


def starts_as_dicom(start: bytes) -> bool:
    """Whether a file with these first bytes may be DICOM: PS3.10 section 7.1, or bare elements."""
    return (
        start[_PREAMBLE : _PREAMBLE + len(_MAGIC)] == _MAGIC
        or start[: len(_BARE_STARTS[0])] in _BARE_STARTS
    )


def _header_dataset(source: Source) -> tuple[Dataset, int | None] | None:
    """Everything before the pixels, and where in the file it ends, None if it is packed; or None
    if it cannot be DICOM."""
    start = source.start()
    if not starts_as_dicom(start):
        return None
    is_packed = transfer_syntax(start) == DeflatedExplicitVRLittleEndian
    if not is_packed:
        file = BytesIO(start)
        dataset: Dataset = pydicom.dcmread(file, stop_before_pixels=True, force=True)
        end = file.tell()
        if len(start) < HEADER_BYTES or end < HEADER_BYTES:
            return (dataset, end) if _says_something(dataset) else None
    # The header is longer than the first bytes, or packed as a whole.
    with source.open() as whole:
        dataset = open_dataset(whole, stop_before_pixels=True)
        end = whole.tell()
    return (dataset, None if is_packed else end) if _says_something(dataset) else None


def _says_something(dataset: Dataset) -> bool:
    """Anything may be forced to look like DICOM; these only DICOM has."""
    meta = getattr(dataset, "file_meta", EMPTY)
    return (
        has(dataset, "SOPClassUID") or has(meta, "MediaStorageSOPClassUID") or has(dataset, "Rows")
    )


def _images(source: Source, dataset: Dataset, end: int | None) -> list[SliceHeader]:
    header = replace(_header(source, dataset), pixels_at=end if _says_pixels(dataset) else None)
    if header.sop_class_uid in CT_CLASSES[1:] or header.frames > 1:
        return expand_frames(header, dataset)
    return [header]


def _says_pixels(dataset: Dataset) -> bool:
    """Whether the attributes are there that a header takes a usual value for and pixels need."""
    return has(dataset, "SamplesPerPixel") and text(dataset, "PixelRepresentation") in ("0", "1")


def _header(source: Source, dataset: Dataset) -> SliceHeader:
    meta = getattr(dataset, "file_meta", EMPTY)
    found = {key: numbers(dataset, key, spec.length) for key, spec in NUMBERS.items()}
    texts = {field: text(dataset, keyword) for keyword, field in _TEXTS.items()}
    texts["sop_class_uid"] = texts["sop_class_uid"] or text(meta, "MediaStorageSOPClassUID")
    syntax = text(meta, "TransferSyntaxUID") or _syntax_as_read(dataset)
    bits = _bits(dataset)
    return SliceHeader(
        source=source,
        transfer_syntax_uid=syntax,
        patient=_patient(dataset),
        series_description=human_text(dataset, "SeriesDescription"),
        image_type=tuple(values(dataset, "ImageType")),
        samples_per_pixel=count(dataset, "SamplesPerPixel", 1),
        frames=count(dataset, "NumberOfFrames", 1),
        rows=count(dataset, "Rows", 0),
        columns=count(dataset, "Columns", 0),
        bits=bits,
        padding=_padding(dataset, bits),
        lossy=_is_lossy(dataset, syntax),
        contrast=contrast_of(dataset),
        modality_lut=bool(items(dataset, "ModalityLUTSequence")),
        marks=tuple((keyword, text(dataset, keyword)) for keyword in _MARKS_reading),
        unusable=frozenset(k for k, value in found.items() if value == ()),
        **{NUMBERS[key].field: value or None for key, value in found.items()},  # type: ignore[arg-type]
        **texts,  # type: ignore[arg-type]
    )


def _patient(dataset: Dataset) -> str:
    """A hash of PatientID, good for comparing within this process and for nothing else."""
    said = text(dataset, "PatientID")
    return blake2b(said.encode(), key=_process_key(), digest_size=16).hexdigest() if said else ""


@cache
def _process_key() -> bytes:
    return secrets.token_bytes(16)


def _syntax_as_read(dataset: Dataset) -> str:
    """The transfer syntax of a file that does not name it: it can only be uncompressed."""
    implicit, little = dataset.original_encoding
    if implicit:
        return "1.2.840.10008.1.2"
    return "1.2.840.10008.1.2.1" if little else "1.2.840.10008.1.2.2"


def _bits(dataset: Dataset) -> Bits:
    stored = count(dataset, "BitsStored", 0)
    return Bits(
        allocated=count(dataset, "BitsAllocated", 0),
        stored=stored,
        high=count(dataset, "HighBit", max(stored - 1, 0)),
        signed=count(dataset, "PixelRepresentation", 0) == 1,
    )


def _padding(dataset: Dataset, bits: Bits) -> tuple[int, int] | None:
    """Lowest and highest stored value of padding (PS3.3 C.7.5.1.1.2), with the pixels' sign.

    Files write the value with the wrong sign at times, so only its bits are believed.
    """
    ends = [
        int(float(found))
        for keyword in ("PixelPaddingValue", "PixelPaddingRangeLimit")
        for found in values(dataset, keyword)[:1]
    ]
    if not ends or not has(dataset, "PixelPaddingValue"):
        return None
    if bits.signed:
        ends = [(end + 0x8000) % 0x10000 - 0x8000 for end in ends]
    else:
        ends = [end % 0x10000 for end in ends]
    return min(ends), max(ends)


def _is_lossy(dataset: Dataset, syntax: str) -> bool:
    said = text(dataset, "LossyImageCompression")
    return said == "01" or syntax in _LOSSY or (syntax in _PERHAPS_LOSSY and said != "00")


def contrast_of(dataset: Dataset) -> str:
    """The contrast agent in a vessel, as recorded, or another record that there was one."""
    coded = item(dataset, "ContrastBolusAgentSequence")
    agent = human_text(dataset, "ContrastBolusAgent")
    if not agent and len(coded):
        agent = human_text(coded, "CodeMeaning") or "recorded"
    if not agent and (
        text(dataset, "ContrastBolusVolume") or text(dataset, "ContrastBolusStartTime")
    ):
        agent = "recorded"
    if not agent or _NO_CONTRAST.fullmatch(agent):
        return ""
    route = text(dataset, "ContrastBolusRoute") or human_text(
        item(coded, "ContrastBolusAdministrationRouteSequence"), "CodeMeaning"
    )
    return "" if _BY_MOUTH.search(route) and not _BY_VESSEL.search(route) else agent
