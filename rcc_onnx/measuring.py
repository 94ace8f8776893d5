"""Takes the measurements of one side on the masks of a case (docs/outputs.md)."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from rcc_onnx.findings import CropImage, NetworkImages, PatientImages, SideFinding
from rcc_onnx.lesions import bound_lesion
from rcc_onnx.masks import KIDNEYS, SUSPECTED, half_of
from rcc_onnx.measures import (
    Diameter,
    KidneyMeasures,
    LesionMeasures,
    Position,
    Sensitivity,
    SideMeasures,
    SourceBox,
)
from rcc_onnx.placement import NOWHERE, Placement
from rcc_onnx.values import Outcome, Side, Structure

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
    half = half_of(side)
    own = np.zeros(patient.labels.shape, np.uint8)
    own[half] = patient.labels[half]
    kidney = own == KIDNEYS[side]
    crop = network.crops.get(side)
    return SideMeasures(
        KidneyMeasures(volume_ml(kidney, patient.placement), _mean_hu(patient, kidney)),
        None if crop is None else _lesion(own == Structure.SUSPECTED_LESION, crop, patient),
        None
        if crop is None
        else _sensitivity(side, finding, network, patient.placement, lesion_threshold),
    )


def mean_kidney_hu(patient: PatientImages) -> float | None:
    """Mean HU of all found kidneys without suspected lesions; None without a voxel."""
    kidneys = (Structure.RIGHT_KIDNEY, Structure.LEFT_KIDNEY)
    return _mean_hu(patient, np.isin(patient.labels, kidneys))


def volume_ml(mask: Mask, placement: Placement) -> float:
    """Volume of a mask (depth, 160, 160) once pasted into the source series."""
    z, y, x = (counts.astype(np.float64) for counts in placement.counts)
    voxels = float(z @ ((mask.astype(np.float64) @ x) @ y))
    return voxels * placement.voxel_mm3 / MM3_PER_ML


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
    parts.sort(key=len, reverse=True)
    masks = []
    for part in parts:
        one = np.zeros(mask.shape, np.bool_)
        one[tuple(np.array(part).T)] = True
        masks.append(one)
    return masks


def _lesion(mask: Mask, crop: CropImage, patient: PatientImages) -> LesionMeasures | None:
    placement = patient.placement
    # Blank slices are no place in the patient.
    mask = mask & (placement.counts[0] > 0)[:, None, None]
    parts = parts_of(mask[crop.where])
    if not parts:
        return None
    largest = np.zeros(mask.shape, np.bool_)
    largest[crop.where] = parts[0]
    hu = _mean_hu(patient, mask)
    if hu is None:
        raise AssertionError("a slice of the study without HU")
    return LesionMeasures(
        volume_ml=volume_ml(mask, placement),
        parts=len(parts),
        diameter=_longest_diameter(largest, placement),
        centre_lps_mm=_centre(largest, placement),
        box=_box(largest, placement),
        touches_crop_border=_reaches_border(mask[crop.where]),
        mean_hu=hu,
    )


def _mean_hu(patient: PatientImages, mask: Mask) -> float | None:
    values = patient.hu[mask]
    values = values[~np.isnan(values)]
    return float(values.mean(dtype=np.float64)) if values.size else None


def _reaches_border(crop: Mask) -> bool:
    return any(bool(np.take(crop, end, axis).any()) for axis in range(3) for end in (0, -1))


def _ends(placement: Placement) -> list[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """For each axis the first and the last source index of each place; 0 and -1 for none."""
    ends = []
    for places, counts in zip(placement.places, placement.counts, strict=True):
        shown = np.flatnonzero(places != NOWHERE)
        first = np.zeros(counts.size, np.intp)
        # Indices rise with places, so those of a place follow one another; the first stays.
        first[places[shown][::-1]] = shown[::-1]
        ends.append((first, first + counts - 1))
    return ends


def _longest_diameter(mask: Mask, placement: Placement) -> Diameter:
    """Of a mask with at least one voxel. Of equals the one nearest to the head."""
    (_, _), rows, columns = _ends(placement)
    best = (-1.0, 0, np.zeros((2, 3)))
    for z in np.flatnonzero(mask.any(axis=(1, 2))):
        # The two voxels farthest apart lie at the ends of rows.
        y = np.flatnonzero(mask[z].any(axis=1))
        left = columns[0][mask[z, y].argmax(axis=1)]
        right = columns[1][mask.shape[2] - 1 - mask[z, y, ::-1].argmax(axis=1)]
        index = placement.source_slice(int(z))
        points = np.array(
            [(index, row, column) for r in rows for c in (left, right)
             for row, column in zip(r[y], c, strict=True)], np.float64
        )  # fmt: skip
        lps = placement.to_lps(points)
        distances = np.linalg.norm(lps[:, None] - lps[None], axis=2)
        one, other = np.unravel_index(int(distances.argmax()), distances.shape)
        if distances[one, other] > best[0]:
            best = (float(distances[one, other]), index, points[[one, other]])
    length, index, ends = best
    image = placement.images[index]
    one_end, other_end = (_position(end) for end in placement.to_lps(ends))
    files = [
        placement.file_pixels((int(row), int(row)), (int(column), int(column)))
        for _, row, column in ends
    ]
    (one_row, one_column), (other_row, other_column) = files
    return Diameter(
        length_mm=length,
        slice=index,
        sop_instance_uid=image.sop_instance_uid,
        frame=image.frame,
        ends_lps_mm=(one_end, other_end),
        ends_file=((one_row[0], one_column[0]), (other_row[0], other_column[0])),
    )


def _centre(mask: Mask, placement: Placement) -> Position:
    """Centre of mass of a mask with at least one voxel, once pasted."""
    places = np.argwhere(mask)
    weights = np.ones(len(places))
    middles = []
    for axis, (first, last) in enumerate(_ends(placement)):
        at = places[:, axis]
        weights *= placement.counts[axis][at]
        middles.append((first[at] + last[at]) / 2)
    zyx = np.average(np.stack(middles, axis=1), axis=0, weights=weights)
    return _position(placement.to_lps(zyx))


def _box(mask: Mask, placement: Placement) -> SourceBox:
    spans = []
    for axis, (first, last) in enumerate(_ends(placement)):
        others = tuple(other for other in range(3) if other != axis)
        places = np.flatnonzero(mask.any(axis=others) & (placement.counts[axis] > 0))
        spans.append((int(first[places[0]]), int(last[places[-1]])))
    slices, rows, columns = spans
    edges = [(low - 0.5, high + 0.5) for low, high in spans]
    corners = placement.to_lps(
        np.array([(z, y, x) for z in edges[0] for y in edges[1] for x in edges[2]])
    )
    file_rows, file_columns = placement.file_pixels(rows, columns)
    images = placement.images
    return SourceBox(
        slices=slices,
        sop_instance_uids=(
            images[slices[0]].sop_instance_uid,
            images[slices[1]].sop_instance_uid,
        ),
        rows=file_rows,
        columns=file_columns,
        lowest_lps_mm=_position(corners.min(axis=0)),
        highest_lps_mm=_position(corners.max(axis=0)),
    )


def _position(xyz: NDArray[np.float64]) -> Position:
    x, y, z = xyz.tolist()
    return x, y, z


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
    crop = network.crops[side]
    kidney = np.zeros(network.kidney_probability.shape, np.float32)
    kidney[half_of(side)] = network.kidney_probability[half_of(side)]
    lesion = np.zeros(kidney.shape, np.float32)
    suspected = finding.outcome in SUSPECTED
    if suspected:
        lesion[crop.where] = crop.probability
    volumes = _volumes_by_cutoff(placement, kidney, lesion)
    located = bound_lesion(crop.probability) is not None
    over = Outcome.LESION if located else Outcome.LESION_NOT_LOCATED
    thresholds = [factor * lesion_threshold for factor in THRESHOLD_FACTORS]
    found = finding.lesion.probability_sum
    return Sensitivity(
        thresholds=tuple(thresholds),
        outcomes=tuple(over if found > one else Outcome.NO_LESION for one in thresholds),
        cutoffs=CUTOFFS,
        kidney_volumes_ml=volumes(lambda k, le, cut: (k >= cut) & ~(le >= cut)),
        lesion_volumes_ml=volumes(lambda _, le, cut: le >= cut) if suspected else None,
    )


def _volumes_by_cutoff(
    placement: Placement, kidney: NDArray[np.float32], lesion: NDArray[np.float32]
) -> Callable[[Callable[..., Mask]], tuple[float, ...]]:
    """Volumes at each cut-off of the voxels of one side that a condition on probabilities picks."""
    # Most voxels are neither: looking at the others alone takes a hundredth of the time.
    z, y, x = np.nonzero((kidney >= CUTOFFS[0]) | (lesion >= CUTOFFS[0]))
    counts = placement.counts
    voxels = counts[0][z] * counts[1][y] * counts[2][x]
    kidney_there, lesion_there = kidney[z, y, x], lesion[z, y, x]
    ml = placement.voxel_mm3 / MM3_PER_ML

    def volumes(picks: Callable[..., Mask]) -> tuple[float, ...]:
        return tuple(
            float(voxels[picks(kidney_there, lesion_there, cutoff)].sum() * ml)
            for cutoff in CUTOFFS
        )

    return volumes
