"""The masks as a DICOM Segmentation (PS3.3 A.51), a segment for each (docs/outputs.md)."""

from pathlib import Path

from highdicom import AlgorithmIdentificationSequence
from highdicom.color import CIELabColor
from highdicom.seg import Segmentation, SegmentDescription
from highdicom.sr import CodedConcept

from rcc_onnx._version import __version__
from rcc_onnx.output.exports import codes
from rcc_onnx.output.exports.file_geometry import Segment, segmented_slices
from rcc_onnx.output.exports.source_reference import (
    quiet_libraries,
    refer_to_sources,
    slice_headers,
    source_series,
)
from rcc_onnx.output.exports.uids import (
    MAKER,
    NOT_FOR_DIAGNOSIS,
    SEG,
    SEG_SERIES,
    algorithm_name,
    algorithm_parameters,
    result_uid,
    tracking_uid,
)
from rcc_onnx.results import AnalysedCase
from rcc_onnx.types import Structure

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
    patient = result.placed
    series, found = source_series(patient), segmented_slices(patient)
    made = Segmentation(
        source_images=slice_headers(patient, series, found.indices),
        pixel_array=found.pixels,
        segmentation_type="BINARY",
        segment_descriptions=[_description(result, segment) for segment in found.segments],
        series_instance_uid=result_uid(result, SEG_SERIES),
        series_number=SERIES_NUMBER,
        sop_instance_uid=result_uid(result, SEG),
        instance_number=1,
        manufacturer=MAKER,
        manufacturer_model_name=MAKER,
        software_versions=__version__,
        device_serial_number=__version__,
        content_label="KIDNEYS",
        content_description=NOT_FOR_DIAGNOSIS,
        series_description=f"Kidneys and suspected lesions. {NOT_FOR_DIAGNOSIS}",
    )
    refer_to_sources(made, series)
    # In place of random ones, so that the next run has the same.
    for item in (*made.DimensionOrganizationSequence, *made.DimensionIndexSequence):
        item.DimensionOrganizationUID = result_uid(result, "seg dimensions")
    made.save_as(to, enforce_file_format=True)


def _description(result: AnalysedCase, segment: Segment) -> SegmentDescription:
    lesion = segment.is_lesion
    description = SegmentDescription(
        segment_number=segment.number,
        segment_label=segment.label,
        segmented_property_category=(
            codes.ABNORMAL_STRUCTURE if lesion else codes.ANATOMICAL_STRUCTURE
        ),
        segmented_property_type=codes.LESION if lesion else codes.KIDNEY,
        algorithm_type="AUTOMATIC",
        algorithm_identification=AlgorithmIdentificationSequence(
            name=algorithm_name(result),
            family=codes.ARTIFICIAL_INTELLIGENCE,
            version=result.models.version,
            source=MAKER,
            parameters=algorithm_parameters(result),
        ),
        tracking_uid=tracking_uid(result, segment.label),
        tracking_id=segment.label,
        anatomic_regions=[codes.KIDNEY] if lesion else None,
        display_color=CIELabColor.from_rgb(*COLOURS[segment.structure]),
    )
    side = CodedConcept.from_code(codes.LATERALITY[segment.side])
    if lesion:
        description.AnatomicRegionSequence[0].AnatomicRegionModifierSequence = [side]
    else:
        kidney = description.SegmentedPropertyTypeCodeSequence[0]
        kidney.SegmentedPropertyTypeModifierCodeSequence = [side]
    return description
