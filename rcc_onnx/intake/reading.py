"""From files to headers: each file is read once, as far as its pixels, several at a time."""

import logging
import re
import secrets
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cache
from hashlib import blake2b
from io import BytesIO
from threading import Lock

import pydicom
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.uid import DeflatedExplicitVRLittleEndian

from rcc_onnx.intake.deflated import DeflatedTooLargeError, open_dataset, transfer_syntax
from rcc_onnx.intake.elements import (
    EMPTY,
    count,
    has,
    human_text,
    item,
    items,
    numbers,
    text,
    values,
)
from rcc_onnx.intake.headers import CT_CLASSES, NUMBERS, Bits, SliceHeader
from rcc_onnx.intake.multiframe import expand_frames
from rcc_onnx.intake.sources import HEADER_BYTES, LeftOut, Source

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
_MARKS = (
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
_KEY_LOCK = Lock()
_NO_CONTRAST = re.compile(r"(no|none|non|without|w/?o|n|0|nil|off)\b.*", re.IGNORECASE)
_BY_MOUTH = re.compile(r"oral|rectal|mouth", re.IGNORECASE)
_BY_VESSEL = re.compile(r"iv|i\.v|intrav|art|vein|venous", re.IGNORECASE)


def read_headers(sources: Sequence[Source]) -> tuple[list[SliceHeader], list[LeftOut]]:
    """The images of all files, in the order of the files, and the files that are none."""
    headers: list[SliceHeader] = []
    left_out: list[LeftOut] = []
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
        marks=tuple((keyword, text(dataset, keyword)) for keyword in _MARKS),
        unusable=frozenset(k for k, value in found.items() if value == ()),
        **{NUMBERS[key].field: value or None for key, value in found.items()},  # type: ignore[arg-type]
        **texts,  # type: ignore[arg-type]
    )


def _patient(dataset: Dataset) -> str:
    """A hash of PatientID, good for comparing within this process and for nothing else."""
    said = text(dataset, "PatientID")
    if not said:
        return ""
    # Threads that ask at once would be given keys of their own: a cache alone does not stop that.
    with _KEY_LOCK:
        key = _process_key()
    return blake2b(said.encode(), key=key, digest_size=16).hexdigest()


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
