"""Masks read from NIfTI and DICOM SEG.

Within an evaluation the values of a mask are `MaskValue`. Files may use others, which a mapping
explains.
"""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rcc_onnx.errors import MaskError, MissingExtraError, OptionError
from rcc_onnx.evaluate import require
from rcc_onnx.evaluate.labels import few

if TYPE_CHECKING:
    from highdicom.seg import Segmentation

MOST_VOXELS = 1 << 30
"""More than a thousand slices of 1024x1024: a mistake, or an attack."""
KIDNEY_CODES = {("SCT", "64033007"), ("SRT", "T-71000")}
SIDE_CODES = {
    ("SCT", "24028007"): "right",
    ("SRT", "G-A100"): "right",
    ("SCT", "7771000"): "left",
    ("SRT", "G-A101"): "left",
}
ABNORMAL_CODES = {("SCT", "49755003"), ("SRT", "M-01000")}
"""Morphologically Abnormal Structure: the category of lesions (PS3.16 CID 7150)."""
RAS_FROM_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
INVERTIBLE = 1e-9
"""mm³. A smaller determinant of an affine leaves a voxel without volume."""


class MaskValue(IntEnum):
    """Values of a mask. `KIDNEY` is a kidney whose side is not known."""

    BACKGROUND = 0
    RIGHT = 1
    LEFT = 2
    LESION = 3
    KIDNEY = 4


VALUES_BY_NAME = {value.name.lower(): value for value in MaskValue}
ValueMapping = Mapping[int, MaskValue]
OWN_VALUES: ValueMapping = {1: MaskValue.RIGHT, 2: MaskValue.LEFT, 3: MaskValue.LESION}
"""The values of masks that `rcc-onnx infer --save nifti` writes."""


@dataclass(frozen=True)
class Mask:
    """A mask on a grid in the patient.

    Attributes:
        values: uint8 of `MaskValue`, three axes.
        affine: 4x4, from voxel indices to mm, RAS as in NIfTI.
        has_sides: whether it distinguishes right and left.
        is_cropped: slices (first axis) before the first and after the last may have been left out
            because nothing is marked on them, as in DICOM SEG; outside is background.
        frame_uid: DICOM's Frame of Reference UID, if known.
    """

    values: NDArray[np.uint8]
    affine: NDArray[np.float64]
    has_sides: bool = True
    is_cropped: bool = False
    frame_uid: str | None = None

    def __post_init__(self) -> None:
        if self.values.ndim != 3 or 0 in self.values.shape or self.affine.shape != (4, 4):
            raise ValueError(f"a mask has three axes, not {self.values.shape}")
        if not np.isfinite(self.affine).all() or self.voxel_ml * 1000 < INVERTIBLE:
            raise MaskError("its affine takes voxels to no place in space", code="mask-place")

    @property
    def voxel_ml(self) -> float:
        """Volume of a voxel in millilitres."""
        return float(abs(np.linalg.det(self.affine[:3, :3]))) / 1000


def bounding_box(*masks: NDArray[Any]) -> tuple[slice, ...]:
    """Return the smallest box around what any mask marks, and a voxel more where there is one."""
    box = []
    for axis in range(3):
        others = tuple(other for other in range(3) if other != axis)
        marked = np.flatnonzero(np.any([mask.any(axis=others) for mask in masks], axis=0))
        first, last = (int(marked[0]), int(marked[-1])) if marked.size else (0, 0)
        box.append(slice(max(0, first - 1), last + 2))
    return tuple(box)


def nearest_values(
    mask: Mask, shape: tuple[int, ...], affine: NDArray[np.float64]
) -> NDArray[np.uint8]:
    """Return the mask's values at the centres of another grid's voxels; 0 outside its own grid."""
    import nibabel.processing  # noqa: PLC0415  an extra

    library: Any = nibabel
    resampled = library.processing.resample_from_to(
        library.Nifti1Image(mask.values, mask.affine),
        (shape, affine),
        order=0,
        # Beyond the outermost centres a voxel goes on for half its size.
        mode="grid-constant",
    )
    return np.asarray(resampled.dataobj, np.uint8)


def parse_mapping(text: str) -> ValueMapping:
    """Return the mapping in `--mask-labels`, such as "1=right,2=left,3=lesion".

    Raises:
        OptionError: it is something else, or names a value twice.
    """
    found: dict[int, MaskValue] = {}
    for part in text.split(","):
        value, _, word = (piece.strip() for piece in part.partition("="))
        meaning = VALUES_BY_NAME.get(word.lower())
        if not (value.isdecimal() and 0 < int(value) < 256 and meaning is not None):
            raise OptionError(
                f"--mask-labels: {part.strip()!r} is not VALUE=WORD with a value from 1 to 255 and "
                f"one of {', '.join(VALUES_BY_NAME)}; for example 1=right,2=left,3=lesion"
            )
        if int(value) in found:
            raise OptionError(f"--mask-labels names the value {value} twice")
        found[int(value)] = meaning
    return found


def read_mask(path: Path, mapping: ValueMapping | None) -> Mask:
    """Read a `.nii`, `.nii.gz` or `.dcm` mask.

    Args:
        path: the file, of the kind that its suffix names.
        mapping: the meaning of its values, or of the segment numbers of a SEG. None: `OWN_VALUES`,
            or the codes of a SEG.

    Raises:
        MaskError: it cannot be read, has no position, or holds values of unknown meaning. The
            message begins with the file's name.
        MissingExtraError: it is a SEG, and highdicom is not installed.
    """
    try:
        # Warnings of the libraries may quote a patient's data.
        with warnings.catch_warnings(action="ignore"):
            if path.suffix == ".dcm":
                return _read_seg(path, mapping)
            return _read_nifti(path, mapping or OWN_VALUES)
    except (MissingExtraError, MemoryError):
        raise
    except MaskError as error:
        raise MaskError(f"{path.name}: {error}", code=error.code) from error
    except Exception as error:
        # Damaged files make the libraries raise anything, with words that may be a patient's.
        kind = "DICOM SEG" if path.suffix == ".dcm" else "NIfTI"
        raise MaskError(
            f"{path.name}: it cannot be read ({type(error).__name__}); give a whole {kind} file",
            code="mask-unreadable",
        ) from error


def _read_nifti(path: Path, mapping: ValueMapping) -> Mask:
    import nibabel  # noqa: PLC0415  an extra

    image: Any = nibabel.load(path)
    if not isinstance(image, nibabel.Nifti1Image):  # its subclass Nifti2Image too
        raise MaskError("it is not a NIfTI file", code="mask-unreadable")
    if not (int(image.header["sform_code"]) or int(image.header["qform_code"])):
        raise MaskError(
            "its header has neither sform nor qform, so it has no place in space", code="mask-place"
        )
    shape = image.shape
    while len(shape) > 3 and shape[-1] == 1:
        shape = shape[:-1]
    if len(shape) != 3 or not 0 < np.prod(shape, dtype=np.float64) <= MOST_VOXELS:
        raise MaskError(
            f"its shape is {image.shape}; a mask has three axes", code="mask-unreadable"
        )
    values = _as_uint8(np.asanyarray(image.dataobj).reshape(shape))
    # Most of a mask is background, which need not be translated.
    box = bounding_box(values)
    unknown = [int(value) for value in np.unique(values[box]) if value and value not in mapping]
    if unknown:
        raise MaskError(
            f"it holds the value {few(map(str, unknown))}, whose meaning is not known; say what "
            "each value is, for example "
            f'--mask-labels "1=kidney,2=lesion,{unknown[0]}=background"',
            code="mask-labels",
        )
    table = np.zeros(256, np.uint8)
    table[list(mapping)] = list(mapping.values())
    translated = np.zeros(shape, np.uint8)
    translated[box] = table[values[box]]
    affine = np.asarray(image.affine, np.float64)
    return Mask(translated, affine, has_sides=MaskValue.KIDNEY not in mapping.values())


def _as_uint8(values: NDArray[Any]) -> NDArray[np.uint8]:
    if values.dtype == np.uint8:
        return values
    if not (np.isrealobj(values) and np.issubdtype(values.dtype, np.number)):
        raise MaskError(f"its values are {values.dtype}, not labels", code="mask-unreadable")
    if not (values.min() >= 0 and values.max() <= 255 and (np.rint(values) == values).all()):
        raise MaskError(
            f"its values from {values.min():g} to {values.max():g} are not labels: a mask holds "
            "whole numbers from 0 to 255",
            code="mask-unreadable",
        )
    return values.astype(np.uint8)


def _read_seg(path: Path, mapping: ValueMapping | None) -> Mask:
    require("highdicom", purpose="Reading a SEG", alternative="give masks as NIfTI")
    import highdicom  # noqa: PLC0415  an extra

    seg = highdicom.seg.segread(path)
    meanings = [_meaning(seg, number, mapping) for number in seg.segment_numbers]
    volume = seg.get_volume(combine_segments=False)
    values = np.zeros(volume.array.shape[:3], np.uint8)
    # Where segments overlap, a lesion is inside a kidney: lesions are marked last.
    for index in sorted(range(len(meanings)), key=lambda i: meanings[i] is MaskValue.LESION):
        if meanings[index] is not MaskValue.BACKGROUND:
            values[volume.array[..., index] > 0.5] = meanings[index]
    return Mask(
        values,
        RAS_FROM_LPS @ np.asarray(volume.affine, np.float64),
        has_sides=MaskValue.KIDNEY not in meanings,
        is_cropped=True,
        frame_uid=volume.frame_of_reference_uid,
    )


def _meaning(seg: "Segmentation", number: int, mapping: ValueMapping | None) -> MaskValue:
    """Return the meaning of a segment, by the mapping or by its codes."""
    if mapping is not None:
        if number in mapping:
            return mapping[number]
        raise MaskError(
            f"--mask-labels does not name its segment {number}; name every segment by its number",
            code="mask-labels",
        )
    description = seg.get_segment_description(number)
    if _code(description.segmented_property_category) in ABNORMAL_CODES:
        return MaskValue.LESION
    kind, modifiers = (
        description.segmented_property_type,
        "SegmentedPropertyTypeModifierCodeSequence",
    )
    regions = description.get("AnatomicRegionSequence", [])
    if any(_code(item) in KIDNEY_CODES for item in (*regions, kind)):
        items = [*description.get(modifiers, []), *kind.get(modifiers, [])]
        for region in regions:
            items += region.get("AnatomicRegionModifierSequence", [])
        sides = {SIDE_CODES[_code(item)] for item in items if _code(item) in SIDE_CODES}
        return VALUES_BY_NAME[sides.pop()] if len(sides) == 1 else MaskValue.KIDNEY
    raise MaskError(
        f"the codes of its segment {number} ({description.segment_label}) name neither a "
        "kidney nor a lesion; say what each segment is, for example "
        '--mask-labels "1=right,2=left,3=lesion"',
        code="mask-labels",
    )


def _code(item: Any) -> tuple[str, str]:
    """Return scheme and value of a coded concept."""
    return str(item.get("CodingSchemeDesignator", "")), str(item.get("CodeValue", ""))
