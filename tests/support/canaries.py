"""CT series of which every text in the header is a canary, and a search for canaries."""

import gzip
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from io import BytesIO
from pathlib import Path

from PIL import Image
from pydicom import config, dcmread
from pydicom.datadict import DicomDictionary
from pydicom.dataset import Dataset

from tests.support.dicom_factory import body_volume, ct_series

WORD = "CanaryXyzzy"
CANARIES = {
    **dict.fromkeys(("AE", "LO", "SH", "ST", "LT", "UT", "UC"), WORD),
    "PN": f"{WORD}^Tweety",
    "CS": WORD.upper(),
    "UR": f"urn:{WORD}",
    "DA": "19410213",
    "DT": "19410213031415.926535",
    "TM": "031415.926535",
    "AS": "097Y",
    "IS": "86420975",
    "DS": "86420.975",
}
"""One for each VR of text, valid in it. UIDs are no canaries: results state them, as documented."""
SEEN_AS = ("canaryxyzzy", "tweety", "19410213", "1941-02-13", "031415", "03:14:15", "097y")
SEEN_AS += ("86420975", "86420.975")

NEEDED = {
    *("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness"),
    *(
        "RescaleSlope",
        "RescaleIntercept",
        "NumberOfFrames",
        "Modality",
        "PhotometricInterpretation",
    ),
    # Names the character set, without which pydicom reads no text at all.
    "SpecificCharacterSet",
    # Stated in results, as documented.
    "SeriesNumber",
    # A Modality LUT would have to be one.
    "ModalityLUTSequence",
}
_NOT_IN_IMAGES = (0x0000, 0x0002, 0x0004, 0xFFFE)
"""Groups of commands, file meta information and media directories; items."""
_GROUPS_OF_CT = (0x0008, 0x0010, 0x0018, 0x0020, 0x0028, 0x0032, 0x0040)
_USUAL_SEQUENCES = {
    *("ContrastBolusAgentSequence", "RequestAttributesSequence", "ReferencedStudySequence"),
    *("OtherPatientIDsSequence", "ProcedureCodeSequence", "AnatomicRegionSequence"),
}


@cache
def canary_texts() -> Dataset:
    """Every attribute of DICOM's dictionary with a VR of text, and every sequence with some."""
    dataset = Dataset()
    for tag, (vr, _, _, _, keyword) in DicomDictionary.items():
        if tag >> 16 in _NOT_IN_IMAGES or keyword in NEEDED:
            continue
        if vr in CANARIES:
            dataset.add_new(tag, vr, CANARIES[vr])
        elif vr == "SQ":
            item = Dataset()
            for name, kind in (("PatientName", "PN"), ("CodeMeaning", "LO"), ("CodeValue", "SH")):
                setattr(item, name, CANARIES[kind])
            dataset.add_new(tag, vr, [item])
    private = dataset.private_block(0x0011, WORD, create=True)
    private.add_new(0x01, "LO", WORD)
    private.add_new(0x02, "UN", WORD.encode())
    return dataset


@cache
def usual_canary_texts() -> Dataset:
    """Those of the groups that CT files have, without most sequences: a tenth, as many files."""
    dataset = Dataset()
    for element in canary_texts():
        kept = element.tag >> 16 in _GROUPS_OF_CT and element.VR != "SQ"
        if kept or element.tag.is_private or element.keyword in _USUAL_SEQUENCES:
            dataset[element.tag] = element
    return dataset


def canary_series(series: str = "1", study: str = "1.2.3", *, all_tags: bool) -> list[Dataset]:
    """A series that can be analysed, whose every text is a canary."""
    return [dcmread(BytesIO(data)) for data in _files(series, study, all_tags)]


@cache
def _files(series: str, study: str, all_tags: bool) -> tuple[bytes, ...]:
    """What pydicom reads from bytes it writes again as it is, in a tenth of the time."""
    texts = canary_texts() if all_tags else usual_canary_texts()
    files = []
    for dataset in ct_series(body_volume((6, 90, 110)), (5.0, 2.0, 2.0), series=series):
        dataset.StudyInstanceUID, dataset.FrameOfReferenceUID = study, f"{study}.1"
        dataset.update({element.tag: element for element in texts})
        dataset.file_meta.SourceApplicationEntityTitle = WORD
        dataset.file_meta.ImplementationVersionName = WORD
        dataset.preamble = WORD.encode().ljust(128)
        file = BytesIO()
        dataset.save_as(file, enforce_file_format=True)
        files.append(file.getvalue())
    return tuple(files)


def write_anything(folder: Path, datasets: Iterable[Dataset]) -> Path:
    """Write datasets as 001.dcm, 002.dcm ..., whatever is in them."""
    folder.mkdir(parents=True)
    with anything_goes():
        for number, dataset in enumerate(datasets, start=1):
            dataset.save_as(folder / f"{number:03}.dcm", enforce_file_format=True)
    return folder


@contextmanager
def anything_goes() -> Iterator[None]:
    """Values that break their VR are taken and written as they are."""
    before = config.settings.reading_validation_mode, config.settings.writing_validation_mode
    config.settings.reading_validation_mode = config.IGNORE
    config.settings.writing_validation_mode = config.IGNORE
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        config.settings.reading_validation_mode, config.settings.writing_validation_mode = before


def leaks(place: str, data: bytes, words: Iterable[str] = SEEN_AS) -> list[str]:
    """Which words are in the bytes, in any case of letters, with a place each."""
    lower = data.lower()
    return [
        f"{place}: {word}"
        for word in words
        if any(word.lower().encode(code) in lower for code in ("utf-8", "utf-16-le", "utf-16-be"))
    ]


def leaks_in(out: Path, words: Iterable[str] = SEEN_AS) -> list[str]:
    """Which words are in the files of a folder or in their names; what is packed is unpacked."""
    words = tuple(words)
    found = []
    for path in (path for path in out.rglob("*") if path.is_file()):
        data = path.read_bytes()
        packed = [gzip.decompress(data)] if data.startswith(b"\x1f\x8b") else []
        if path.suffix == ".png":
            with Image.open(path) as picture:
                packed += [str(picture.info).encode(), picture.tobytes()]
        for part in (path.name.encode("utf-8", "surrogateescape"), data, *packed):
            found += leaks(path.name, part, words)
    return found
