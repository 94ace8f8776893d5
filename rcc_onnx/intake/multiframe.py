"""Multi-frame CT: each frame becomes a header of its own (PS3.3 C.7.6.16, functional groups).

What the frames share and what each says for itself are nested in sequences; a frame's own word
comes before the shared one, and that before the top level, where Legacy Converted files keep some.
"""

from collections.abc import Sequence
from dataclasses import replace

from pydicom.dataset import Dataset

from rcc_onnx.intake.elements import count, item, items, numbers, values
from rcc_onnx.intake.headers import CT_CLASSES, NUMBERS, SliceHeader

MAX_FRAMES = 20_000
"""More than any CT object holds."""

_GROUPS = {
    "ImagePositionPatient": "PlanePositionSequence",
    "ImageOrientationPatient": "PlaneOrientationSequence",
    "PixelSpacing": "PixelMeasuresSequence",
    "SliceThickness": "PixelMeasuresSequence",
    "RescaleSlope": "PixelValueTransformationSequence",
    "RescaleIntercept": "PixelValueTransformationSequence",
}
_MARKS = {
    "StackID": "FrameContentSequence",
    "TemporalPositionIndex": "FrameContentSequence",
    "FrameAcquisitionNumber": "FrameContentSequence",
    "FrameType": "CTImageFrameTypeSequence",
    "ConvolutionKernel": "CTReconstructionSequence",
}


def expand_frames(header: SliceHeader, dataset: Dataset) -> list[SliceHeader]:
    """One header for each frame of an enhanced object.

    A multi-frame file without functional groups is given back as it is: it says nothing about
    where its frames lie.

    Raises:
        ValueError: the number of frames and of their groups differ.
    """
    shared = item(dataset, "SharedFunctionalGroupsSequence")
    frames = items(dataset, "PerFrameFunctionalGroupsSequence")
    if not frames and not len(shared):
        return [header]
    if len(frames) != count(dataset, "NumberOfFrames", 1) or len(frames) > MAX_FRAMES:
        raise ValueError("frames and their functional groups differ in number")
    if header.sop_class_uid in CT_CLASSES and not header.contrast:
        usage = items(dataset, "ContrastBolusAgentSequence")
        header = replace(header, contrast="recorded" if usage else "")
    return [_frame(header, index, [own, shared], dataset) for index, own in enumerate(frames)]


def _frame(header: SliceHeader, index: int, groups: Sequence[Dataset], top: Dataset) -> SliceHeader:
    found = {}
    for keyword, group in _GROUPS.items():
        places = [*(item(one, group) for one in groups), top]
        said = (numbers(place, keyword, NUMBERS[keyword].length) for place in places)
        found[keyword] = next((value for value in said if value is not None), None)
    frame_type = _first(groups, "CTImageFrameTypeSequence", "FrameType")
    return replace(
        header,
        frame=index,
        frames=1,
        image_type=tuple(frame_type) or header.image_type,
        rescale_type="\\".join(_first(groups, "PixelValueTransformationSequence", "RescaleType"))
        or header.rescale_type,
        kernel=header.kernel
        or "\\".join(_first(groups, "CTReconstructionSequence", "ConvolutionKernel")),
        marks=header.marks
        + tuple((name, "\\".join(_first(groups, group, name))) for name, group in _MARKS.items()),
        unusable=frozenset(k for k, value in found.items() if value == ()),
        **{NUMBERS[key].field: value or None for key, value in found.items()},  # type: ignore[arg-type]
    )


def _first(groups: Sequence[Dataset], group: str, keyword: str) -> Sequence[str]:
    return next((said for one in groups if (said := values(item(one, group), keyword))), ())
