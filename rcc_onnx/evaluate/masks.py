"""Predicted masks against reference masks: Dice and surface distances of every structure."""

import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rcc_onnx.errors import MaskError
from rcc_onnx.evaluate.distances import SurfaceDistances, dice, surface_distances
from rcc_onnx.evaluate.grids import box_of_drawn, grown, onto_grid, voxel_volume_ml
from rcc_onnx.evaluate.labels import few, same_name
from rcc_onnx.evaluate.mask_files import Mapped, Mask, Structure, read_mask

PREDICTED = ("{}_mask.nii.gz", "{}_seg.dcm")
"""Files of a case in the results; the first that is there is read."""
REFERENCE = ("{}.nii.gz", "{}.nii", "{}.dcm")

Voxels = NDArray[np.uint8]


@dataclass(frozen=True)
class Comparison:
    """One structure of one case.

    Attributes:
        reference_ml, predicted_ml: volumes; 0 where the structure is not drawn.
        dice: None where neither mask has the structure.
        distances: None unless both have it.
    """

    case: str
    structure: str
    reference_ml: float
    predicted_ml: float
    dice: float | None
    distances: SurfaceDistances | None


@dataclass(frozen=True)
class Pair:
    """Two masks on one grid, cut to what either marks; values are `Structure`.

    Attributes:
        affine: 4x4, indices to mm, but for where the first voxel lies.
        tells_sides: whether both tell right from left.
    """

    predicted: Voxels
    reference: Voxels
    affine: NDArray[np.float64]
    tells_sides: bool


@dataclass(frozen=True)
class RefusedMask:
    case: str
    code: str
    reason: str


@dataclass(frozen=True)
class MaskResults:
    """What came of all masks; every case of the evaluation is in exactly one of the first four.

    Attributes:
        compared: cases, whose structures are in `comparisons`.
        sides_swapped: cases whose right kidney fits the other mask's left one better, and the
            other way round.
    """

    compared: tuple[str, ...]
    without_prediction: tuple[str, ...]
    without_reference: tuple[str, ...]
    refused: tuple[RefusedMask, ...]
    comparisons: tuple[Comparison, ...]
    sides_swapped: tuple[str, ...]


@dataclass(frozen=True)
class Summary:
    """A structure over all cases.

    Attributes:
        dice: of the cases whose reference has the structure; 0 where nothing was predicted.
        missed: of these, how many were not predicted at all.
        only_predicted: cases where the prediction has it and the reference has not.
        mean_mm, hausdorff_95_mm: of the cases where both have it.
    """

    structure: str
    dice: tuple[float, ...]
    missed: int
    only_predicted: int
    mean_mm: tuple[float, ...]
    hausdorff_95_mm: tuple[float, ...]


def compare_masks(
    cases: Sequence[str],
    out: Path,
    references: Path,
    mapping: Mapped | None,
    progress: Callable[[str], object] = lambda case: None,
) -> MaskResults:
    """Compare the masks of cases, one case after the other. A bad mask stops no other case.

    Args:
        cases: names of the results.
        out: the folder with the predicted masks.
        references: the folder with the reference masks.
        mapping: values of the reference masks; see `read_mask`.
        progress: told each case before it is compared.

    Raises:
        MaskError (masks-missing): no such folder, or there is no pair of masks at all.
    """
    if not references.is_dir():
        raise MaskError(f"--masks: {references} is no folder", code="masks-missing")
    files = _by_name(references)
    no_prediction: list[str] = []
    no_reference: list[str] = []
    compared, swapped = [], []
    refused: list[RefusedMask] = []
    comparisons: list[Comparison] = []
    for case in cases:
        predicted = next((path for path in _named(out, case, PREDICTED) if path.is_file()), None)
        found = [files[name] for name in _names(case, REFERENCE) if name in files]
        if predicted is None or not found:
            (no_reference if predicted else no_prediction).append(case)
            continue
        progress(case)
        try:
            pair = _read_pair(predicted, found, mapping)
            comparisons += compare_pair(case, pair)
        except MaskError as error:
            refused.append(RefusedMask(case, error.code, str(error)))
            continue
        compared.append(case)
        if sides_look_swapped(pair):
            swapped.append(case)
    if not compared and not refused:
        raise MaskError(
            _nothing_words(out, references, no_prediction, no_reference), code="masks-missing"
        )
    groups = (tuple(compared), tuple(no_prediction), tuple(no_reference), tuple(refused))
    return MaskResults(*groups, tuple(comparisons), tuple(swapped))


def _names(case: str, patterns: Iterable[str]) -> list[str]:
    return [same_name(pattern.format(case)) for pattern in patterns]


def _named(folder: Path, case: str, patterns: Iterable[str]) -> list[Path]:
    return [folder / pattern.format(case) for pattern in patterns]


def _by_name(folder: Path) -> dict[str, Path]:
    return {same_name(path.name): path for path in sorted(folder.iterdir()) if path.is_file()}


def _nothing_words(
    out: Path, references: Path, no_prediction: Sequence[str], no_reference: Sequence[str]
) -> str:
    if no_reference:
        return (
            f"{references} holds no reference mask of these cases, such as "
            f"{no_reference[0]}.nii.gz, .nii or .dcm"
        )
    return (
        f"{out} holds no predicted mask, such as {few(no_prediction[:1])}_mask.nii.gz; analyse the "
        "cases with --save nifti"
    )


def _read_pair(predicted: Path, references: Sequence[Path], mapping: Mapped | None) -> Pair:
    """The prediction, and the reference on its grid."""
    if len(references) > 1:
        raise MaskError(
            f"there are {len(references)} reference masks, {few(one.name for one in references)}; "
            "keep one",
            code="mask-unreadable",
        )
    (path,) = references
    ours = _told_of(predicted, lambda: read_mask(predicted, None))
    theirs = _told_of(path, lambda: read_mask(path, mapping))
    target = grown(ours.image, theirs.image)
    reference = onto_grid(theirs.image, target)
    box = box_of_drawn(target.values, reference)
    tells_sides = ours.tells_sides and theirs.tells_sides
    return Pair(target.values[box], reference[box], target.affine, tells_sides)


def _told_of(path: Path, read: Callable[[], Mask]) -> Mask:
    """Errors of a file with its name."""
    try:
        return read()
    except MaskError as error:
        raise MaskError(f"{path.name}: {error}", code=error.code) from error


def compare_pair(case: str, pair: Pair) -> tuple[Comparison, ...]:
    """Every structure of one case."""
    kidneys = (Structure.RIGHT, Structure.LEFT, Structure.KIDNEY)
    structures: dict[str, tuple[Structure, ...]] = {
        "right kidney": (Structure.RIGHT,),
        "left kidney": (Structure.LEFT,),
    }
    if not pair.tells_sides:
        structures = {"kidneys": kidneys}
    structures |= {
        "suspected lesion": (Structure.LESION,),
        "kidneys with lesion": (*kidneys, Structure.LESION),
    }
    return tuple(_compare(case, name, pair, values) for name, values in structures.items())


def _compare(case: str, name: str, pair: Pair, values: tuple[Structure, ...]) -> Comparison:
    ours, theirs = np.isin(pair.predicted, values), np.isin(pair.reference, values)
    voxel_ml = voxel_volume_ml(pair.affine)
    return Comparison(
        case=case,
        structure=name,
        reference_ml=int(theirs.sum()) * voxel_ml,
        predicted_ml=int(ours.sum()) * voxel_ml,
        dice=dice(ours, theirs),
        distances=surface_distances(ours, theirs, pair.affine),
    )


def sides_look_swapped(pair: Pair) -> bool:
    """Whether each side of the prediction shares more with the reference's other side."""
    if not pair.tells_sides:
        return False

    def shared(one: Structure, other: Structure) -> int:
        return int(((pair.predicted == one) & (pair.reference == other)).sum())

    right, left = Structure.RIGHT, Structure.LEFT
    return shared(right, left) + shared(left, right) > shared(right, right) + shared(left, left)


def summaries(results: MaskResults) -> tuple[Summary, ...]:
    """One for each structure that was compared in any case."""
    names = dict.fromkeys(one.structure for one in results.comparisons)
    return tuple(
        _summary(name, [one for one in results.comparisons if one.structure == name])
        for name in names
    )


def _summary(name: str, found: Sequence[Comparison]) -> Summary:
    there = [one for one in found if one.reference_ml]
    distances = [one.distances for one in found if one.distances is not None]
    return Summary(
        structure=name,
        dice=tuple(one.dice or 0.0 for one in there),
        missed=sum(not one.predicted_ml for one in there),
        only_predicted=sum(bool(one.predicted_ml) and not one.reference_ml for one in found),
        mean_mm=tuple(one.mean_mm for one in distances),
        hausdorff_95_mm=tuple(one.hausdorff_95_mm for one in distances),
    )


def mean_and_median(values: Sequence[float]) -> tuple[float, float] | None:
    """None of no values."""
    return (statistics.fmean(values), statistics.median(values)) if values else None
