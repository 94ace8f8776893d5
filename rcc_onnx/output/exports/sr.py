"""The measurements as a DICOM Structured Report, template TID 1500 (docs/outputs.md)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import numpy as np
from pydicom.dataset import Dataset

from rcc_onnx._version import __version__
from rcc_onnx.options import Save
from rcc_onnx.output.exports import codes
from rcc_onnx.output.exports.identity import (
    MAKER,
    NOT_FOR_DIAGNOSIS,
    algorithm_name,
    algorithm_parameters,
    derived_uid,
    result_uid,
    seg_series_uid,
    seg_uid,
    tracking_uid,
)
from rcc_onnx.output.exports.segments import Segment, kidney_label, segmented_slices
from rcc_onnx.output.exports.source import (
    SourceSeries,
    by_file,
    frames_of,
    quiet_libraries,
    source_series,
)
from rcc_onnx.results import AnalysedCase, Diameter, SideFinding
from rcc_onnx.types import RESEARCH_ONLY, SIDES, Outcome, Side

if TYPE_CHECKING:
    from highdicom import sr

    _Group = (
        sr.MeasurementsAndQualitativeEvaluations
        | sr.VolumetricROIMeasurementsAndQualitativeEvaluations
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
"""What is said of a lesion in each kidney."""


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


class _Part(NamedTuple):
    """What a group of measurements is about."""

    side: Side
    label: str
    is_lesion: bool


@quiet_libraries()
def write_sr(result: AnalysedCase, to: Path) -> None:
    """Write the report, with references to the segments of a Segmentation that is written too.

    Raises:
        PixelsError: the source's header cannot be read any more.
    """
    patient = result.patient_images
    if patient is None:
        raise AssertionError("a report of a case without positions")
    from highdicom.sr import ComprehensiveSR  # noqa: PLC0415  an extra, slow to import

    segments = segmented_slices(patient).segments
    with_seg = Save.SEG in result.options.save and bool(segments)
    case = _Case(result, source_series(patient), segments, with_seg)
    made = ComprehensiveSR(
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
    """Every file of the series, and the Segmentation."""
    files = [
        (image[0].sop_class_uid, image[0].sop_instance_uid) for image in by_file(case.series.images)
    ]
    named = [(case.series.uid, *one) for one in files]
    if case.with_seg:
        named.append((seg_series_uid(case.result), SEG_CLASS, seg_uid(case.result)))
    evidence = []
    for series_uid, sop_class, sop_instance in named:
        item = Dataset()
        item.update(case.series.identity)
        item.SeriesInstanceUID = series_uid
        item.SOPClassUID, item.SOPInstanceUID = sop_class, sop_instance
        evidence.append(item)
    return evidence


def _content(case: _Case) -> "sr.MeasurementReport":
    from highdicom import sr  # noqa: PLC0415  an extra

    device = sr.DeviceObserverIdentifyingAttributes(
        uid=derived_uid("device", __version__),
        name=MAKER,
        manufacturer_name=MAKER,
        model_name=f"{MAKER} {__version__}",
    )
    report = sr.MeasurementReport(
        observation_context=sr.ObservationContext(
            observer_device_context=sr.ObserverContext(codes.DEVICE.concept(), device)
        ),
        procedure_reported=codes.CT.concept(),
        imaging_measurements=[group for side in SIDES for group in _groups(case, side)],
        title=codes.REPORT.concept(),
    )
    for text in _comments(case.result):
        comment = sr.TextContentItem(codes.COMMENT.concept(), text, "CONTAINS")
        report[0].ContentSequence.append(comment)
    return report


def _comments(result: AnalysedCase) -> list[str]:
    """Sentences that a reader of the report must see."""
    flags = [
        (f"{side.capitalize()} kidney", one) for side in SIDES for one in result.sides[side].flags
    ]
    return [
        RESEARCH_ONLY,
        *result.warnings,
        *(f"Study: {one.text}" for one in result.flags),
        *(f"{what}: {one.text}" for what, one in flags),
    ]


def _groups(case: _Case, side: Side) -> "list[_Group]":
    """A group for the kidney, which says what of a lesion, and two for a suspected lesion.

    The long axis has its own, as a group that refers to a segment holds no lines on images.
    """
    from highdicom import sr  # noqa: PLC0415  an extra

    finding = case.result.sides[side]
    measures = finding.lesion_measures
    own = {one.is_lesion: one for one in case.segments if one.side == side}
    kidney = _Part(side, kidney_label(side), is_lesion=False)
    groups = [_group(case, kidney, own.get(False), _kidney_measurements(finding))]
    if measures is not None and True in own:
        lesion = _Part(side, own[True].label, is_lesion=True)
        volume = [_volume(measures.volume_ml), _mean_hu(measures.mean_hu)]
        groups.append(_group(case, lesion, own[True], volume))
        axis = [_long_axis(case, measures.longest_axial_diameter)]
        common = _common(case, lesion, axis)
        groups.append(sr.MeasurementsAndQualitativeEvaluations(**common))
    return groups


def _group(
    case: _Case, part: _Part, segment: Segment | None, measurements: list["sr.Measurement"]
) -> "_Group":
    """TID 1411 where there is a segment to refer to, else TID 1501."""
    from highdicom import sr  # noqa: PLC0415  an extra

    common = _common(case, part, measurements)
    if segment is None:
        return sr.MeasurementsAndQualitativeEvaluations(**common)
    if not case.with_seg:
        images = _images(case, segment.slices, sr.SourceImageForMeasurementGroup)
        return sr.MeasurementsAndQualitativeEvaluations(**common, source_images=images)
    reference = sr.ReferencedSegment(
        SEG_CLASS,
        seg_uid(case.result),
        segment.number,
        source_series=sr.SourceSeriesForSegmentation(case.series.uid),
    )
    return sr.VolumetricROIMeasurementsAndQualitativeEvaluations(
        **common, referenced_segment=reference
    )


def _common(case: _Case, part: _Part, measurements: list["sr.Measurement"]) -> dict[str, Any]:
    """What every kind of group takes."""
    from highdicom import sr  # noqa: PLC0415  an extra

    result = case.result
    if part.is_lesion:
        category, finding = codes.ABNORMAL_STRUCTURE, codes.LESION
        said = sr.QualitativeEvaluation(codes.CERTAINTY.concept(), codes.SUSPECTED.concept())
    else:
        category, finding = codes.ANATOMICAL_STRUCTURE, codes.KIDNEY
        certainty = _certainty(result, part.side)
        said = sr.QualitativeEvaluation(codes.LESION.concept(), certainty.concept())
    side = codes.LATERALITY[part.side].concept()
    return {
        "tracking_identifier": sr.TrackingIdentifier(tracking_uid(result, part.label), part.label),
        "finding_category": category.concept(),
        "finding_type": finding.concept(),
        "finding_sites": [sr.FindingSite(codes.KIDNEY.concept(), side)],
        "algorithm_id": sr.AlgorithmIdentification(
            name=algorithm_name(result),
            version=result.models.version,
            parameters=[f"{name}: {value}" for name, value in algorithm_parameters(result)],
            family=codes.ARTIFICIAL_INTELLIGENCE.concept(),
            manufacturer=MAKER,
        ),
        "measurements": measurements,
        "qualitative_evaluations": [said],
    }


def _certainty(result: AnalysedCase, side: Side) -> codes.Code:
    """A side that could not be judged is not one where nothing was detected."""
    outcome = result.sides[side].outcome
    if outcome is Outcome.NO_LESION and result.flags_of(side):
        return codes.INDETERMINATE
    return CERTAINTIES[outcome]


def _kidney_measurements(finding: SideFinding) -> list["sr.Measurement"]:
    kidney = finding.kidney.measures
    if kidney is None:
        return []
    hu = [] if kidney.mean_hu is None else [_mean_hu(kidney.mean_hu)]
    return [_volume(kidney.volume_ml), *hu]


def _volume(ml: float) -> "sr.Measurement":
    return _measurement(codes.VOLUME, ml, codes.CUBIC_CENTIMETRE)


def _mean_hu(hu: float) -> "sr.Measurement":
    return _measurement(codes.ATTENUATION, hu, codes.HOUNSFIELD_UNIT, codes.MEAN)


def _long_axis(case: _Case, diameter: Diameter) -> "sr.Measurement":
    """With its line on its image; DICOM counts from the outer corner of the first pixel."""
    from highdicom import sr  # noqa: PLC0415  an extra

    (image,) = _images(case, [diameter.slice], sr.SourceImageForRegion)
    line = np.array([(column + 0.5, row + 0.5) for row, column in diameter.ends_row_column])
    # A lesion of one voxel has no line.
    shape = "POINT" if (line[0] == line[1]).all() else "POLYLINE"
    points = line[:1] if shape == "POINT" else line
    where = sr.CoordinatesForMeasurement(shape, points, image)
    return _measurement(codes.LONG_AXIS, diameter.mm, codes.MILLIMETRE, codes.MAXIMUM, where)


def _measurement(
    name: codes.Code,
    value: float,
    unit: codes.Code,
    derivation: codes.Code | None = None,
    where: "sr.CoordinatesForMeasurement | None" = None,
) -> "sr.Measurement":
    from highdicom import sr  # noqa: PLC0415  an extra

    return sr.Measurement(
        name=name.concept(),
        value=value,
        unit=unit.concept(),
        derivation=None if derivation is None else derivation.concept(),
        referenced_coordinates=None if where is None else [where],
    )


def _images(
    case: _Case, slices: Sequence[int], kind: Callable[[str, str, list[int] | None], _Item]
) -> list[_Item]:
    """References to slices, files that hold several of them named once."""
    images = [case.series.images[index] for index in slices]
    return [
        kind(one[0].sop_class_uid, one[0].sop_instance_uid, frames_of(one) or None)
        for one in by_file(images)
    ]
