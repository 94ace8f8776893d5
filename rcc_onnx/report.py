"""Results as JSON (schema version 1) and as the files of a case.

`OUT/<case>.json` for every case, `OUT/<case>_r.png` and `OUT/<case>_l.png` for sides with a
suspected lesion. Files are written under a temporary name and renamed, the JSON last.
"""

import json
import os
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rcc_onnx._version import __version__
from rcc_onnx.errors import OutputError, SeveralSeriesError
from rcc_onnx.findings import CaseResult, FailedCase, LesionFinding, SideFinding, StudyFacts
from rcc_onnx.intake_record import IntakeRecord, Note, SeriesRow
from rcc_onnx.measures import SideMeasures
from rcc_onnx.measures_json import kidney_json, lesion_json, margin_json, sensitivity_json
from rcc_onnx.pictures import lesion_picture, picture_notes
from rcc_onnx.values import SIDES, Side

SCHEMA_VERSION = 1
RESEARCH_ONLY = "Research software, not for diagnosis. A suspected lesion is not a diagnosis."
"""Stands in every output."""

Json = dict[str, Any]


def prepare_output(out: Path) -> None:
    """Make the folder for results, and see that files can be written there, before hours of work.

    Raises:
        OutputError: they cannot.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        _write_whole(out / ".rcc-onnx", lambda to: to.write_bytes(b""))
        (out / ".rcc-onnx").unlink()
    except OSError as error:
        raise _cannot_write(out, error) from error


def write_case(result: CaseResult | FailedCase, out: Path) -> Path:
    """Write the files of a case into `out` and give back the JSON's path.

    Pictures that an earlier run left for this case and that this result does not have are removed,
    so that no old finding stands beside a new answer.

    Raises:
        OutputError: a file cannot be written.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        for side in SIDES:
            _write_picture(result, side, out)
        path = out / f"{result.case}.json"
        text = json.dumps(case_json(result), indent=2, ensure_ascii=False, allow_nan=False)
        # File names are bytes on Linux, and old ones are not UTF-8: Python holds such a byte as a
        # lone surrogate, which is written as JSON's own escape of it.
        data = (text + "\n").encode("utf-8", "backslashreplace")
        _write_whole(path, lambda to: to.write_bytes(data))
    except OSError as error:
        raise _cannot_write(out, error) from error
    return path


def _cannot_write(out: Path, error: OSError) -> OutputError:
    return OutputError(
        f"cannot write results to {out}: {error.strerror or error}; choose another --out"
    )


def picture_name(case: str, side: Side) -> str:
    return f"{case}_{side[0]}.png"


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
        return document
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
        },
        "models": {
            "name": models.name,
            "version": models.version,
            "sha256": dict(models.network_sha256),
            "meant_for": list(models.meant_for),
            "suitable": models.suitable,
        },
        "provider": {
            "requested": str(provider.requested),
            "ran": str(provider.ran),
            "reason": provider.reason,
            "threads": provider.threads,
            "onnxruntime": provider.runtime,
            "precision": str(provider.precision),
            "forms": dict(provider.forms),
        },
        "thresholds": {"kidney": result.thresholds.kidney, "lesion": result.thresholds.lesion},
        "measuring": {
            "mask_cutoff": result.options.mask_cutoff,
            "borderline": result.options.borderline,
            "placed": result.measures is not None,
        },
        "timings_s": {stage: round(spent, 4) for stage, spent in result.timings_s.items()},
        "sides": {side: _side_json(result, side) for side in SIDES},
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


def _write_picture(result: CaseResult | FailedCase, side: Side, out: Path) -> None:
    path = out / picture_name(result.case, side)
    lesion = result.sides[side].lesion if isinstance(result, CaseResult) else None
    if isinstance(result, FailedCase) or lesion is None or lesion.box is None:
        path.unlink(missing_ok=True)
        return
    notes = picture_notes(RESEARCH_ONLY, *result.warnings)
    if result.network_images is None:
        raise AssertionError("a result whose images were dropped cannot be written")
    picture = lesion_picture(result.network_images.crops[side].values, lesion.box)
    _write_whole(path, lambda to: picture.save(to, format="PNG", pnginfo=notes))


def _write_whole(path: Path, write: Callable[[Path], object]) -> None:
    """Write under a temporary name in the same folder, then rename: whole or not at all."""
    # Not made from the file's name, which may be as long as names can be.
    temporary = path.with_name(f".rcc-onnx-{os.getpid()}.part")
    try:
        write(temporary)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
