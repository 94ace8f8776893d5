"""Results as JSON (schema version 1) and as the files of a case.

`OUT/<case>.json` for every case, `OUT/<case>_r.png` and `OUT/<case>_l.png` for sides with a
suspected lesion. Files are written under a temporary name and renamed, the JSON last.
"""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rcc_onnx._version import __version__
from rcc_onnx.errors import OutputError
from rcc_onnx.findings import CaseResult, FailedCase, LesionFinding, SideFinding
from rcc_onnx.pictures import lesion_picture, picture_notes
from rcc_onnx.values import SIDES, Side

SCHEMA_VERSION = 1
RESEARCH_ONLY = "Research software, not for diagnosis. A suspected lesion is not a diagnosis."
"""Stands in every output."""

Json = dict[str, Any]


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
        _write_whole(path, lambda to: to.write_text(text + "\n", encoding="utf-8"))
    except OSError as error:
        raise OutputError(
            f"cannot write results to {out}: {error.strerror or error}; choose another --out"
        ) from error
    return path


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
        return document
    study, models, provider = result.study, result.models, result.provider
    return document | {
        "warnings": list(result.warnings),
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
        },
        "thresholds": {"kidney": result.thresholds.kidney, "lesion": result.thresholds.lesion},
        "timings_s": {stage: round(spent, 4) for stage, spent in result.timings_s.items()},
        "sides": {side: _side_json(result, side) for side in SIDES},
    }


def _side_json(result: CaseResult, side: Side) -> Json:
    finding: SideFinding = result.sides[side]
    centre = finding.kidney.centre
    return {
        "outcome": str(finding.outcome),
        "kidney": {
            "probability_sum": finding.kidney.probability_sum,
            "centre_zyx": None if centre is None else list(centre),
        },
        "lesion": None
        if finding.lesion is None
        else _lesion_json(finding.lesion, picture_name(result.case, side)),
    }


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
    if lesion is None or lesion.box is None or isinstance(result, FailedCase):
        path.unlink(missing_ok=True)
        return
    notes = picture_notes(RESEARCH_ONLY, *result.warnings)
    picture = lesion_picture(lesion.crop, lesion.box)
    _write_whole(path, lambda to: picture.save(to, format="PNG", pnginfo=notes))


def _write_whole(path: Path, write: Callable[[Path], object]) -> None:
    """Write under a temporary name in the same folder, then rename: whole or not at all."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        write(temporary)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
