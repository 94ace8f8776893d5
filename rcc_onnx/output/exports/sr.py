"""The measurements as a DICOM Structured Report, template TID 1500 (docs/outputs.md)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from highdicom import sr
from pydicom.dataset import Dataset
from pydicom.sr.coding import Code

from rcc_onnx._version import __version__
from rcc_onnx.options import Save
from rcc_onnx.output.exports import codes
from rcc_onnx.output.exports.file_geometry import Segment, kidney_label, segmented_slices
from rcc_onnx.output.exports.source_reference import (
    SourceSeries,
    by_file,
    frames_of,
    quiet_libraries,
    source_series,
)
from rcc_onnx.output.exports.uids import (
    MAKER,
    NOT_FOR_DIAGNOSIS,
    SEG,
    SEG_SERIES,
    algorithm_name,
    algorithm_parameters,
    derived_uid,
    result_uid,
    tracking_uid,
)
from rcc_onnx.results import AnalysedCase, Diameter
from rcc_onnx.types import RESEARCH_ONLY, SIDES, Outcome, Side

_Group = (
    sr.MeasurementsAndQualitativeEvaluations | sr.VolumetricROIMeasurementsAndQualitativeEvaluations
)
_Item = TypeVar("_Item")

SEG_CLASS = "1.2.840.10008.5.1.4.1.1.66.4"
SERIES_NUMBER = 9502
"""Far from the numbers that scanners give."""
CERTAINTIES = {
    Outcome.LESION: codes.SUSPECTED,
    Outcome.LESION_NOT_LOCATED: codes.SUSPECTED,
    Outcome.NO_LESION: codes.NOT_DETECTED,
    Outcome.KIDNEY_NOT_FOUND: codes.INDETERMINATE,
    Outcome.KIDNEY_NOT_LOCATED: codes.INDETERMINATE,
}
"""Of a lesion in each kidney."""


@dataclass(frozen=True)
class _Case:
    """What the parts of a report are made from.

    Attributes:
        with_seg: whether they refer to the segments of the Segmentation.
    """

    result: AnalysedCase
    series: SourceSeries
    segments: tuple[Segment, ...]
    with_seg: bool


@quiet_libraries()
def write_sr(result: AnalysedCase, to: Path) -> None:
    """Write the report, with references to the segments of a Segmentation that is written too.

    Raises:
        PixelsError: the source's header cannot be read any more.
    """
    segments = segmented_slices(result.placed).segments
    with_seg = Save.SEG in result.options.save and bool(segments)
    case = _Case(result, source_series(result.placed), segments, with_seg)
    made = sr.ComprehensiveSR(
        evidence=_evidence(case),
        content=_content(case),
        series_instance_uid=result_uid(result, "sr series"),
        series_number=SERIES_NUMBER,
        # With and without references to the Segmentation, these are two documents.
        sop_instance_uid=result_uid(result, "sr", case.with_seg),
        instance_number=1,
        manufacturer=MAKER,
        manufacturer_model_name=MAKER,
        software_versions=__version__,
        device_serial_number=__version__,
        series_description=f"Kidney measurements. {NOT_FOR_DIAGNOSIS}",
        is_complete=True,
        is_final=False,
    )
    made.save_as(to, enforce_file_format=True)


def _evidence(case: _Case) -> list[Dataset]:
    """Return references to every file of the series, and to the Segmentation."""
    named = [
        (case.series.uid, images[0].sop_class_uid, images[0].sop_instance_uid)
        for images in by_file(case.series.images)
    ]
    if case.with_seg:
        seg, series = result_uid(case.result, SEG), result_uid(case.result, SEG_SERIES)
        named.append((series, SEG_CLASS, seg))
    evidence = []
    for series_uid, sop_class, sop_instance in named:
        item = Dataset()
        item.update(case.series.identity)
        item.SeriesInstanceUID = series_uid
        item.SOPClassUID, item.SOPInstanceUID = sop_class, sop_instance
        evidence.append(item)
    return evidence


def _content(case: _Case) -> sr.MeasurementReport:
    device = sr.DeviceObserverIdentifyingAttributes(
        uid=derived_uid("device", __version__),
        name=MAKER,
        manufacturer_name=MAKER,
        model_name=f"{MAKER} {__version__}",
    )
    observer = sr.ObserverContext(sr.CodedConcept.from_code(codes.DEVICE), device)
    report = sr.MeasurementReport(
        observation_context=sr.ObservationContext(observer_device_context=observer),
        procedure_reported=codes.CT,
        imaging_measurements=[group for side in SIDES for group in _groups(case, side)],
        title=codes.REPORT,
    )
    for text in _comments(case.result):
        comment = sr.TextContentItem(codes.COMMENT, text, "CONTAINS")
        report[0].ContentSequence.append(comment)
    return report


def _comments(result: AnalysedCase) -> list[str]:
    """Return sentences that a reader of the report must see."""
    return [
        RESEARCH_ONLY,
        *result.warnings,
        *(f"Study: {flag.text}" for flag in result.flags),
        *(
            f"{kidney_label(side)}: {flag.text}"
            for side in SIDES
            for flag in result.sides[side].flags
        ),
    ]


def _groups(case: _Case, side: Side) -> list[_Group]:
    """Return a group for the kidney, with the certainty of a lesion in it, and two for a lesion.

    The long axis has its own, as a group that refers to a segment holds no lines on images.
    """
    finding = case.result.sides[side]
    segments = {segment.is_lesion: segment for segment in case.segments if segment.side == side}
    measures = finding.kidney.measures
    measured = []
    if measures is not None:
        measured.append(_volume(measures.volume_ml))
        if measures.mean_hu is not None:
            measured.append(_mean_hu(measures.mean_hu))
    kidney = _common(case, side, kidney_label(side), measured, is_lesion=False)
    groups = [_group(case, kidney, segments.get(False))]
    lesion, segment = finding.lesion_measures, segments.get(True)
    if lesion is not None and segment is not None:
        measured = [_volume(lesion.volume_ml), _mean_hu(lesion.mean_hu)]
        axis = [_long_axis(case, lesion.longest_axial_diameter)]
        volume, line = (
            _common(case, side, segment.label, measurements, is_lesion=True)
            for measurements in (measured, axis)
        )
        groups.append(_group(case, volume, segment))
        groups.append(sr.MeasurementsAndQualitativeEvaluations(**line))
    return groups


def _group(case: _Case, common: dict[str, Any], segment: Segment | None) -> _Group:
    """Return TID 1411 where there is a segment to refer to, else TID 1501."""
    if segment is None:
        return sr.MeasurementsAndQualitativeEvaluations(**common)
    if not case.with_seg:
        images = _images(case, segment.slices, sr.SourceImageForMeasurementGroup)
        return sr.MeasurementsAndQualitativeEvaluations(**common, source_images=images)
    reference = sr.ReferencedSegment(
        SEG_CLASS,
        result_uid(case.result, SEG),
        segment.number,
        source_series=sr.SourceSeriesForSegmentation(case.series.uid),
    )
    return sr.VolumetricROIMeasurementsAndQualitativeEvaluations(
        **common, referenced_segment=reference
    )


def _common(
    case: _Case, side: Side, label: str, measurements: list[sr.Measurement], *, is_lesion: bool
) -> dict[str, Any]:
    """Return what every kind of group takes."""
    result = case.result
    if is_lesion:
        category, finding = codes.ABNORMAL_STRUCTURE, codes.LESION
        evaluation = sr.QualitativeEvaluation(codes.CERTAINTY, codes.SUSPECTED)
    else:
        category, finding = codes.ANATOMICAL_STRUCTURE, codes.KIDNEY
        evaluation = sr.QualitativeEvaluation(codes.LESION, _certainty(result, side))
    parameters = algorithm_parameters(result).items()
    return {
        "tracking_identifier": sr.TrackingIdentifier(tracking_uid(result, label), label),
        "finding_category": category,
        "finding_type": finding,
        "finding_sites": [sr.FindingSite(codes.KIDNEY, codes.LATERALITY[side])],
        "algorithm_id": sr.AlgorithmIdentification(
            name=algorithm_name(result),
            version=result.models.version,
            parameters=[f"{name}: {value}" for name, value in parameters],
            family=codes.ARTIFICIAL_INTELLIGENCE,
            manufacturer=MAKER,
        ),
        "measurements": measurements,
        "qualitative_evaluations": [evaluation],
    }


def _certainty(result: AnalysedCase, side: Side) -> Code:
    """Return that of a lesion: a side that could not be judged is not one without a lesion."""
    outcome = result.sides[side].outcome
    if outcome is Outcome.NO_LESION and not result.sides[side].assessable:
        return codes.INDETERMINATE
    return CERTAINTIES[outcome]


def _volume(ml: float) -> sr.Measurement:
    return sr.Measurement(codes.VOLUME, ml, codes.CUBIC_CENTIMETRE)


def _mean_hu(hu: float) -> sr.Measurement:
    return sr.Measurement(codes.ATTENUATION, hu, codes.HOUNSFIELD_UNIT, derivation=codes.MEAN)


def _long_axis(case: _Case, diameter: Diameter) -> sr.Measurement:
    """Return it with its line; DICOM counts from the outer corner of the first pixel."""
    (image,) = _images(case, [diameter.slice], sr.SourceImageForRegion)
    line = np.array([(column + 0.5, row + 0.5) for row, column in diameter.ends_row_column])
    # A lesion of one voxel has no line.
    shape = "POINT" if (line[0] == line[1]).all() else "POLYLINE"
    points = line[:1] if shape == "POINT" else line
    return sr.Measurement(
        codes.LONG_AXIS,
        diameter.mm,
        codes.MILLIMETRE,
        derivation=codes.MAXIMUM,
        referenced_coordinates=[sr.CoordinatesForMeasurement(shape, points, image)],
    )


def _images(
    case: _Case, slices: Sequence[int], kind: Callable[[str, str, list[int] | None], _Item]
) -> list[_Item]:
    """Return references to slices, files that hold several of them named once."""
    images = [case.series.images[index] for index in slices]
    return [
        kind(file[0].sop_class_uid, file[0].sop_instance_uid, frames_of(file) or None)
        for file in by_file(images)
    ]
