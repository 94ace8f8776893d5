"""Takes the measurements of one side on the masks of a case (docs/outputs.md)."""

import numpy as np
from numpy.typing import NDArray

from rcc_onnx.imaging.mask_resampling import MaskPart, SourceMask, source_mask
from rcc_onnx.imaging.placement import Placement
from rcc_onnx.measurement.structures import KIDNEYS, SUSPECTED, half_of
from rcc_onnx.pipeline.localization import bound_lesion
from rcc_onnx.results import (
    CropImage,
    Diameter,
    KidneyMeasures,
    LesionMeasures,
    NetworkImages,
    PatientImages,
    Position,
    Sensitivity,
    SideFinding,
    SideMeasures,
    SourceBox,
)
from rcc_onnx.types import Outcome, Side, Structure

# How far a mask reaches in the patient: longest diameter, centre and box (docs/outputs.md).
#
# All take a mask with at least one voxel in the source series.


def longest_diameter(mask: SourceMask) -> Diameter:
    """The longest line between two voxel centres of one slice; of equals the one nearest to the
    head."""
    placement = mask.placement
    length, index, ends = -1.0, 0, np.zeros((2, 3))
    for at, part in mask.slices():
        points = _row_ends(at, part)
        lps = placement.to_lps(points)
        distances = np.linalg.norm(lps[:, None] - lps[None], axis=2)
        one, other = np.unravel_index(int(distances.argmax()), distances.shape)
        if distances[one, other] > length:
            length, index, ends = float(distances[one, other]), at, points[[one, other]]
    one_lps, other_lps = (_position(end) for end in placement.to_lps(ends))
    one_file, other_file = (_file_pixel(placement, end) for end in ends)
    image = placement.images[index]
    return Diameter(
        length_mm=length,
        slice=index,
        sop_instance_uid=image.sop_instance_uid,
        frame=image.frame,
        ends_lps_mm=(one_lps, other_lps),
        ends_file=(one_file, other_file),
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
        sop_instance_uids=(images[slices[0]].sop_instance_uid, images[slices[1]].sop_instance_uid),
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
    x, y, z = xyz.tolist()
    return x, y, z


Mask = NDArray[np.bool_]

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
) -> SideMeasures:
    """All measurements of a side."""
    if finding.outcome is Outcome.KIDNEY_NOT_FOUND:
        return SideMeasures(None, None, None)
    masks = {one.structure: one for one in patient.masks if one.side == side}
    kidney, lesion = masks.get(KIDNEYS[side]), masks.get(Structure.SUSPECTED_LESION)
    sensitivity = None
    if finding.lesion is not None:
        sensitivity = _sensitivity(side, finding, network, patient.placement, lesion_threshold)
    return SideMeasures(
        _kidney(side, kidney, lesion, patient),
        None if lesion is None else _lesion(lesion, network.crops[side], patient),
        sensitivity,
    )


def mean_kidney_hu(patient: PatientImages) -> float | None:
    """Mean HU of all found kidneys without suspected lesions; None without a voxel."""
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
        one = np.zeros(mask.shape, np.bool_)
        one[tuple(np.array(part).T)] = True
        masks.append(one)
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
    return KidneyMeasures(voxels * patient.placement.voxel_mm3 / MM3_PER_ML, hu)


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
        volume_ml=voxels * placement.voxel_mm3 / MM3_PER_ML,
        parts=len(parts),
        diameter=longest_diameter(largest),
        centre_lps_mm=centre_of(largest),
        box=box_of(largest),
        touches_crop_border=any(
            bool(np.take(hits, end, axis).any()) for axis in range(3) for end in (0, -1)
        ),
        mean_hu=hu,
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
    """What other thresholds and cut-offs would have given. The lesion network must have run."""
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
    # Without the last bits of a product, which nobody wants to read.
    thresholds = tuple(round(factor * lesion_threshold, 6) for factor in THRESHOLD_FACTORS)
    found = finding.lesion.probability_sum
    return Sensitivity(
        thresholds=thresholds,
        outcomes=tuple(over if found > one else Outcome.NO_LESION for one in thresholds),
        cutoffs=CUTOFFS,
        kidney_volumes_ml=tuple(
            int(((kidney >= one) & (lesion < one)).sum()) * ml for one in CUTOFFS
        ),
        lesion_volumes_ml=tuple(int((lesion >= one).sum()) * ml for one in CUTOFFS)
        if suspected
        else None,
    )
