"""The headers of DICOM files, without pixels: for each image the values that all later steps use.

Each file is read once, as far as its pixels, several at a time.
"""

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
from typing import Any, NamedTuple

import pydicom
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError

from rcc_onnx.dicom.dataset import (
    EMPTY,
    DeflatedTooLargeError,
    Vector,
    count,
    has,
    human_text,
    is_deflated,
    item,
    items,
    numbers,
    open_dataset,
    text,
    values,
)
from rcc_onnx.dicom.sources import HEADER_BYTES, Source
from rcc_onnx.errors import IntakeError
from rcc_onnx.types import SkippedFile

_log = logging.getLogger(__name__)

CT_IMAGE = "1.2.840.10008.5.1.4.1.1.2"
ENHANCED_CT = "1.2.840.10008.5.1.4.1.1.2.1"
LEGACY_ENHANCED_CT = "1.2.840.10008.5.1.4.1.1.2.2"
CT_CLASSES = (CT_IMAGE, ENHANCED_CT, LEGACY_ENHANCED_CT)
"""SOP classes whose images are CT, even where Modality is missing."""
READERS = 4
"""Threads. Parsing holds Python's lock, so on a fast disk more gain nothing; they hide the waiting
for a network drive."""
MAX_FRAMES = 20_000
"""More than any CT object holds."""
NOT_DICOM = "not a DICOM file"
DAMAGED = "damaged DICOM header"

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
_SPLITTING_ATTRIBUTES = (
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
"""JPEG 2000 and HTJ2K: lossy unless LossyImageCompression is 00."""
_NO_CONTRAST = re.compile(r"(no|none|non|without|w/?o|n|0|nil|off)\b.*", re.IGNORECASE)
_BY_MOUTH = re.compile(r"oral|rectal|mouth", re.IGNORECASE)
_BY_VESSEL = re.compile(r"iv|i\.v|intrav|art|vein|venous", re.IGNORECASE)


class _Numbers(NamedTuple):
    """An attribute of numbers: its field of `SliceHeader`, how many, and its functional group.

    The group is a sequence of multi-frame files (PS3.3 C.7.6.16).
    """

    field: str
    length: int
    group: str


_NUMBERS = {
    "ImagePositionPatient": _Numbers("position", 3, "PlanePositionSequence"),
    "ImageOrientationPatient": _Numbers("orientation", 6, "PlaneOrientationSequence"),
    "PixelSpacing": _Numbers("pixel_spacing", 2, "PixelMeasuresSequence"),
    "SliceThickness": _Numbers("slice_thickness", 1, "PixelMeasuresSequence"),
    "RescaleSlope": _Numbers("rescale_slope", 1, "PixelValueTransformationSequence"),
    "RescaleIntercept": _Numbers("rescale_intercept", 1, "PixelValueTransformationSequence"),
}
_FRAME_SPLITTING_ATTRIBUTES = {
    "StackID": "FrameContentSequence",
    "TemporalPositionIndex": "FrameContentSequence",
    "FrameAcquisitionNumber": "FrameContentSequence",
    "FrameType": "CTImageFrameTypeSequence",
    "ConvolutionKernel": "CTReconstructionSequence",
}


@dataclass(frozen=True)
class Bits:
    """Position of stored values in their words (PS3.5 section 8.1); 0 where the file lacks it."""

    allocated: int = 0
    stored: int = 0
    high: int = 0
    signed: bool = False


@dataclass(frozen=True)
class SliceHeader:
    """The attributes of one image of one file. None: absent, or not usable.

    Attributes:
        frame: index of the image in a multi-frame file; None in a single-frame file.
        patient: a hash of PatientID, to tell patients apart without keeping it; "" if none.
        pixels_at: offset in the file of the element after the header, as a rule the pixels; None
            where the file is deflated, or lacks attributes that pixels need.
        position: ImagePositionPatient in mm.
        orientation: ImageOrientationPatient, six cosines.
        pixel_spacing: PixelSpacing in mm: between rows, then between columns.
        modality_lut: whether a Modality LUT takes the place of slope and intercept.
        padding: stored values that are padding, lowest and highest, ends included.
        lossy: compression was lossy, by LossyImageCompression or the transfer syntax.
        contrast: ContrastBolusAgent, or another sign of contrast; "" if none is recorded.
        splitting_attributes: keywords and values that may differ between several stacks under
            one SeriesInstanceUID.
        unusable: keywords of attributes that are there, but hold no usable number.
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
    splitting_attributes: tuple[tuple[str, str], ...] = ()
    unusable: frozenset[str] = frozenset()

    @property
    def file_name(self) -> str:
        """The name for messages: the path below the study's folder, with the frame if any."""
        return self.source.name if self.frame is None else f"{self.source.name}[{self.frame}]"

    def required(self, keyword: str) -> Vector:
        """Return the numbers of an attribute that the analysis needs.

        Raises:
            IntakeError (missing-attribute, invalid-attribute): naming the file and the attribute.
        """
        value: Vector | None = getattr(self, _NUMBERS[keyword].field)
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


def read_headers(sources: Sequence[Source]) -> tuple[list[SliceHeader], list[SkippedFile]]:
    """Return the images of all files, in the order of the files, and the files without any."""
    headers: list[SliceHeader] = []
    skipped: list[SkippedFile] = []
    # Before the threads start: a cache lets each of those that come at once make a key of its own.
    _process_key()
    # pydicom's warnings about broken values quote them, which may be about the patient; each value
    # that is used has a check of its own. The filter is set once, outside the threads, which share
    # it.
    with warnings.catch_warnings(), ThreadPoolExecutor(READERS) as pool:
        warnings.simplefilter("ignore")
        for found in pool.map(read_file, sources):
            if isinstance(found, SkippedFile):
                skipped.append(found)
            else:
                headers += found
    return headers, skipped


def read_file(source: Source) -> list[SliceHeader] | SkippedFile:
    """Return the images of one file, or why it has none: not DICOM, damaged, unreadable."""
    try:
        found = _read_dataset(source)
        return SkippedFile(source.name, NOT_DICOM) if found is None else _images(source, *found)
    except InvalidDicomError:
        return SkippedFile(source.name, NOT_DICOM)
    except OSError as error:
        return SkippedFile(source.name, f"cannot be read ({error.strerror or error})")
    except DeflatedTooLargeError:
        return SkippedFile(source.name, "deflated data set that inflates beyond its limit")
    except Exception as error:  # whatever a damaged file makes pydicom raise
        _log.debug("%s: header not read: %s", source.name, type(error).__name__)
        return SkippedFile(source.name, DAMAGED)


def _read_dataset(source: Source) -> tuple[Dataset, int | None] | None:
    """Return everything before the pixels, and its end in the file (None: deflated); None if the
    file is not DICOM."""
    start = source.start()
    # PS3.10 section 7.1, or a data set alone.
    if start[128:132] != b"DICM" and start[:2] not in _BARE_STARTS:
        return None
    deflated = is_deflated(start)
    dataset, end = EMPTY, HEADER_BYTES
    if not deflated:
        file = BytesIO(start)
        dataset = pydicom.dcmread(file, stop_before_pixels=True, force=True)
        end = file.tell()
    if deflated or (len(start) == HEADER_BYTES <= end):
        # Deflated as a whole, or a header that is longer than the first bytes.
        with source.open() as whole:
            dataset = open_dataset(whole, stop_before_pixels=True)
            end = whole.tell()
    # Any bytes may be forced to look like DICOM; only DICOM has one of these.
    is_dicom = has(dataset, "SOPClassUID") or has(dataset, "Rows")
    if not is_dicom and not has(getattr(dataset, "file_meta", EMPTY), "MediaStorageSOPClassUID"):
        return None
    return dataset, None if deflated else end


def _images(source: Source, dataset: Dataset, end: int | None) -> list[SliceHeader]:
    header = _header(source, dataset)
    # A header takes usual values for these if they are absent, but pixels need them.
    if has(dataset, "SamplesPerPixel") and text(dataset, "PixelRepresentation") in ("0", "1"):
        header = replace(header, pixels_at=end)
    if header.sop_class_uid in CT_CLASSES[1:] or header.frames > 1:
        return _expand_frames(header, dataset)
    return [header]


def _header(source: Source, dataset: Dataset) -> SliceHeader:
    meta = getattr(dataset, "file_meta", EMPTY)
    found = {key: numbers(dataset, key, spec.length) for key, spec in _NUMBERS.items()}
    texts: dict[str, Any] = {field: text(dataset, keyword) for keyword, field in _TEXTS.items()}
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
        contrast=_contrast(dataset),
        modality_lut=bool(items(dataset, "ModalityLUTSequence")),
        splitting_attributes=tuple((key, text(dataset, key)) for key in _SPLITTING_ATTRIBUTES),
        **_number_fields(found),
        **texts,
    )


def _number_fields(found: dict[str, Vector | None]) -> dict[str, Any]:
    """Return the fields of `SliceHeader` for attributes of numbers; (): none usable."""
    fields: dict[str, Any] = {_NUMBERS[key].field: value or None for key, value in found.items()}
    return fields | {"unusable": frozenset(key for key, value in found.items() if value == ())}


def _expand_frames(header: SliceHeader, dataset: Dataset) -> list[SliceHeader]:
    """Return one header for each frame of a multi-frame file (PS3.3 C.7.6.16).

    A frame's own functional group takes precedence over the shared one, and that over the top
    level, where Legacy Converted files keep some attributes. A file without functional groups is
    returned as it is: the places of its frames are not known.

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
    def in_groups(group: str, keyword: str) -> Sequence[str]:
        return next(filter(None, (values(item(own, group), keyword) for own in groups)), ())

    found: dict[str, Vector | None] = {}
    for keyword, (_, length, group) in _NUMBERS.items():
        places = [*(item(own, group) for own in groups), top]
        recorded = (numbers(place, keyword, length) for place in places)
        found[keyword] = next((value for value in recorded if value is not None), None)
    return replace(
        header,
        frame=index,
        frames=1,
        image_type=tuple(in_groups("CTImageFrameTypeSequence", "FrameType")) or header.image_type,
        rescale_type="\\".join(in_groups("PixelValueTransformationSequence", "RescaleType"))
        or header.rescale_type,
        kernel=header.kernel
        or "\\".join(in_groups("CTReconstructionSequence", "ConvolutionKernel")),
        splitting_attributes=header.splitting_attributes
        + tuple(
            (key, "\\".join(in_groups(group, key)))
            for key, group in _FRAME_SPLITTING_ATTRIBUTES.items()
        ),
        **_number_fields(found),
    )


def _patient(dataset: Dataset) -> str:
    """Return a hash of PatientID that can be compared within this process only."""
    patient_id = text(dataset, "PatientID")
    if not patient_id:
        return ""
    return blake2b(patient_id.encode(), key=_process_key(), digest_size=16).hexdigest()


@cache
def _process_key() -> bytes:
    return secrets.token_bytes(16)


def _syntax_as_read(dataset: Dataset) -> str:
    """Return the transfer syntax of a file that does not name it: it can only be uncompressed."""
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
    """Return the lowest and highest stored value of padding (PS3.3 C.7.5.1.1.2).

    Some files write the value with the wrong sign, so its 16 bits get the pixels' sign.
    """
    ends = [
        int(float(found))
        for keyword in ("PixelPaddingValue", "PixelPaddingRangeLimit")
        for found in values(dataset, keyword)[:1]
    ]
    if not ends or not has(dataset, "PixelPaddingValue"):
        return None
    offset = 0x8000 if bits.signed else 0
    ends = [(end + offset) % 0x10000 - offset for end in ends]
    return min(ends), max(ends)


def _is_lossy(dataset: Dataset, syntax: str) -> bool:
    recorded = text(dataset, "LossyImageCompression")
    return recorded == "01" or syntax in _LOSSY or (syntax in _PERHAPS_LOSSY and recorded != "00")


def _contrast(dataset: Dataset) -> str:
    """Return the contrast agent given into a vessel, or "recorded" if it has no name."""
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
