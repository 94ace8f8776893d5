"""A result read back from its JSON document, so that work that is done need not be done again.

The inverse of `case_json`, without arrays: `case_json(read_case(document))` is the document.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from rcc_onnx.errors import RccOnnxError, SeveralSeriesError
from rcc_onnx.output.document import SCHEMA_VERSION, Json
from rcc_onnx.output.names import same_everywhere
from rcc_onnx.results import (
    AskedOptions,
    CaseResult,
    CertifiedBy,
    Diameter,
    FailedCase,
    Fingerprint,
    KidneyFinding,
    KidneyMeasures,
    LesionFinding,
    LesionMeasures,
    MeasuringOptions,
    ModelsUsed,
    Position,
    Sensitivity,
    SideFinding,
    SideMeasures,
    SourceBox,
    StudyFacts,
    WrittenFile,
)
from rcc_onnx.runtime.providers import ProviderRecord, SelfTestRecord
from rcc_onnx.types import (
    SIDES,
    Centre,
    IntakeRecord,
    LesionBox,
    Note,
    Outcome,
    Precision,
    Profile,
    ProviderName,
    SeriesRow,
    Side,
    Thresholds,
)

_Made = TypeVar("_Made")


def read_case(document: Json) -> CaseResult | None:
    """The result that a document holds; None if it holds none, or not as this version writes it."""
    if document.get("schema_version") != SCHEMA_VERSION or document.get("status") != "analysed":
        return None
    try:
        return _case(document)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError):
        # Somebody else's file, or one that was edited by hand.
        return None


def read_failed(document: Json) -> FailedCase | None:
    """The same of a case that failed."""
    if document.get("schema_version") != SCHEMA_VERSION or document.get("status") != "failed":
        return None
    try:
        return FailedCase(
            document["case"],
            Profile(document["profile"]),
            _error(document["error"]),
            _maybe(lambda one: Fingerprint(**one), document.get("fingerprint")),
        )
    except (KeyError, TypeError, ValueError, IndexError, AttributeError):
        return None


def read_results(out: Path) -> list[CaseResult | FailedCase]:
    """Every result in a folder that this version reads, by name. Other files are passed over."""
    found = [_read(path) for path in sorted(out.glob("*.json"))]
    return [one for one in found if one is not None]


def _read(path: Path) -> CaseResult | FailedCase | None:
    try:
        document = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    if not isinstance(document, dict):
        return None
    found = read_case(document) or read_failed(document)
    # A file that was copied under another name is nobody's result.
    same = found is not None and same_everywhere(path.name) == same_everywhere(f"{found.case}.json")
    return found if same else None


def _error(document: Json) -> RccOnnxError:
    """An error of the same code and message, and of the same kind where one can be made of the
    message alone."""
    code, message = document["code"], document["message"]
    error = _kinds().get(code, RccOnnxError)(message)
    error.code = code
    if isinstance(error, SeveralSeriesError):
        error.series = tuple(_series(one) for one in document["series"])
    return error if str(error) == message else RccOnnxError(message, code)


def _kinds() -> dict[str, type[RccOnnxError]]:
    """Every kind of error by its code."""
    found: dict[str, type[RccOnnxError]] = {}
    waiting = [RccOnnxError]
    while waiting:
        kind = waiting.pop()
        found |= dict.fromkeys((kind.code, *vars(kind).get("codes", ())), kind)
        waiting += kind.__subclasses__()
    return found


def _case(document: Json) -> CaseResult:
    study, models, provider = document["study"], document["models"], document["provider"]
    measuring, sides = document["measuring"], document["sides"]
    intake = document["intake"]
    return CaseResult(
        case=document["case"],
        profile=Profile(document["profile"]),
        thresholds=Thresholds(document["thresholds"]["kidney"], document["thresholds"]["lesion"]),
        sides={side: _side(sides[side]) for side in SIDES},
        study=StudyFacts(
            kind=study["kind"],
            files_found=study["files_found"],
            slices_in_series=study["slices_in_series"],
            slices_analysed=study["slices_analysed"],
            stride=study["stride"],
            spacing_zyx_mm=_three(study["spacing_zyx_mm"]),
            left_out=tuple((one["file"], one["reason"]) for one in study["left_out"]),
            images_sha256=study["images_sha256"],
        ),
        models=ModelsUsed(
            name=models["name"],
            version=models["version"],
            network_sha256=models["sha256"],
            meant_for=tuple(models["meant_for"]),
            suitable=models["suitable"],
            certified=CertifiedBy.from_json(models),
        ),
        provider=ProviderRecord(
            requested=ProviderName(provider["requested"]),
            ran=ProviderName(provider["ran"]),
            reason=provider["reason"],
            threads=provider["threads"],
            onnxruntime=provider["onnxruntime"],
            precision=Precision(provider["precision"]),
            variants=provider["variants"],
            self_test=_maybe(lambda one: SelfTestRecord(**one), provider["self_test"]),
        ),
        timings_s=document["timings_s"],
        warnings=tuple(document["warnings"]),
        flags=_notes(document["flags"]),
        intake=None if intake is None else _intake(intake),
        options=MeasuringOptions(measuring["mask_cutoff"], measuring["borderline"]),
        asked=_maybe(AskedOptions.from_json, document["options"]),
        environment=document["environment"],
        files=tuple(WrittenFile.from_json(one) for one in document["files"]),
        fingerprint=_maybe(lambda one: Fingerprint(**one), document["fingerprint"]),
        measures=_measures(sides) if measuring["placed"] else None,
    )


def _side(document: Json) -> SideFinding:
    kidney, lesion = document["kidney"], document["lesion"]
    return SideFinding(
        outcome=Outcome(document["outcome"]),
        kidney=KidneyFinding(
            kidney["probability_sum"], _maybe(lambda at: Centre(*at), kidney["centre_zyx"])
        ),
        lesion=None
        if lesion is None
        else LesionFinding(
            lesion["probability_sum"],
            None
            if lesion["slice"] is None
            else LesionBox(lesion["slice"], *lesion["box_rows"], *lesion["box_columns"]),
        ),
        flags=_notes(document["flags"]),
    )


def _measures(sides: Json) -> Mapping[Side, SideMeasures]:
    return {
        side: SideMeasures(
            _maybe(lambda kidney: KidneyMeasures(**kidney), sides[side]["kidney"]["measures"]),
            _maybe(_lesion, (sides[side]["lesion"] or {}).get("measures")),
            _maybe(_sensitivity, sides[side]["sensitivity"]),
        )
        for side in SIDES
    }


def _lesion(document: Json) -> LesionMeasures:
    diameter, box = document["longest_axial_diameter"], document["box"]
    one_file, other_file = (_two(end) for end in diameter["ends_row_column"])
    one_lps, other_lps = (_three(end) for end in diameter["ends_lps_mm"])
    first_uid, last_uid = box["sop_instance_uids"]
    return LesionMeasures(
        volume_ml=document["volume_ml"],
        parts=document["parts"],
        diameter=Diameter(
            length_mm=diameter["mm"],
            slice=diameter["slice"],
            sop_instance_uid=diameter["sop_instance_uid"],
            frame=diameter["frame"],
            ends_lps_mm=(one_lps, other_lps),
            ends_file=(one_file, other_file),
        ),
        centre_lps_mm=_three(document["centre_lps_mm"]),
        box=SourceBox(
            slices=_two(box["slices"]),
            sop_instance_uids=(first_uid, last_uid),
            rows=_two(box["rows"]),
            columns=_two(box["columns"]),
            lowest_lps_mm=_three(box["lowest_lps_mm"]),
            highest_lps_mm=_three(box["highest_lps_mm"]),
        ),
        touches_crop_border=document["touches_crop_border"],
        mean_hu=document["mean_hu"],
    )


def _sensitivity(document: Json) -> Sensitivity:
    return Sensitivity(
        thresholds=tuple(document["lesion_thresholds"]),
        outcomes=tuple(Outcome(one) for one in document["outcomes"]),
        cutoffs=tuple(document["mask_cutoffs"]),
        kidney_volumes_ml=tuple(document["kidney_volumes_ml"]),
        lesion_volumes_ml=_maybe(tuple, document["lesion_volumes_ml"]),
    )


def _intake(document: Json) -> IntakeRecord:
    return IntakeRecord(
        chosen=_maybe(_series, document["chosen"]),
        chosen_because=document["chosen_because"],
        others=tuple(_series(one) for one in document["other_series"]),
        files_used=document["files_used"],
        order=document["order"],
        first=document["first"],
        last=document["last"],
        orientation=tuple(document["orientation"]),
        transpose=document["transpose"],
        flip_rows=document["flip_rows"],
        flip_columns=document["flip_columns"],
        patient_position=document["patient_position"],
        transfer_syntax=document["transfer_syntax"],
        lossy=document["lossy"],
        warnings=_notes(document["warnings"]),
    )


def _series(document: Json) -> SeriesRow:
    rows, columns = document["matrix"]
    own = {name: value for name, value in document.items() if name not in _RENAMED}
    renamed = {_RENAMED[name]: document[name] for name in _RENAMED if name != "matrix"}
    return SeriesRow(**own, **renamed, rows=rows, columns=columns)


_RENAMED = {
    "series_instance_uid": "uid",
    "study_instance_uid": "study_uid",
    "matrix": "",
}
"""Fields of a series' document that `SeriesRow` calls otherwise."""


def _notes(documents: Sequence[Json]) -> tuple[Note, ...]:
    return tuple(Note(one["code"], one["text"]) for one in documents)


def _maybe(make: Callable[[Any], _Made], document: Any) -> _Made | None:
    return None if document is None else make(document)


def _two(values: Sequence[int]) -> tuple[int, int]:
    one, other = values
    return one, other


def _three(values: Sequence[float]) -> Position:
    x, y, z = values
    return x, y, z
