"""Masks read from NIfTI and DICOM SEG, with what their values stand for.

Inside an evaluation a mask's values are `Structure`. Files may use others; a mapping names them.
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
from rcc_onnx.evaluate.files import need
from rcc_onnx.evaluate.grids import LabelImage, box_of_drawn
from rcc_onnx.evaluate.labels import few

if TYPE_CHECKING:
    from highdicom.seg import Segmentation

MOST_VOXELS = 1 << 30
"""A mask of more voxels than a thousand slices of 1024x1024 is a mistake, or meant to hurt."""
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


class Structure(IntEnum):
    """Values of a mask. `KIDNEY` is a kidney whose side the file does not tell."""

    BACKGROUND = 0
    RIGHT = 1
    LEFT = 2
    LESION = 3
    KIDNEY = 4


WORDS = {one.name.lower(): one for one in Structure}
Mapped = Mapping[int, Structure]
OWN_VALUES: Mapped = {1: Structure.RIGHT, 2: Structure.LEFT, 3: Structure.LESION}
"""What `rcc-onnx infer --save nifti` writes."""


@dataclass(frozen=True)
class Mask:
    """A mask whose values are `Structure`, and whether it tells right from left."""

    image: LabelImage
    tells_sides: bool


def parse_mapping(text: str) -> Mapped:
    """What is said by `--mask-labels`, such as "1=right,2=left,3=lesion".

    Raises:
        OptionError: it says something else, or one value twice.
    """
    found: dict[int, Structure] = {}
    for part in text.split(","):
        value, equals, word = (one.strip() for one in part.partition("="))
        structure = WORDS.get(word.lower())
        if not (equals and value.isdecimal() and 0 < int(value) < 256 and structure is not None):
            raise OptionError(
                f"--mask-labels: {part.strip()!r} is not VALUE=WORD with a value from 1 to 255 and "
                f"one of {', '.join(WORDS)}; for example 1=right,2=left,3=lesion"
            )
        if int(value) in found:
            raise OptionError(f"--mask-labels names the value {value} twice")
        found[int(value)] = structure
    return found


def read_mask(path: Path, mapping: Mapped | None) -> Mask:
    """Read a `.nii`, `.nii.gz` or `.dcm` mask.

    Args:
        path: the file; its suffix says which kind it is.
        mapping: what values, or segment numbers of a SEG, stand for. None: `OWN_VALUES`, or what
            the codes of a SEG say.

    Raises:
        MaskError: it cannot be read, has no place, or holds values that nothing explains.
        MissingExtraError: it is a SEG, and highdicom is not installed.
    """
    try:
        # What the libraries warn of may quote a patient's data.
        with warnings.catch_warnings(action="ignore"):
            if path.suffix == ".dcm":
                return _read_seg(path, mapping)
            return _read_nifti(path, mapping or OWN_VALUES)
    except (MaskError, MissingExtraError, MemoryError):
        raise
    except Exception as error:
        # Damaged files make the libraries raise anything, with words that may be a patient's.
        kind = "DICOM SEG" if path.suffix == ".dcm" else "NIfTI"
        raise MaskError(
            f"it cannot be read ({type(error).__name__}); give a whole {kind} file",
            code="mask-unreadable",
        ) from error


def _read_nifti(path: Path, mapping: Mapped) -> Mask:
    import nibabel  # noqa: PLC0415  an extra

    image: Any = nibabel.load(path)
    if not isinstance(image, nibabel.Nifti1Image):  # Nifti2Image is one too
        raise MaskError("it is no NIfTI file", code="mask-unreadable")
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
    values = _small_integers(np.asanyarray(image.dataobj).reshape(shape))
    # Most of a mask is background, and is not looked at twice.
    box = box_of_drawn(values)
    unknown = [int(value) for value in np.unique(values[box]) if value and value not in mapping]
    if unknown:
        raise MaskError(
            f"it holds the value {few(map(str, unknown))}, which nothing explains; say what each "
            f'value is, for example --mask-labels "1=kidney,2=lesion,{unknown[0]}=background"',
            code="mask-labels",
        )
    table = np.zeros(256, np.uint8)
    for value, structure in mapping.items():
        table[value] = structure
    meant = np.zeros(shape, np.uint8)
    meant[box] = table[values[box]]
    affine = np.asarray(image.affine, np.float64)
    return Mask(LabelImage(meant, affine), Structure.KIDNEY not in mapping.values())


def _small_integers(values: NDArray[Any]) -> NDArray[np.uint8]:
    if values.dtype == np.uint8:
        return values
    if not (np.isrealobj(values) and np.issubdtype(values.dtype, np.number)):
        raise MaskError(f"its values are {values.dtype}, no labels", code="mask-unreadable")
    if not (values.min() >= 0 and values.max() <= 255 and (np.rint(values) == values).all()):
        raise MaskError(
            f"its values from {values.min():g} to {values.max():g} are no labels: a mask holds "
            "whole numbers from 0 to 255",
            code="mask-unreadable",
        )
    return values.astype(np.uint8)


def _read_seg(path: Path, mapping: Mapped | None) -> Mask:
    need("highdicom", why="Reading a SEG", instead="give masks as NIfTI")
    import highdicom  # noqa: PLC0415  an extra

    seg = highdicom.seg.segread(path)
    meaning = {number: _segment(seg, number, mapping) for number in seg.segment_numbers}
    volume = seg.get_volume(combine_segments=False)
    values = np.zeros(volume.array.shape[:3], np.uint8)
    # Where segments overlap a lesion lies in a kidney, and the label image can name one of them.
    order = sorted(range(len(meaning)), key=lambda at: list(meaning.values())[at] == 3)
    for at in order:
        structure = list(meaning.values())[at]
        if structure is not Structure.BACKGROUND:
            values[volume.array[..., at] > 0.5] = structure
    affine = RAS_FROM_LPS @ np.asarray(volume.affine, np.float64)
    image = LabelImage(values, affine, empty_left_out=True, frame_uid=volume.frame_of_reference_uid)
    return Mask(image, Structure.KIDNEY not in meaning.values())


def _segment(seg: "Segmentation", number: int, mapping: Mapped | None) -> Structure:
    """What one segment stands for, by the mapping or by its codes."""
    if mapping is not None:
        if number in mapping:
            return mapping[number]
        raise MaskError(
            f"--mask-labels says nothing of its segment {number}; name every segment by its number",
            code="mask-labels",
        )
    description = seg.get_segment_description(number)
    if _code(description.segmented_property_category) in ABNORMAL_CODES:
        return Structure.LESION
    regions = [*description.get("AnatomicRegionSequence", []), description.segmented_property_type]
    if any(_code(one) in KIDNEY_CODES for one in regions):
        modifiers = [
            *description.get("SegmentedPropertyTypeModifierCodeSequence", []),
            *description.segmented_property_type.get(
                "SegmentedPropertyTypeModifierCodeSequence", []
            ),
            *(
                modifier
                for region in description.get("AnatomicRegionSequence", [])
                for modifier in region.get("AnatomicRegionModifierSequence", [])
            ),
        ]
        sides = {SIDE_CODES[_code(one)] for one in modifiers if _code(one) in SIDE_CODES}
        return WORDS[sides.pop()] if len(sides) == 1 else Structure.KIDNEY
    raise MaskError(
        f"the codes of its segment {number} ({description.segment_label}) name neither a "
        "kidney nor a lesion; say what each segment is, for example "
        '--mask-labels "1=right,2=left,3=lesion"',
        code="mask-labels",
    )


def _code(item: Any) -> tuple[str, str]:
    """Scheme and value of a coded concept."""
    return str(item.get("CodingSchemeDesignator", "")), str(item.get("CodeValue", ""))
