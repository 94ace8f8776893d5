"""Measurements of one side on the masks of a case, in the patient (docs/outputs.md)."""

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from rcc_onnx.dicom.header_privacy import uid
from rcc_onnx.imaging.images import CropImage, NetworkImages, PatientImages
from rcc_onnx.imaging.mask_resampling import SourceMask, source_mask
from rcc_onnx.imaging.placement import Placement
from rcc_onnx.pipeline.localization import bound_lesion
from rcc_onnx.results import (
    SUSPECTED,
    Diameter,
    KidneyMeasures,
    LesionMeasures,
    Position,
    Sensitivity,
    SideFinding,
    SourceBox,
)
from rcc_onnx.types import HALF_WIDTH, KIDNEYS, Outcome, Side, Structure, is_above

Mask = NDArray[np.bool_]
Voxels = NDArray[np.intp]
"""(n, 3): slice, row and column of the canonical volume, sorted; at least one."""

DECIMALS = 3
"""Of lengths in mm, volumes in ml and HU: finer than any of them is known."""
CUTOFFS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
THRESHOLD_FACTORS = (0.25, 0.5, 0.75, 0.9, 1.0, 1.1, 1.25, 1.5, 2.0, 4.0)
"""Times the lesion threshold in force."""
MM3_PER_ML = 1000.0
FACES = ((-1, 0, 0), (1, 0, 0), (0, -1, 0), (0, 1, 0), (0, 0, -1), (0, 0, 1))


def half_of(side: Side) -> tuple[slice, slice, slice]:
    """Return the place of a side in the network volume."""
    columns = slice(0, HALF_WIDTH) if side == "right" else slice(HALF_WIDTH, 2 * HALF_WIDTH)
    return slice(None), slice(None), columns


def measure_side(
    side: Side,
    finding: SideFinding,
    network: NetworkImages,
    patient: PatientImages,
    lesion_threshold: float,
) -> SideFinding:
    """Return the finding of a side with all its measurements."""
    if finding.outcome is Outcome.KIDNEY_NOT_FOUND:
        return finding
    masks = {mask.structure: mask for mask in patient.masks if mask.side == side}
    kidney, lesion = masks.get(KIDNEYS[side]), masks.get(Structure.SUSPECTED_LESION)
    measured = replace(
        finding, kidney=replace(finding.kidney, measures=_kidney(side, kidney, lesion, patient))
    )
    if finding.lesion is None:
        return measured
    measures = None if lesion is None else _lesion(lesion, network.crops[side], patient)
    return replace(
        measured,
        lesion=replace(finding.lesion, measures=measures),
        sensitivity=_sensitivity(side, finding, network, patient.placement, lesion_threshold),
    )


def mean_kidney_hu(patient: PatientImages) -> float | None:
    """Return the mean HU of all found kidneys without suspected lesions; None without a voxel."""
    return _mean(patient.hu[np.isin(patient.labels, list(KIDNEYS.values()))])


def voxels_of(mask: SourceMask) -> Voxels:
    """Return the voxels of a mask."""
    parts = [np.empty((0, 3), np.intp)]
    for index, part in mask.slices():
        rows, columns = np.nonzero(part.mask)
        slices = np.full_like(rows, index)
        parts.append(np.column_stack([slices, rows + part.first_row, columns + part.first_column]))
    return np.concatenate(parts)


def longest_diameter(placement: Placement, voxels: Voxels) -> Diameter:
    """Return the longest line between two voxel centres of one slice.

    Of equals it is the one nearest to the head.
    """
    # The two voxels that are farthest apart are the first or the last of their rows.
    row_starts = (np.diff(voxels[:, :2], axis=0) != 0).any(axis=1)
    first, last = voxels[np.r_[True, row_starts]], voxels[np.r_[row_starts, True]]
    length, ends = -1.0, np.zeros((2, 3))
    for index in np.unique(voxels[:, 0]):
        here = first[:, 0] == index
        points = np.concatenate([first[here], last[here]]).astype(float)
        lps = placement.to_lps(points)
        distances = np.linalg.norm(lps[:, None] - lps[None], axis=2)
        pair = list(np.unravel_index(int(distances.argmax()), distances.shape))
        if distances.max() > length:
            length, ends = float(distances.max()), points[pair]
    pixels = []
    for row, column in ends[:, 1:].astype(int).tolist():
        (file_row, _), (file_column, _) = placement.file_pixels((row, row), (column, column))
        pixels.append((file_row, file_column))
    first_lps, last_lps = (_position(end) for end in placement.to_lps(ends))
    image = placement.images[int(ends[0, 0])]
    return Diameter(
        mm=_rounded(length),
        slice=int(ends[0, 0]),
        sop_instance_uid=uid(image.sop_instance_uid),
        frame=image.frame,
        ends_row_column=(pixels[0], pixels[1]),
        ends_lps_mm=(first_lps, last_lps),
    )


def centre_of(placement: Placement, voxels: Voxels) -> Position:
    """Return the centre of mass."""
    return _position(placement.to_lps(voxels.sum(axis=0) / len(voxels)))


def box_of(placement: Placement, voxels: Voxels) -> SourceBox:
    """Return the smallest box that holds the voxels."""
    slices, rows, columns = (
        (int(first), int(last))
        for first, last in zip(voxels.min(axis=0), voxels.max(axis=0), strict=True)
    )
    edges = [(first - 0.5, last + 0.5) for first, last in (slices, rows, columns)]
    corners = placement.to_lps(
        np.array([(z, y, x) for z in edges[0] for y in edges[1] for x in edges[2]])
    )
    file_rows, file_columns = placement.file_pixels(rows, columns)
    first, last = (uid(placement.images[index].sop_instance_uid) for index in slices)
    return SourceBox(
        slices=slices,
        sop_instance_uids=(first, last),
        rows=file_rows,
        columns=file_columns,
        lowest_lps_mm=_position(corners.min(axis=0)),
        highest_lps_mm=_position(corners.max(axis=0)),
    )


def parts_of(mask: Mask) -> list[Mask]:
    """Return the pieces of a 3D mask that share no voxel face, largest first.

    Of equals the first in the order of the array comes first.
    """
    left = {tuple(voxel) for voxel in np.argwhere(mask).tolist()}
    parts: list[list[tuple[int, ...]]] = []
    for seed in sorted(left):
        if seed not in left:
            continue
        left.discard(seed)
        part, open_ends = [seed], [seed]
        while open_ends:
            z, y, x = open_ends.pop()
            near = {(z + dz, y + dy, x + dx) for dz, dy, dx in FACES} & left
            left -= near
            part.extend(near)
            open_ends.extend(near)
        parts.append(part)
    masks = []
    for part in sorted(parts, key=len, reverse=True):
        piece = np.zeros(mask.shape, np.bool_)
        piece[tuple(np.array(part).T)] = True
        masks.append(piece)
    return masks


def _kidney(
    side: Side, kidney: SourceMask | None, lesion: SourceMask | None, patient: PatientImages
) -> KidneyMeasures:
    """Measure the kidney's voxels that are not labelled suspected lesion."""
    voxels = 0
    for index, part in kidney.slices() if kidney else ():
        own = part.mask
        over = lesion.slice(index) if lesion else None
        if over is not None:
            taken = np.zeros(patient.placement.shape_yx, np.bool_)
            taken[over.where] = over.mask
            own = own & ~taken[part.where]
        voxels += int(own.sum())
    hu = _mean(patient.hu[patient.labels == KIDNEYS[side]])
    volume_ml = _rounded(voxels * patient.placement.voxel_mm3 / MM3_PER_ML)
    return KidneyMeasures(volume_ml, None if hu is None else _rounded(hu))


def _lesion(lesion: SourceMask, crop: CropImage, patient: PatientImages) -> LesionMeasures:
    """Measure a lesion whose mask has a voxel."""
    placement, cutoff = patient.placement, patient.mask_cutoff
    is_real = np.zeros(placement.depth, np.bool_)
    is_real[placement.real_places] = True
    hits = (crop.probability >= cutoff) & is_real[crop.where[0], None, None]
    parts = parts_of(hits)
    voxels = largest = voxels_of(lesion)
    if len(parts) > 1:
        probability = np.zeros(patient.labels.shape, np.float32)
        probability[crop.where][parts[0]] = crop.probability[parts[0]]
        alone = source_mask(lesion.side, lesion.structure, placement, probability, cutoff)
        largest = voxels if alone is None else voxels_of(alone)
    hu = _mean(patient.hu[crop.where][hits])
    if hu is None or not len(largest):
        raise AssertionError("a mask without a voxel, or a voxel without HU")
    return LesionMeasures(
        volume_ml=_rounded(len(voxels) * placement.voxel_mm3 / MM3_PER_ML),
        parts=len(parts),
        longest_axial_diameter=longest_diameter(placement, largest),
        centre_lps_mm=centre_of(placement, largest),
        box=box_of(placement, largest),
        touches_crop_border=any(
            bool(np.take(hits, end, axis).any()) for axis in range(3) for end in (0, -1)
        ),
        mean_hu=_rounded(hu),
    )


def _mean(hu: NDArray[np.float32]) -> float | None:
    """Return the mean of values that are not NaN; None without any."""
    values = hu[~np.isnan(hu)]
    return float(values.mean(dtype=np.float64)) if values.size else None


def _position(xyz: NDArray[np.float64]) -> Position:
    x, y, z = (_rounded(value) for value in xyz.tolist())
    return x, y, z


def _rounded(value: float) -> float:
    return round(value, DECIMALS)


def _sensitivity(
    side: Side,
    finding: SideFinding,
    network: NetworkImages,
    placement: Placement,
    lesion_threshold: float,
) -> Sensitivity:
    """Return what other thresholds and cutoffs give. The lesion network must have run."""
    if finding.lesion is None:
        raise AssertionError("no lesion sum to compare with thresholds")
    suspected, found = finding.outcome in SUSPECTED, finding.lesion.probability_sum
    half = (placement.real_places, *half_of(side)[1:])
    kidney = network.kidney_probability[half]
    lesion = network.lesion_probability(side)[half] if suspected else np.zeros_like(kidney)
    # Most voxels are neither: looking at the others alone takes a hundredth of the time.
    some = (kidney >= CUTOFFS[0]) | (lesion >= CUTOFFS[0])
    kidney, lesion = kidney[some], lesion[some]

    def volumes(masks: Iterable[Mask]) -> tuple[float, ...]:
        ml = placement.network_voxel_mm3 / MM3_PER_ML
        return tuple(_rounded(int(mask.sum()) * ml) for mask in masks)

    located = bound_lesion(network.crops[side].probability) is not None
    above = Outcome.LESION if located else Outcome.LESION_NOT_LOCATED
    # Rounded, since the last bits of a product mean nothing.
    thresholds = tuple(round(factor * lesion_threshold, 6) for factor in THRESHOLD_FACTORS)
    return Sensitivity(
        lesion_thresholds=thresholds,
        outcomes=tuple(above if is_above(found, x) else Outcome.NO_LESION for x in thresholds),
        mask_cutoffs=CUTOFFS,
        kidney_volumes_ml=volumes((kidney >= x) & (lesion < x) for x in CUTOFFS),
        lesion_volumes_ml=volumes(lesion >= x for x in CUTOFFS) if suspected else None,
    )
