"""Which images could be CT slices at all, told from their headers alone."""

from collections.abc import Collection

from rcc_onnx.header_text import term
from rcc_onnx.intake.headers import CT_CLASSES, SliceHeader
from rcc_onnx.vocabulary import MODALITIES, PHOTOMETRIC_INTERPRETATIONS

MEDIA_DIRECTORY = "1.2.840.10008.1.3.10"
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
STRUCTURED_REPORT = "1.2.840.10008.5.1.4.1.1.88"
"""SOP class UIDs, or what those of a family start with. Dose reports are structured reports."""
PROJECTIONS = {"MIP", "MINIP", "MAX_IP", "MIN_IP", "PROJECTION IMAGE", "VRT", "VOLUME RENDERING"}
"""Words of ImageType for pictures computed along a ray: their values are no slice's."""
COMPUTED = {
    "SUBTRACTION",
    "MAT_SPECIFIC",
    "MAT_REMOVED",
    "MAT_FRACTIONAL",
    "MAT_MODIFIED",
    "EFF_ATOMIC_NUM",
    "ELECTRON_DENSITY",
}
"""Words of ImageType for images whose values are no attenuation of the body as it was scanned
(PS3.3 C.8.15.2.1.1.5, multi-energy CT). Virtual monoenergetic images are in HU and may pass."""
MAX_MATRIX = 4096
"""Rows or columns; CT has up to 2048."""


def why_no_slice(header: SliceHeader) -> str | None:
    """Why an image is no CT slice, in a few words; None if it may be one.

    An absent Modality is made good by the SOP class, and only by that.
    """
    sop_class = header.sop_class_uid
    modality = header.modality or ("CT" if sop_class in CT_CLASSES else "")
    photometric = header.photometric_interpretation
    words = {word.upper() for word in header.image_type}
    reasons = {
        "DICOMDIR": sop_class == MEDIA_DIRECTORY,
        "secondary capture": sop_class.startswith(SECONDARY_CAPTURE) or "SCREEN SAVE" in words,
        "structured report": sop_class.startswith(STRUCTURED_REPORT),
        f"modality {_word(modality, MODALITIES)}": modality != "CT",
        "SOP class of no CT image": sop_class != "" and sop_class not in CT_CLASSES,
        "no image": not (header.rows > 0 and header.columns > 0),
        "matrix too large": max(header.rows, header.columns) > MAX_MATRIX,
        "multi-frame image without functional groups": header.frames > 1,
        "colour image": header.samples_per_pixel != 1,
        f"photometric interpretation {_word(photometric, PHOTOMETRIC_INTERPRETATIONS)}": (
            photometric != "MONOCHROME2"
        ),
        "localizer": "LOCALIZER" in words,
        "projection": bool(words & PROJECTIONS),
        "computed values": bool(words & COMPUTED),
    }
    return next((reason for reason, applies in reasons.items() if applies), None)


def _word(said: str, known: Collection[str]) -> str:
    return term(said, known) or "not given"
