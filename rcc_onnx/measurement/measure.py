"""Measures one side on the masks of a case, in the patient (docs/outputs.md).

`longest_diameter`, `centre_of` and `box_of` take a mask with at least one voxel of the series.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from rcc_onnx.dicom.header_privacy import uid
from rcc_onnx.imaging.images import CropImage, NetworkImages, PatientImages
from rcc_onnx.imaging.mask_resampling import MaskPart, SourceMask, source_mask
from rcc_onnx.imaging.placement import Placement
from rcc_onnx.measurement.structures import KIDNEYS, half_of
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
from rcc_onnx.types import Outcome, Side, Structure, is_above

Mask = NDArray[np.bool_]

DECIMALS = 3
"""Of lengths in mm, volumes in ml and HU: finer than any of them is known."""


def longest_diameter(mask: SourceMask) -> Diameter:
    """The longest line between two voxel centres of one slice; of equals the one nearest to the
    head."""
    placement = mask.placement
    length, index, ends = -1.0, 0, np.zeros((2, 3))
    for at, part in mask.slices():
        points = _row_ends(at, part)
        lps = placement.to_lps(points)
        distances = np.linalg.norm(lps[:, None] - lps[None], axis=2)
        first, last = np.unravel_index(int(distances.argmax()), distances.shape)
        if distances[first, last] > length:
            length, index, ends = float(distances[first, last]), at, points[[first, last]]
    first_lps, last_lps = (_position(end) for end in placement.to_lps(ends))
    first_pixel, last_pixel = (_file_pixel(placement, end) for end in ends)
    image = placement.images[index]
    return Diameter(
        mm=_rounded(length),
        slice=index,
        sop_instance_uid=uid(image.sop_instance_uid),
        frame=image.frame,
        ends_row_column=(first_pixel, last_pixel),
        ends_lps_mm=(first_lps, last_lps),
    )


def centre_of(mask: SourceMask) -> Position:
    """Centre of mass."""
    total, voxels = np.zeros(3), 0
    for at, part in mask.slices():
        rows, columns = np.nonzero(part.mask)
        total += (
            at * rows.size,
            rows.sum() + part.first_row * rows.size,
            columns.sum() + part.first_column * rows.size,
        )
        voxels += rows.size
    return _position(mask.placement.to_lps(total / voxels))


def box_of(mask: SourceMask) -> SourceBox:
    """The smallest box that holds it."""
    placement = mask.placement
    low, high = np.full(3, np.iinfo(np.int64).max), np.full(3, -1)
    for at, part in mask.slices():
        rows, columns = np.flatnonzero(part.mask.any(axis=1)), np.flatnonzero(part.mask.any(axis=0))
        first = (at, part.first_row + rows[0], part.first_column + columns[0])
        last = (at, part.first_row + rows[-1], part.first_column + columns[-1])
        low, high = np.minimum(low, first), np.maximum(high, last)
    slices, rows_span, columns_span = (
        (int(first), int(last)) for first, last in zip(low, high, strict=True)
    )
    edges = [(first - 0.5, last + 0.5) for first, last in (slices, rows_span, columns_span)]
    corners = placement.to_lps(
        np.array([(z, y, x) for z in edges[0] for y in edges[1] for x in edges[2]])
    )
    rows_file, columns_file = placement.file_pixels(rows_span, columns_span)
    images = placement.images
    return SourceBox(
        slices=slices,
        sop_instance_uids=(
            uid(images[slices[0]].sop_instance_uid),
            uid(images[slices[1]].sop_instance_uid),
        ),
        rows=rows_file,
        columns=columns_file,
        lowest_lps_mm=_position(corners.min(axis=0)),
        highest_lps_mm=_position(corners.max(axis=0)),
    )


def _row_ends(index: int, part: MaskPart) -> NDArray[np.float64]:
    """(slice, row, column) of the first and last voxel of each row: the two voxels of a slice that
    are farthest apart are among them."""
    rows = np.flatnonzero(part.mask.any(axis=1))
    left = part.mask[rows].argmax(axis=1)
    right = part.mask.shape[1] - 1 - part.mask[rows, ::-1].argmax(axis=1)
    both_rows = np.concatenate([rows, rows]) + part.first_row
    both_columns = np.concatenate([left, right]) + part.first_column
    return np.stack([np.full(both_rows.size, index), both_rows, both_columns], 1).astype(float)


def _file_pixel(placement: Placement, zyx: NDArray[np.float64]) -> tuple[int, int]:
    _, row, column = (int(value) for value in zyx)
    (file_row, _), (file_column, _) = placement.file_pixels((row, row), (column, column))
    return file_row, file_column


def _position(xyz: NDArray[np.float64]) -> Position:
    x, y, z = (_rounded(value) for value in xyz.tolist())
    return x, y, z


def _rounded(value: float) -> float:
    return round(value, DECIMALS)


CUTOFFS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
THRESHOLD_FACTORS = (0.25, 0.5, 0.75, 0.9, 1.0, 1.1, 1.25, 1.5, 2.0, 4.0)
"""Times the lesion threshold in force."""
MM3_PER_ML = 1000.0
FACES = ((-1, 0, 0), (1, 0, 0), (0, -1, 0), (0, 1, 0), (0, 0, -1), (0, 0, 1))


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
    kidneys = (Structure.RIGHT_KIDNEY, Structure.LEFT_KIDNEY)
    return _mean_hu(patient, np.isin(patient.labels, kidneys))


def parts_of(mask: Mask) -> list[Mask]:
    """The pieces of a 3D mask that share no voxel face, largest first; of equals the first met."""
    left = {tuple(voxel) for voxel in np.argwhere(mask).tolist()}
    parts: list[list[tuple[int, ...]]] = []
    for seed in sorted(left):
        if seed not in left:
            continue
        left.discard(seed)
        part, open_ends = [seed], [seed]
        while open_ends:
            z, y, x = open_ends.pop()
            for dz, dy, dx in FACES:
                near = (z + dz, y + dy, x + dx)
                if near in left:
                    left.discard(near)
                    part.append(near)
                    open_ends.append(near)
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
    """Of the kidney's voxels that are not labelled suspected lesion."""
    voxels = 0
    for index, part in kidney.slices() if kidney else ():
        own = part.mask
        over = lesion.slice(index) if lesion else None
        if over is not None:
            taken = np.zeros(patient.placement.shape_yx, np.bool_)
            taken[over.where] = over.mask
            own = own & ~taken[part.where]
        voxels += int(own.sum())
    hu = _mean_hu(patient, patient.labels == KIDNEYS[side])
    volume_ml = _rounded(voxels * patient.placement.voxel_mm3 / MM3_PER_ML)
    return KidneyMeasures(volume_ml, None if hu is None else _rounded(hu))


def _lesion(lesion: SourceMask, crop: CropImage, patient: PatientImages) -> LesionMeasures:
    placement = patient.placement
    real = np.zeros(patient.labels.shape, np.bool_)
    real[placement.real_places] = True
    cutoff = patient.mask_cutoff
    hits = (crop.probability >= cutoff) & real[crop.where]
    parts = parts_of(hits)
    largest = lesion
    if len(parts) > 1:
        probability = np.zeros(patient.labels.shape, np.float32)
        probability[crop.where][parts[0]] = crop.probability[parts[0]]
        alone = source_mask(lesion.side, lesion.structure, placement, probability, cutoff)
        largest = alone or lesion
    own = np.zeros(patient.labels.shape, np.bool_)
    own[crop.where] = hits
    hu = _mean_hu(patient, own)
    voxels = sum(int(part.mask.sum()) for _, part in lesion.slices())
    if hu is None or not voxels:
        raise AssertionError("a mask without a voxel, or a voxel without HU")
    return LesionMeasures(
        volume_ml=_rounded(voxels * placement.voxel_mm3 / MM3_PER_ML),
        parts=len(parts),
        longest_axial_diameter=longest_diameter(largest),
        centre_lps_mm=centre_of(largest),
        box=box_of(largest),
        touches_crop_border=any(
            bool(np.take(hits, end, axis).any()) for axis in range(3) for end in (0, -1)
        ),
        mean_hu=_rounded(hu),
    )


def _mean_hu(patient: PatientImages, network_mask: Mask) -> float | None:
    values = patient.hu[network_mask]
    values = values[~np.isnan(values)]
    return float(values.mean(dtype=np.float64)) if values.size else None


def _sensitivity(
    side: Side,
    finding: SideFinding,
    network: NetworkImages,
    placement: Placement,
    lesion_threshold: float,
) -> Sensitivity:
    """Return what other thresholds and cutoffs give. The lesion network must have run."""
    if finding.lesion is None:
        raise AssertionError("no lesion sum to set thresholds to")
    suspected = finding.outcome in SUSPECTED
    half = (placement.real_places, *half_of(side)[1:])
    kidney = network.kidney_probability[half]
    lesion = network.lesion_probability(side)[half] if suspected else np.zeros_like(kidney)
    # Most voxels are neither: looking at the others alone takes a hundredth of the time.
    some = (kidney >= CUTOFFS[0]) | (lesion >= CUTOFFS[0])
    kidney, lesion = kidney[some], lesion[some]
    ml = placement.network_voxel_mm3 / MM3_PER_ML
    located = bound_lesion(network.crops[side].probability) is not None
    over = Outcome.LESION if located else Outcome.LESION_NOT_LOCATED
    # Rounded, since the last bits of a product say nothing.
    thresholds = tuple(round(factor * lesion_threshold, 6) for factor in THRESHOLD_FACTORS)
    found = finding.lesion.probability_sum
    return Sensitivity(
        lesion_thresholds=thresholds,
        outcomes=tuple(
            over if is_above(found, threshold) else Outcome.NO_LESION for threshold in thresholds
        ),
        mask_cutoffs=CUTOFFS,
        kidney_volumes_ml=tuple(
            _rounded(int(((kidney >= cutoff) & (lesion < cutoff)).sum()) * ml) for cutoff in CUTOFFS
        ),
        lesion_volumes_ml=tuple(_rounded(int((lesion >= cutoff).sum()) * ml) for cutoff in CUTOFFS)
        if suspected
        else None,
    )
