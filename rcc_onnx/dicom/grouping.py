"""Which slices belong together: by SeriesInstanceUID, and further where one UID hides several
things, such as a scout, a second matrix or a second phase.
"""

import math
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from rcc_onnx.dicom.header_privacy import MODALITIES, PHOTOMETRIC_INTERPRETATIONS, term
from rcc_onnx.dicom.headers import CT_CLASSES, SliceHeader, Vector
from rcc_onnx.dicom.pixels import read_stored_values
from rcc_onnx.dicom.slice_geometry import (
    COSINE_TOLERANCE,
    DUPLICATE_MM,
    MIN_SLICES_FOR_SPACING,
    axis_turn,
    depths_to_feet,
)
from rcc_onnx.dicom.sources import LeftOut
from rcc_onnx.errors import IntakeError, PixelsError

SPACING_TOLERANCE = 1e-3
"""Relative difference of PixelSpacing within a series that rounding to three digits explains."""
NEAR_STACK = 1.5
"""In slice spacings: an odd slice no further than this from a stack continues it."""
BESIDE_SLICE = 0.3
"""In slice spacings: an odd slice closer than this to a slice does not fill a gap."""


@dataclass(frozen=True)
class Group:
    """Slices that belong together, or a refusal to say which do."""

    headers: tuple[SliceHeader, ...]
    error: IntakeError | None = None


def group_slices(headers: Sequence[SliceHeader]) -> list[Group]:
    """All slices of a study, grouped. Every slice is in exactly one group."""
    series: dict[tuple[str, str], list[SliceHeader]] = {}
    for header in headers:
        series.setdefault((header.study_uid, header.series_uid), []).append(header)
    return [group for members in series.values() for group in _split_series(members)]


def split_by_marks(headers: Sequence[SliceHeader]) -> list[Group]:
    """Slices of one stack that lie on one another, parted by the first mark (acquisition, image
    type, contrast ...) that leaves only stacks without such; one group if none does."""
    for parts in _parted_by_marks(headers):
        if all(
            len(part) >= MIN_SLICES_FOR_SPACING and not _lie_on_one_another(part) for part in parts
        ):
            return [Group(tuple(part)) for part in parts]
    return [Group(tuple(headers))]


def split_interleaved(headers: Sequence[SliceHeader]) -> list[Group]:
    """Slices of an even stack, in order, parted by the first mark whose values take turns along it:
    two phases or kernels, the one's slices half way between the other's, look like one fine stack.
    One group if no mark does; values that follow one another are one scan in several acquisitions.
    """
    for parts in _parted_by_marks(headers):
        owner = {id(header): index for index, part in enumerate(parts) for header in part}
        changes = sum(owner[id(a)] != owner[id(b)] for a, b in pairwise(headers))
        if changes >= len(parts):
            return [Group(tuple(part)) for part in parts]
    return [Group(tuple(headers))]


def _parted_by_marks(headers: Sequence[SliceHeader]) -> Iterator[list[list[SliceHeader]]]:
    """The slices parted by each mark in turn that has several values, order kept."""
    for place in range(min(len(header.marks) for header in headers)):
        parts: dict[str, list[SliceHeader]] = {}
        for header in headers:
            parts.setdefault(header.marks[place][1], []).append(header)
        if len(parts) > 1:
            yield list(parts.values())


def _lie_on_one_another(headers: Sequence[SliceHeader]) -> bool:
    try:
        depths = sorted(depths_to_feet(headers))
    except IntakeError:
        return True
    return any(below - above < DUPLICATE_MM for above, below in pairwise(depths))


def _split_series(members: Sequence[SliceHeader]) -> list[Group]:
    """One SeriesInstanceUID, parted by frame of reference, orientation, matrix and spacing."""
    other = next((one for one in members if one.patient != members[0].patient), None)
    if other is not None:
        return [Group(tuple(members), _several_patients(members[0], other))]
    parts: list[list[SliceHeader]] = []
    for header in members:
        part = next((one for one in parts if _alike(one[0], header)), None)
        if part is None:
            parts.append([header])
        else:
            part.append(header)
    if len(parts) == 1:
        return [Group(tuple(members))]
    axial = [part for part in parts if _is_axial(part[0])]
    if not axial:
        return [Group(tuple(part)) for part in parts]
    main = max(axial, key=len)
    for part in parts:
        if part is not main and (odd := _continues(main, part)) is not None:
            return [Group(tuple(members), _mixed(main[0], odd))]
    return [Group(tuple(part)) for part in parts]


def _alike(one: SliceHeader, other: SliceHeader) -> bool:
    return (
        one.frame_of_reference_uid == other.frame_of_reference_uid
        and (one.rows, one.columns) == (other.rows, other.columns)
        and _close(one.orientation, other.orientation, absolute=COSINE_TOLERANCE)
        and _close(one.pixel_spacing, other.pixel_spacing, relative=SPACING_TOLERANCE)
    )


def _close(
    one: Vector | None, other: Vector | None, relative: float = 0.0, absolute: float = 0.0
) -> bool:
    if one is None or other is None:
        return one is other
    return all(
        math.isclose(a, b, rel_tol=relative, abs_tol=absolute)
        for a, b in zip(one, other, strict=True)
    )


def _is_axial(header: SliceHeader) -> bool:
    try:
        axis_turn(header)
    except IntakeError:
        return False
    return True


def _continues(main: Sequence[SliceHeader], part: Sequence[SliceHeader]) -> SliceHeader | None:
    """A slice of `part` that fills a gap of the main stack or goes on at its end, so that leaving
    it out would be a guess; None if the part is a thing of its own.

    A slice that does not say where it lies counts as one, if it is as large as the others.
    """
    first = main[0]
    for header in part:
        if header.position is None or header.orientation is None or header.pixel_spacing is None:
            if (header.rows, header.columns) == (first.rows, first.columns):
                return header
            return None
    frames = {part[0].frame_of_reference_uid, first.frame_of_reference_uid}
    # A slice that names no frame of reference may well be of the stack's own.
    if len(frames - {""}) > 1 or not _is_axial(part[0]):
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


def _several_patients(one: SliceHeader, other: SliceHeader) -> IntakeError:
    return IntakeError(
        f"{one.file_name} and {other.file_name} belong to one series and name different patients, "
        "or one names none; put each patient's slices into a folder of their own",
        code="mixed-series",
    )


def _mixed(main: SliceHeader, odd: SliceHeader) -> IntakeError:
    """The refusal of a stack in which `odd` is not like the others."""
    for keyword in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"):
        try:
            odd.required(keyword)
        except IntakeError as error:
            return error
    kinds = {
        "mixed-matrix": ("Rows and Columns", (odd.rows, odd.columns) != (main.rows, main.columns)),
        "mixed-orientation": (
            "ImageOrientationPatient",
            not _close(odd.orientation, main.orientation, absolute=COSINE_TOLERANCE),
        ),
        "mixed-spacing": (
            "PixelSpacing",
            not _close(odd.pixel_spacing, main.pixel_spacing, relative=SPACING_TOLERANCE),
        ),
    }
    code = next((code for code, (_, differs) in kinds.items() if differs), "mixed-series")
    names = " and ".join(name for name, differs in kinds.values() if differs)
    return IntakeError(
        f"{main.file_name} and {odd.file_name}: slices of one stack differ in "
        f"{names or 'what they must share'}; export the series again from its source, or put the "
        "slices that belong together into a folder of their own",
        code=code,
    )


# Which images could be CT slices at all, told from their headers alone.

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


# Copies of slices: dropped if they are the same image, else kept, and refused later.

COPY = "identical copy of another slice"


def drop_copies(
    headers: Sequence[SliceHeader], *, same_instance: bool
) -> tuple[list[SliceHeader], list[LeftOut]]:
    """Of slices at the same place with the same values, the first by name; and the others.

    Args:
        headers: slices of one group.
        same_instance: only those are compared that are the same SOP instance.
    """
    try:
        depths = depths_to_feet(headers)
    except IntakeError:
        return list(headers), []
    order = sorted(range(len(headers)), key=lambda i: (depths[i], headers[i].file_name))
    kept: list[int] = []
    dropped: list[LeftOut] = []
    for index in order:
        here = headers[index]
        twin = kept and depths[index] - depths[kept[-1]] < DUPLICATE_MM
        original = headers[kept[-1]] if twin else here
        same = (original.sop_instance_uid, original.frame) == (here.sop_instance_uid, here.frame)
        if twin and (same or not same_instance) and _same_image(original, here):
            dropped.append(LeftOut(here.file_name, COPY))
        else:
            kept.append(index)
    return [headers[index] for index in kept], dropped


def _same_image(one: SliceHeader, other: SliceHeader) -> bool:
    if (one.position, one.rescale_slope, one.rescale_intercept, one.padding) != (
        other.position,
        other.rescale_slope,
        other.rescale_intercept,
        other.padding,
    ):
        return False
    try:
        return np.array_equal(read_stored_values(one), read_stored_values(other))
    except PixelsError:
        return False
