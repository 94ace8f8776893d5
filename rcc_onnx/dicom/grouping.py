"""Slices that belong together: by SeriesInstanceUID, and further where a UID hides several stacks,
such as a scout, a second matrix or a second phase.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from rcc_onnx.dicom.dataset import Vector
from rcc_onnx.dicom.header_privacy import MODALITIES, PHOTOMETRIC_INTERPRETATIONS, term
from rcc_onnx.dicom.headers import CT_CLASSES, SliceHeader
from rcc_onnx.dicom.pixels import read_stored_values
from rcc_onnx.dicom.stack import (
    COSINE_TOLERANCE,
    DUPLICATE_MM,
    MIN_SLICES_FOR_SPACING,
    depths_to_feet,
    is_axial,
)
from rcc_onnx.errors import IntakeError, PixelsError
from rcc_onnx.types import SkippedFile

MEDIA_DIRECTORY = "1.2.840.10008.1.3.10"
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
STRUCTURED_REPORT = "1.2.840.10008.5.1.4.1.1.88"
"""SOP class UIDs, or their common start in a family. Dose reports are structured reports."""
PROJECTIONS = {"MIP", "MINIP", "MAX_IP", "MIN_IP", "PROJECTION IMAGE", "VRT", "VOLUME RENDERING"}
"""Words of ImageType for pictures computed along a ray: their values are not those of a slice."""
COMPUTED = {
    "SUBTRACTION",
    "MAT_SPECIFIC",
    "MAT_REMOVED",
    "MAT_FRACTIONAL",
    "MAT_MODIFIED",
    "EFF_ATOMIC_NUM",
    "ELECTRON_DENSITY",
}
"""Words of ImageType for images whose values are not the attenuation of the body as it was scanned
(PS3.3 C.8.15.2.1.1.5, multi-energy CT). Virtual monoenergetic images are in HU and may pass."""
MAX_MATRIX = 4096
"""Rows or columns; CT has up to 2048."""
SPACING_TOLERANCE = 1e-3
"""Relative difference of PixelSpacing within a series that rounding to three digits explains."""
NEAR_STACK = 1.5
"""In slice spacings: an odd slice no further than this from a stack continues it."""
BESIDE_SLICE = 0.3
"""In slice spacings: an odd slice closer than this to a slice does not fill a gap."""
COPY = "identical copy of another slice"
_SHARED = {
    "mixed-matrix": "Rows and Columns",
    "mixed-orientation": "ImageOrientationPatient",
    "mixed-spacing": "PixelSpacing",
}
"""Attributes that slices of one stack share, by the code of a refusal where they differ."""


@dataclass(frozen=True)
class Group:
    """Slices that belong together; with an error if it is not clear which do."""

    headers: tuple[SliceHeader, ...]
    error: IntakeError | None = None


def why_not_ct_slice(header: SliceHeader) -> str | None:
    """Return why an image is not a CT slice, in a few words; None if it may be one.

    Without Modality, the SOP class decides.
    """
    sop_class = header.sop_class_uid
    modality = header.modality or ("CT" if sop_class in CT_CLASSES else "")
    photometric = header.photometric_interpretation
    photometric_shown = term(photometric, PHOTOMETRIC_INTERPRETATIONS)
    words = {word.upper() for word in header.image_type}
    reasons = {
        "DICOMDIR": sop_class == MEDIA_DIRECTORY,
        "secondary capture": sop_class.startswith(SECONDARY_CAPTURE) or "SCREEN SAVE" in words,
        "structured report": sop_class.startswith(STRUCTURED_REPORT),
        f"modality {term(modality, MODALITIES) or 'not given'}": modality != "CT",
        "SOP class is not of a CT image": sop_class != "" and sop_class not in CT_CLASSES,
        "no image": not (header.rows > 0 and header.columns > 0),
        "matrix too large": max(header.rows, header.columns) > MAX_MATRIX,
        "multi-frame image without functional groups": header.frames > 1,
        "colour image": header.samples_per_pixel != 1,
        f"photometric interpretation {photometric_shown or 'not given'}": (
            photometric != "MONOCHROME2"
        ),
        "localizer": "LOCALIZER" in words,
        "projection": bool(words & PROJECTIONS),
        "computed values": bool(words & COMPUTED),
    }
    return next((reason for reason, applies in reasons.items() if applies), None)


def group_slices(headers: Sequence[SliceHeader]) -> list[Group]:
    """Group all slices of a study. Every slice is in exactly one group."""
    series: dict[tuple[str, str], list[SliceHeader]] = {}
    for header in headers:
        series.setdefault((header.study_uid, header.series_uid), []).append(header)
    return [group for members in series.values() for group in _split_series(members)]


def split_duplicates(headers: Sequence[SliceHeader]) -> list[list[SliceHeader]]:
    """Split slices by the first attribute that leaves only stacks without duplicate positions.

    Return one part if none does. Attributes: acquisition, image type, contrast ...
    """
    for parts in _split_by_attributes(headers):
        if not any(len(part) < MIN_SLICES_FOR_SPACING or _overlap(part) for part in parts):
            return parts
    return [list(headers)]


def split_interleaved(headers: Sequence[SliceHeader]) -> list[list[SliceHeader]]:
    """Split slices of an even stack, in order, by the first attribute whose values alternate.

    Return one part if none does. Two phases or kernels whose slices are half way between one
    another's look like one fine stack. Values that follow one another are one scan in several
    acquisitions.
    """
    for parts in _split_by_attributes(headers):
        owner = {id(header): index for index, part in enumerate(parts) for header in part}
        changes = sum(owner[id(a)] != owner[id(b)] for a, b in pairwise(headers))
        if changes >= len(parts):
            return parts
    return [list(headers)]


def drop_copies(
    headers: Sequence[SliceHeader], *, same_instance: bool
) -> tuple[list[SliceHeader], list[SkippedFile]]:
    """Return slices without copies (same position and values; the first by name stays), and these.

    Args:
        headers: slices of one group.
        same_instance: compare only slices that are the same SOP instance.
    """
    try:
        depths = depths_to_feet(headers)
    except IntakeError:
        return list(headers), []
    placed = sorted(
        zip(depths.tolist(), headers, strict=True), key=lambda pair: (pair[0], pair[1].file_name)
    )
    kept: list[tuple[float, SliceHeader]] = []
    dropped: list[SkippedFile] = []
    for depth, header in placed:
        if kept and depth - kept[-1][0] < DUPLICATE_MM:
            original = kept[-1][1]
            same = (original.sop_instance_uid, original.frame) == (
                header.sop_instance_uid,
                header.frame,
            )
            if (same or not same_instance) and _same_image(original, header):
                dropped.append(SkippedFile(header.file_name, COPY))
                continue
        kept.append((depth, header))
    return [header for _, header in kept], dropped


def _split_by_attributes(headers: Sequence[SliceHeader]) -> Iterator[list[list[SliceHeader]]]:
    """Split by each attribute in turn that has several values, order kept."""
    for index in range(min(len(header.splitting_attributes) for header in headers)):
        parts: dict[str, list[SliceHeader]] = {}
        for header in headers:
            parts.setdefault(header.splitting_attributes[index][1], []).append(header)
        if len(parts) > 1:
            yield list(parts.values())


def _overlap(headers: Sequence[SliceHeader]) -> bool:
    """Return whether two slices are at the same position, or one has none."""
    try:
        depths = sorted(depths_to_feet(headers))
    except IntakeError:
        return True
    return any(below - above < DUPLICATE_MM for above, below in pairwise(depths))


def _split_series(members: Sequence[SliceHeader]) -> list[Group]:
    """Split one SeriesInstanceUID by frame of reference, orientation, matrix and spacing."""
    first = members[0]
    stranger = next((header for header in members if header.patient != first.patient), None)
    if stranger is not None:
        error = IntakeError(
            f"{first.file_name} and {stranger.file_name} belong to one series and name different "
            "patients, or only one names a patient; put each patient's slices into a folder of "
            "their own",
            code="mixed-series",
        )
        return [Group(tuple(members), error)]
    parts: list[list[SliceHeader]] = []
    for header in members:
        part = next((part for part in parts if _alike(part[0], header)), None)
        if part is None:
            parts.append([header])
        else:
            part.append(header)
    main = max((part for part in parts if is_axial(part[0])), key=len, default=None)
    for part in parts:
        if main is not None and part is not main and (odd := _continues(main, part)) is not None:
            return [Group(tuple(members), _mixed(main[0], odd))]
    return [Group(tuple(part)) for part in parts]


def _alike(first: SliceHeader, second: SliceHeader) -> bool:
    same_frame = first.frame_of_reference_uid == second.frame_of_reference_uid
    return same_frame and not _differences(first, second)


def _differences(first: SliceHeader, second: SliceHeader) -> list[str]:
    """Return the codes of `_SHARED` whose attributes differ."""
    differs = {
        "mixed-matrix": (first.rows, first.columns) != (second.rows, second.columns),
        "mixed-orientation": not _close(
            first.orientation, second.orientation, absolute=COSINE_TOLERANCE
        ),
        "mixed-spacing": not _close(
            first.pixel_spacing, second.pixel_spacing, relative=SPACING_TOLERANCE
        ),
    }
    return [code for code in differs if differs[code]]


def _close(
    first: Vector | None, second: Vector | None, relative: float = 0.0, absolute: float = 0.0
) -> bool:
    if first is None or second is None:
        return first is second
    return all(
        math.isclose(a, b, rel_tol=relative, abs_tol=absolute)
        for a, b in zip(first, second, strict=True)
    )


def _continues(main: Sequence[SliceHeader], part: Sequence[SliceHeader]) -> SliceHeader | None:
    """Return a slice of `part` that fills a gap of the main stack or continues it at an end.

    Leaving it out would be a guess. None if the part is something else. A slice without position,
    orientation or spacing counts as one, if it is as large as the others.
    """
    first = main[0]
    for header in part:
        if header.position is None or header.orientation is None or header.pixel_spacing is None:
            if (header.rows, header.columns) == (first.rows, first.columns):
                return header
            return None
    frames = {part[0].frame_of_reference_uid, first.frame_of_reference_uid}
    # A slice that names no frame of reference may well be of the stack's own.
    if len(frames - {""}) > 1 or not is_axial(part[0]):
        return None
    if len(main) < 2 or any(header.position is None for header in main):
        return part[0]
    # The main stack's depths are along z, near enough, whatever the odd slice's orientation is.
    depths = np.sort([-(header.position or (0, 0, 0))[2] for header in main])
    spacing = float(np.sort(np.diff(depths))[(len(depths) - 2) // 2])
    for header in part:
        depth = -(header.position or (0, 0, 0))[2]
        near = depths[0] - NEAR_STACK * spacing < depth < depths[-1] + NEAR_STACK * spacing
        if near and np.abs(depths - depth).min() > BESIDE_SLICE * spacing:
            return header
    return None


def _mixed(main: SliceHeader, odd: SliceHeader) -> IntakeError:
    """Return the refusal of a stack in which `odd` is not like the others."""
    for keyword in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"):
        try:
            odd.required(keyword)
        except IntakeError as error:
            return error
    differing = _differences(main, odd)
    names = " and ".join(_SHARED[code] for code in differing) or "FrameOfReferenceUID"
    return IntakeError(
        f"{main.file_name} and {odd.file_name}: slices of one stack differ in {names}; export the "
        "series again from its source, or put the slices that belong together into a folder of "
        "their own",
        code=differing[0] if differing else "mixed-series",
    )


def _same_image(first: SliceHeader, second: SliceHeader) -> bool:
    def meaning(header: SliceHeader) -> tuple[object, ...]:
        return header.position, header.rescale_slope, header.rescale_intercept, header.padding

    if meaning(first) != meaning(second):
        return False
    try:
        return np.array_equal(read_stored_values(first), read_stored_values(second))
    except PixelsError:
        return False
