"""The result of a case as a JSON document, schema version 1 (docs/outputs.md)."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rcc_onnx._version import __version__
from rcc_onnx.dicom.header_privacy import uid
from rcc_onnx.errors import SeveralSeriesError
from rcc_onnx.results import (
    CaseResult,
    CertifiedBy,
    FailedCase,
    Fingerprint,
    KidneyMeasures,
    LesionFinding,
    LesionMeasures,
    MeasuringOptions,
    Sensitivity,
    SideFinding,
    SideMeasures,
    StudyFacts,
    margin,
)
from rcc_onnx.types import RESEARCH_ONLY, SIDES, IntakeRecord, Note, SeriesRow, Side

# Measurements as JSON; every field is in docs/outputs.md.

Json = dict[str, Any]

DECIMALS = 3
"""Of lengths in mm, volumes in ml and HU: finer than any of them is known."""


def margin_json(probability_sum: float, threshold: float, options: MeasuringOptions) -> Json:
    """How far a sum is from its threshold."""
    found = margin(probability_sum, threshold, options)
    return {
        "margin": found.absolute,
        "margin_relative": found.relative,
        "borderline": found.borderline,
    }


def kidney_json(kidney: KidneyMeasures) -> Json:
    return {
        "volume_ml": _rounded(kidney.volume_ml),
        "mean_hu": None if kidney.mean_hu is None else _rounded(kidney.mean_hu),
    }


def lesion_json(lesion: LesionMeasures) -> Json:
    diameter, box = lesion.diameter, lesion.box
    return {
        "volume_ml": _rounded(lesion.volume_ml),
        "parts": lesion.parts,
        "longest_axial_diameter": {
            "mm": _rounded(diameter.length_mm),
            "slice": diameter.slice,
            "sop_instance_uid": uid(diameter.sop_instance_uid),
            "frame": diameter.frame,
            "ends_row_column": [list(end) for end in diameter.ends_file],
            "ends_lps_mm": [_position(end) for end in diameter.ends_lps_mm],
        },
        "centre_lps_mm": _position(lesion.centre_lps_mm),
        "box": {
            "slices": list(box.slices),
            "sop_instance_uids": [uid(one) for one in box.sop_instance_uids],
            "rows": list(box.rows),
            "columns": list(box.columns),
            "lowest_lps_mm": _position(box.lowest_lps_mm),
            "highest_lps_mm": _position(box.highest_lps_mm),
        },
        "touches_crop_border": lesion.touches_crop_border,
        "mean_hu": _rounded(lesion.mean_hu),
    }


def sensitivity_json(sensitivity: Sensitivity) -> Json:
    lesion = sensitivity.lesion_volumes_ml
    return {
        "lesion_thresholds": list(sensitivity.thresholds),
        "outcomes": [str(one) for one in sensitivity.outcomes],
        "mask_cutoffs": list(sensitivity.cutoffs),
        "kidney_volumes_ml": [_rounded(one) for one in sensitivity.kidney_volumes_ml],
        "lesion_volumes_ml": None if lesion is None else [_rounded(one) for one in lesion],
    }


def _rounded(value: float) -> float:
    return round(value, DECIMALS)


def _position(xyz: tuple[float, float, float]) -> list[float]:
    return [_rounded(value) for value in xyz]


SCHEMA_VERSION = 1


def picture_name(case: str, side: Side) -> str:
    return f"{case}_{side[0]}.png"


def overview_name(case: str) -> str:
    return f"{case}_overview.png"


def case_json(result: CaseResult | FailedCase) -> Json:
    """The JSON document of a case, schema version 1; every field is in docs/outputs.md."""
    document: Json = {
        "schema_version": SCHEMA_VERSION,
        "rcc_onnx_version": __version__,
        "notice": RESEARCH_ONLY,
        "case": result.case,
        "status": "failed" if isinstance(result, FailedCase) else "analysed",
        "profile": str(result.profile),
    }
    if isinstance(result, FailedCase):
        document["error"] = {"code": result.error.code, "message": str(result.error)}
        if isinstance(result.error, SeveralSeriesError):
            document["error"]["series"] = [series_json(row) for row in result.error.series]
        return document | {"fingerprint": _fingerprint_json(result.fingerprint)}
    study, models, provider = result.study, result.models, result.provider
    return document | {
        "warnings": list(result.warnings),
        "flags": _notes_json(result.flags),
        "intake": None if result.intake is None else _intake_json(result.intake, result.study),
        "study": {
            "kind": study.kind,
            "files_found": study.files_found,
            "slices_in_series": study.slices_in_series,
            "slices_analysed": study.slices_analysed,
            "stride": study.stride,
            "spacing_zyx_mm": list(study.spacing_zyx_mm),
            "left_out": [{"file": name, "reason": reason} for name, reason in study.left_out],
            "images_sha256": study.images_sha256,
        },
        "models": {
            "name": models.name,
            "version": models.version,
            "sha256": dict(models.network_sha256),
            "meant_for": list(models.meant_for),
            "suitable": models.suitable,
            **CertifiedBy.as_json(models.certified),
        },
        "provider": {
            "requested": str(provider.requested),
            "ran": str(provider.ran),
            "reason": provider.reason,
            "threads": provider.threads,
            "onnxruntime": provider.onnxruntime,
            "precision": str(provider.precision),
            "variants": dict(provider.variants),
            "self_test": None if provider.self_test is None else asdict(provider.self_test),
        },
        "options": None if result.asked is None else result.asked.as_json(),
        "environment": None if result.environment is None else dict(result.environment),
        "thresholds": {"kidney": result.thresholds.kidney, "lesion": result.thresholds.lesion},
        "measuring": {
            "mask_cutoff": result.options.mask_cutoff,
            "borderline": result.options.borderline,
            "placed": result.measures is not None,
        },
        "fingerprint": _fingerprint_json(result.fingerprint),
        "files": [one.as_json() for one in result.files],
        "timings_s": {stage: round(spent, 4) for stage, spent in result.timings_s.items()},
        "sides": {side: _side_json(result, side) for side in SIDES},
    }


def _fingerprint_json(fingerprint: Fingerprint | None) -> Json | None:
    if fingerprint is None:
        return None
    return {
        "inputs_sha256": fingerprint.inputs_sha256,
        "settings_sha256": fingerprint.settings_sha256,
    }


def _side_json(result: CaseResult, side: Side) -> Json:
    finding: SideFinding = result.sides[side]
    measures = result.measures[side] if result.measures else SideMeasures(None, None, None)
    kidney, centre = finding.kidney, finding.kidney.centre
    return {
        "outcome": str(finding.outcome),
        "assessable": not result.flags_of(side),
        "flags": _notes_json(finding.flags),
        "kidney": {
            "probability_sum": kidney.probability_sum,
            **margin_json(kidney.probability_sum, result.thresholds.kidney, result.options),
            "centre_zyx": None if centre is None else list(centre),
            "measures": None if measures.kidney is None else kidney_json(measures.kidney),
        },
        "lesion": None
        if finding.lesion is None
        else {
            **_lesion_json(finding.lesion, picture_name(result.case, side)),
            **margin_json(finding.lesion.probability_sum, result.thresholds.lesion, result.options),
            "measures": None if measures.lesion is None else lesion_json(measures.lesion),
        },
        "sensitivity": None
        if measures.sensitivity is None
        else sensitivity_json(measures.sensitivity),
    }


def series_json(row: SeriesRow) -> Json:
    """One candidate series with its verdict."""
    return {
        "label": row.label,
        "series_instance_uid": row.uid,
        "study_instance_uid": row.study_uid,
        "number": row.number,
        "description": row.description,
        "image_type": row.image_type,
        "contrast": row.contrast,
        "kernel": row.kernel,
        "slices": row.slices,
        "matrix": [row.rows, row.columns],
        "thickness_mm": row.thickness_mm,
        "spacing_mm": row.spacing_mm,
        "extent_mm": row.extent_mm,
        "verdict": row.verdict,
        "reason": row.reason,
    }


def _intake_json(record: IntakeRecord, study: StudyFacts) -> Json:
    reasons = Counter(reason for _, reason in study.left_out)
    return {
        "chosen": None if record.chosen is None else series_json(record.chosen),
        "chosen_because": record.chosen_because,
        "other_series": [series_json(row) for row in record.others],
        "files_found": study.files_found,
        "files_used": record.files_used,
        "files_left_out": len(study.left_out),
        "left_out_reasons": [
            {"reason": reason, "count": count} for reason, count in reasons.most_common()
        ],
        "order": record.order,
        "first": record.first,
        "last": record.last,
        "spacing_zyx_mm": list(study.spacing_zyx_mm),
        "orientation": list(record.orientation),
        "transpose": record.transpose,
        "flip_rows": record.flip_rows,
        "flip_columns": record.flip_columns,
        "patient_position": record.patient_position,
        "transfer_syntax": record.transfer_syntax,
        "lossy": record.lossy,
        "warnings": _notes_json(record.warnings),
    }


def _notes_json(notes: Sequence[Note]) -> list[Json]:
    return [{"code": note.code, "text": note.text} for note in notes]


def _lesion_json(lesion: LesionFinding, picture: str) -> Json:
    box = lesion.box
    return {
        "probability_sum": lesion.probability_sum,
        "slice": None if box is None else box.slice,
        "box_rows": None if box is None else [box.top, box.bottom],
        "box_columns": None if box is None else [box.left, box.right],
        "picture": None if box is None else picture,
    }
