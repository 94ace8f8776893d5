"""Predicted masks compared with reference masks: Dice and surface distances of every structure.

A reference mask is resampled onto the grid of the predicted one by their affines. A voxel belongs
to the position of its centre; nearest neighbour, so labels stay labels.
"""

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rcc_onnx.errors import MaskError
from rcc_onnx.evaluate.labels import few, same_name
from rcc_onnx.evaluate.mask_files import (
    Mask,
    MaskValue,
    ValueMapping,
    bounding_box,
    nearest_values,
    read_mask,
)

PREDICTED = ("{}_mask.nii.gz", "{}_seg.dcm")
"""Files of a case in the results; the first that exists is read."""
REFERENCE = ("{}.nii.gz", "{}.nii", "{}.dcm")
LEAST_SHARED = 0.9
"""Two grids of one series share all of their volume. This much of the smaller one must be inside
the other: a few slices more or less are common, a mask of another place is not."""
MOST_LOST = 0.01
"""This much of what one mask marks may be outside the other's grid: rounding at the edges."""
MOST_ADDED_MM = 500.0
"""Most that slices are added to a grid without its empty ones: more than an abdomen is wrong."""
SAME_AFFINE = 1e-4
"""mm. NIfTI keeps affines in float32; resampling would not move a label by so little."""
_KIDNEYS = (MaskValue.RIGHT, MaskValue.LEFT, MaskValue.KIDNEY)

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Comparison:
    """One structure of one case.

    Attributes:
        reference_ml, predicted_ml: volumes; 0 where the structure is not marked.
        dice: None where neither mask has the structure.
        mean_mm, hausdorff_95_mm: None unless both have it.
    """

    case: str
    structure: str
    reference_ml: float
    predicted_ml: float
    dice: float | None
    mean_mm: float | None
    hausdorff_95_mm: float | None


@dataclass(frozen=True)
class Average:
    """Mean and median over so many cases; None over none."""

    of: int
    mean: float | None
    median: float | None


@dataclass(frozen=True)
class StructureSummary:
    """A structure over all cases.

    Attributes:
        cases: whose reference has it.
        missed: of these, how many were not predicted at all.
        only_predicted: cases where the prediction has it and the reference does not.
        dice: of `cases`; 0 where nothing was predicted.
        mean_mm, hausdorff_95_mm: of the cases where both have it.
    """

    structure: str
    cases: int
    missed: int
    only_predicted: int
    dice: Average
    mean_mm: Average
    hausdorff_95_mm: Average


@dataclass(frozen=True)
class RefusedMask:
    """A case whose masks cannot be compared, and why."""

    case: str
    code: str
    reason: str


@dataclass(frozen=True)
class MaskResults:
    """The comparison of all masks; every case is in exactly one of the first four.

    Attributes:
        sides_look_swapped: cases whose right kidney fits the other mask's left one better, and the
            other way round.
        structures: over all cases.
        cases: every structure of every compared case.
    """

    compared: tuple[str, ...]
    without_prediction: tuple[str, ...]
    without_reference: tuple[str, ...]
    refused: tuple[RefusedMask, ...]
    sides_look_swapped: tuple[str, ...]
    structures: tuple[StructureSummary, ...]
    cases: tuple[Comparison, ...]


def compare_masks(
    cases: Sequence[str],
    out: Path,
    references: Path,
    mapping: ValueMapping | None,
    on_case: Callable[[str], object] = lambda case: None,
) -> MaskResults:
    """Compare the masks of cases, one after the other. A bad mask does not stop the others.

    Args:
        cases: names of the results.
        out: the folder with the predicted masks.
        references: the folder with the reference masks.
        mapping: values of the reference masks; see `read_mask`.
        on_case: called with each case before it is compared.

    Raises:
        MaskError (masks-missing): no such folder, or there is no pair of masks at all.
    """
    predicted, known = _find_masks(cases, out, references)
    no_prediction = tuple(case for case in cases if case not in predicted)
    no_reference = tuple(case for case in predicted if not known[case])
    pairs = [case for case in predicted if known[case]]
    if not pairs:
        raise MaskError(
            f"{references} holds no reference mask of these cases, such as "
            f"{no_reference[0]}.nii.gz, .nii or .dcm"
            if no_reference
            else f"{out} holds no predicted mask, such as {few(no_prediction[:1])}_mask.nii.gz; "
            "analyse the cases with --save nifti",
            code="masks-missing",
        )
    refused: list[RefusedMask] = []
    comparisons: list[Comparison] = []
    swapped = []
    for case in pairs:
        on_case(case)
        try:
            ours, theirs = _read_pair(predicted[case], known[case], mapping)
        except MaskError as error:
            refused.append(RefusedMask(case, error.code, str(error)))
            continue
        comparisons += compare_pair(case, ours, theirs)
        if _sides_look_swapped(ours, theirs):
            swapped.append(case)
    return MaskResults(
        compared=tuple(dict.fromkeys(comparison.case for comparison in comparisons)),
        without_prediction=no_prediction,
        without_reference=no_reference,
        refused=tuple(refused),
        sides_look_swapped=tuple(swapped),
        structures=_summaries(comparisons),
        cases=tuple(comparisons),
    )


def _find_masks(
    cases: Sequence[str], out: Path, references: Path
) -> tuple[dict[str, Path], dict[str, list[Path]]]:
    """Return the predicted mask of each case that has one, and all reference masks of each case."""
    if not references.is_dir():
        raise MaskError(f"--masks: {references} is not a folder", code="masks-missing")
    files = {same_name(path.name): path for path in sorted(references.iterdir()) if path.is_file()}
    predicted = {
        case: path
        for case in cases
        for path in [out / pattern.format(case) for pattern in reversed(PREDICTED)]
        if path.is_file()
    }
    known = {}
    for case in cases:
        names = (same_name(pattern.format(case)) for pattern in REFERENCE)
        known[case] = [files[name] for name in names if name in files]
    return predicted, known


def _read_pair(
    predicted: Path, references: Sequence[Path], mapping: ValueMapping | None
) -> tuple[Mask, Mask]:
    """Return the prediction and the reference on one grid, cut to what either marks."""
    if len(references) > 1:
        raise MaskError(
            f"there are {len(references)} reference masks, "
            f"{few(path.name for path in references)}; keep one",
            code="mask-unreadable",
        )
    ours, theirs = read_mask(predicted, None), read_mask(references[0], mapping)
    ours = add_empty_slices(ours, theirs)
    reference = resample(theirs, ours)
    box = bounding_box(ours.values, reference)
    cut = replace(ours, values=ours.values[box])
    return cut, replace(cut, values=reference[box], has_sides=theirs.has_sides)


def compare_pair(case: str, predicted: Mask, reference: Mask) -> list[Comparison]:
    """Compare every structure of two masks on one grid."""
    structures: dict[str, tuple[MaskValue, ...]] = {
        "right kidney": (MaskValue.RIGHT,),
        "left kidney": (MaskValue.LEFT,),
    }
    if not (predicted.has_sides and reference.has_sides):
        structures = {"kidneys": _KIDNEYS}
    structures |= {
        "suspected lesion": (MaskValue.LESION,),
        "kidneys with lesion": (*_KIDNEYS, MaskValue.LESION),
    }
    found = []
    for name, values in structures.items():
        ours, theirs = np.isin(predicted.values, values), np.isin(reference.values, values)
        distances = surface_distances(ours, theirs, predicted.affine)
        mean_mm, hausdorff_95_mm = distances or (None, None)
        found.append(
            Comparison(
                case=case,
                structure=name,
                reference_ml=int(theirs.sum()) * predicted.voxel_ml,
                predicted_ml=int(ours.sum()) * predicted.voxel_ml,
                dice=dice(ours, theirs),
                mean_mm=mean_mm,
                hausdorff_95_mm=hausdorff_95_mm,
            )
        )
    return found


def _sides_look_swapped(predicted: Mask, reference: Mask) -> bool:
    """Return whether each side of the prediction shares more with the reference's other side."""
    if not (predicted.has_sides and reference.has_sides):
        return False

    def shared(ours: MaskValue, theirs: MaskValue) -> int:
        return int(((predicted.values == ours) & (reference.values == theirs)).sum())

    right, left = MaskValue.RIGHT, MaskValue.LEFT
    return shared(right, left) + shared(left, right) > shared(right, right) + shared(left, left)


def _summaries(comparisons: Sequence[Comparison]) -> tuple[StructureSummary, ...]:
    """Return a summary of each structure that was compared in any case."""
    found = []
    for name in dict.fromkeys(comparison.structure for comparison in comparisons):
        every = [comparison for comparison in comparisons if comparison.structure == name]
        there = [comparison for comparison in every if comparison.reference_ml]
        found.append(
            StructureSummary(
                structure=name,
                cases=len(there),
                missed=sum(not comparison.predicted_ml for comparison in there),
                only_predicted=sum(
                    bool(comparison.predicted_ml) and not comparison.reference_ml
                    for comparison in every
                ),
                dice=_average([comparison.dice for comparison in there]),
                mean_mm=_average([comparison.mean_mm for comparison in every]),
                hausdorff_95_mm=_average([comparison.hausdorff_95_mm for comparison in every]),
            )
        )
    return tuple(found)


def _average(values: Sequence[float | None]) -> Average:
    known = [value for value in values if value is not None]
    if not known:
        return Average(0, None, None)
    return Average(len(known), statistics.fmean(known), statistics.median(known))


# --- Dice and distances, of bool arrays of one shape ---------------------------------------------


def dice(ours: Bools, theirs: Bools) -> float | None:
    """Return twice what two masks share over the sum of both; None where both are empty."""
    total = int(ours.sum()) + int(theirs.sum())
    return 2 * int((ours & theirs).sum()) / total if total else None


def surface_distances(ours: Bools, theirs: Bools, affine: Floats) -> tuple[float, float] | None:
    """Return mean and 95 % Hausdorff distance of two surfaces in mm; None where a mask is empty.

    The surface of a mask is its voxels that share a face with a voxel outside of it; outside the
    image is outside. Distances are from the centre of each to the nearest centre of the other
    surface. The mean is over the voxels of both surfaces, the Hausdorff distance the larger of the
    two directions' 95th percentiles. `affine` (4x4) takes indices to mm.
    """
    if not ours.any() or not theirs.any():
        return None
    from scipy.ndimage import binary_erosion  # noqa: PLC0415  an extra
    from scipy.spatial import KDTree  # noqa: PLC0415

    first, second = (
        np.argwhere(mask & ~binary_erosion(mask)) @ affine[:3, :3].T for mask in (ours, theirs)
    )
    there, back = KDTree(second).query(first)[0], KDTree(first).query(second)[0]
    mean = np.concatenate([there, back]).mean()
    return float(mean), float(max(np.percentile(there, 95), np.percentile(back, 95)))


# --- One grid for both masks ---------------------------------------------------------------------


def add_empty_slices(target: Mask, reference: Mask) -> Mask:
    """Return the target with the slices that it left out and the reference needs.

    Raises:
        MaskError (mask-place): they are too far apart to be of one scan.
    """
    points = _marked(reference) if target.is_cropped else np.empty((3, 0))
    if not points.size:
        return target
    to_target = _index_map(reference, target)
    slices = to_target[0, :3] @ points + to_target[0, 3]
    before = max(0, math.ceil(-float(slices.min()) - 0.5))
    after = max(0, math.ceil(float(slices.max()) - 0.5) - (target.values.shape[0] - 1))
    if max(before, after) * np.linalg.norm(target.affine[:3, 0]) > MOST_ADDED_MM:
        raise MaskError(
            f"what the reference mask marks is more than {MOST_ADDED_MM:.0f} mm away from the "
            "predicted mask; they are not of one series, or one of the affines is wrong",
            code="mask-place",
        )
    shift = np.eye(4, dtype=np.float64)
    shift[0, 3] = -before
    values = np.pad(target.values, ((before, after), (0, 0), (0, 0)))
    return replace(target, values=values, affine=target.affine @ shift)


def resample(reference: Mask, target: Mask) -> NDArray[np.uint8]:
    """Return the reference's values at the centres of the target's voxels; 0 outside its grid.

    The target must hold the reference's slices (`add_empty_slices`).

    Raises:
        MaskError (mask-place): the positions differ, or a part of one mask is outside the other's
            grid and would be lost.
    """
    if reference.frame_uid and target.frame_uid and reference.frame_uid != target.frame_uid:
        raise MaskError(
            "the reference mask and the predicted mask have different Frame of Reference UIDs; "
            "they are not of one scan",
            code="mask-place",
        )
    same_shape = reference.values.shape == target.values.shape
    if same_shape and np.allclose(reference.affine, target.affine, rtol=0, atol=SAME_AFFINE):
        return reference.values
    shared = max(_share_inside(reference, target), _share_inside(target, reference))
    if shared < LEAST_SHARED:
        raise MaskError(
            f"the reference mask and the predicted mask share {shared:.0%} of the smaller grid; "
            "they are not of one series, or one of the affines is wrong",
            code="mask-place",
        )
    lost = _share_marked_outside(reference, target)
    if lost > MOST_LOST:
        raise MaskError(
            f"{lost:.0%} of what the reference mask marks is outside the analysed series; give a "
            "reference mask of this series",
            code="mask-place",
        )
    lost = 0.0 if reference.is_cropped else _share_marked_outside(target, reference)
    if lost > MOST_LOST:
        raise MaskError(
            f"{lost:.0%} of what the predicted mask marks is outside the reference mask's grid; "
            "give a reference mask that covers the analysed series",
            code="mask-place",
        )
    return nearest_values(reference, target.values.shape, target.affine)


def _index_map(from_mask: Mask, to_mask: Mask) -> Floats:
    """Return the 4x4 map from indices of one grid to indices of the other."""
    return np.asarray(np.linalg.solve(to_mask.affine, from_mask.affine), np.float64)


def _marked(mask: Mask) -> Floats:
    """Return the indices (3, n) of the voxels that are marked."""
    box = bounding_box(mask.values)
    inside = np.stack(np.nonzero(mask.values[box])).astype(np.float64)
    return np.asarray(inside + np.array([[part.start] for part in box]), np.float64)


def _share_inside(ours: Mask, theirs: Mask) -> float:
    """Return the share of one grid's volume inside the other, probed at 33 points per axis."""
    probes = [np.linspace(-0.5, size - 0.5, 33) for size in ours.values.shape]
    points = np.stack(np.meshgrid(*probes, indexing="ij")).reshape(3, -1)
    return float(_is_inside(points, ours, theirs).mean())


def _share_marked_outside(ours: Mask, theirs: Mask) -> float:
    """Return the share of the voxels marked in one mask whose centres the other's grid lacks."""
    points = _marked(ours)
    return float(1 - _is_inside(points, ours, theirs).mean()) if points.size else 0.0


def _is_inside(points: Floats, ours: Mask, theirs: Mask) -> Bools:
    """Return whether indices (3, n) of one grid are in a voxel of the other."""
    to_theirs = _index_map(ours, theirs)
    there = to_theirs[:3, :3] @ points + to_theirs[:3, 3:]
    sizes = np.array(theirs.values.shape)[:, None]
    # Half a voxel beyond the outer centres; probes are exactly on that edge.
    edge = 0.5 + 1e-6
    inside: Bools = np.all((there >= -edge) & (there <= sizes - 1 + edge), axis=0)
    return inside
