"""The masks as a DICOM Segmentation (PS3.3 A.51), a segment for each (docs/outputs.md)."""

from pathlib import Path
from typing import TYPE_CHECKING

from pydicom.dataset import Dataset

from rcc_onnx._version import __version__
from rcc_onnx.output.exports import codes
from rcc_onnx.output.exports.identity import (
    MAKER,
    NOT_FOR_DIAGNOSIS,
    algorithm_name,
    algorithm_parameters,
    result_uid,
    seg_series_uid,
    seg_uid,
    tracking_uid,
)
from rcc_onnx.output.exports.segments import Segment, segmented_slices
from rcc_onnx.output.exports.source import (
    name_sources,
    quiet_libraries,
    slice_headers,
    source_series,
)
from rcc_onnx.results import AnalysedCase
from rcc_onnx.types import Structure

if TYPE_CHECKING:
    from highdicom import AlgorithmIdentificationSequence
    from highdicom.seg import SegmentDescription

SERIES_NUMBER = 9501
"""Far from the numbers that scanners give."""
COLOURS = {
    Structure.RIGHT_KIDNEY: (0, 158, 115),
    Structure.LEFT_KIDNEY: (86, 180, 233),
    Structure.SUSPECTED_LESION: (213, 94, 0),
}
"""RGB that colour-blind people tell apart (Okabe and Ito)."""


@quiet_libraries()
def write_seg(result: AnalysedCase, to: Path) -> None:
    """Write the Segmentation. At least one mask must have a voxel.

    Raises:
        PixelsError: the source's header cannot be read any more.
    """
    patient = result.patient_images
    if patient is None:
        raise AssertionError("a segmentation of a case without positions")
    from highdicom.seg import Segmentation  # noqa: PLC0415  an extra, slow to import

    series = source_series(patient)
    found = segmented_slices(patient)
    made = Segmentation(
        source_images=slice_headers(patient, series, found.indices),
        pixel_array=found.pixels,
        segmentation_type="BINARY",
        segment_descriptions=[_description(result, one) for one in found.segments],
        series_instance_uid=seg_series_uid(result),
        series_number=SERIES_NUMBER,
        sop_instance_uid=seg_uid(result),
        instance_number=1,
        manufacturer=MAKER,
        manufacturer_model_name=MAKER,
        software_versions=__version__,
        device_serial_number=__version__,
        content_label="KIDNEYS",
        content_description=NOT_FOR_DIAGNOSIS,
        series_description=f"Kidneys and suspected lesions. {NOT_FOR_DIAGNOSIS}",
    )
    name_sources(made, series)
    _name_dimensions(made, result_uid(result, "seg dimensions"))
    made.save_as(to, enforce_file_format=True)


def _description(result: AnalysedCase, segment: Segment) -> "SegmentDescription":
    from highdicom.color import CIELabColor  # noqa: PLC0415  an extra
    from highdicom.seg import SegmentDescription  # noqa: PLC0415

    category = codes.ABNORMAL_STRUCTURE if segment.is_lesion else codes.ANATOMICAL_STRUCTURE
    kidney, side = codes.KIDNEY.concept(), codes.LATERALITY[segment.side].concept()
    description = SegmentDescription(
        segment_number=segment.number,
        segment_label=segment.label,
        segmented_property_category=category.concept(),
        segmented_property_type=codes.LESION.concept() if segment.is_lesion else kidney,
        algorithm_type="AUTOMATIC",
        algorithm_identification=_algorithm(result),
        tracking_uid=tracking_uid(result, segment.label),
        tracking_id=segment.label,
        anatomic_regions=[kidney] if segment.is_lesion else None,
        display_color=CIELabColor.from_rgb(*COLOURS[segment.structure]),
    )
    if segment.is_lesion:
        description.AnatomicRegionSequence[0].AnatomicRegionModifierSequence = [side]
    else:
        kind = description.SegmentedPropertyTypeCodeSequence[0]
        kind.SegmentedPropertyTypeModifierCodeSequence = [side]
    return description


def _algorithm(result: AnalysedCase) -> "AlgorithmIdentificationSequence":
    from highdicom import AlgorithmIdentificationSequence  # noqa: PLC0415  an extra

    return AlgorithmIdentificationSequence(
        name=algorithm_name(result),
        family=codes.ARTIFICIAL_INTELLIGENCE.concept(),
        version=result.models.version,
        source=MAKER,
        parameters=dict(algorithm_parameters(result)),
    )


def _name_dimensions(made: Dataset, uid: str) -> None:
    """Give the dimensions a UID that is the same in the next run, in place of a random one."""
    for item in (*made.DimensionOrganizationSequence, *made.DimensionIndexSequence):
        item.DimensionOrganizationUID = uid
