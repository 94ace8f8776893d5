"""What became of each case, as far as it says nothing of whom: from `OUT/<case>.json`."""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from rcc_onnx.diagnostics.support.redact import (
    CaseNumbers,
    Json,
    number,
    numbers,
    phrase,
    picked,
    word,
    words,
)

_OF_DICOM = re.compile(r"1\.2\.840\.10008\.1\.2(\.\d{1,3}){0,3}")
"""UIDs of transfer syntaxes: DICOM's own, of nobody's study."""
_TIME = re.compile(r"\d{4}(-\d\d){2}T[\d:.]{5,15}(Z|\+00:00)")


def read_documents(out: Path) -> Iterator[Json]:
    """The results of cases in a folder, by their files' names; what is none is passed over."""
    for path in sorted(out.glob("*.json")):
        if path.name.startswith("."):
            continue  # what a killed run left half written
        try:
            document = json.loads(path.read_bytes())
        except (OSError, ValueError, RecursionError):
            continue
        if isinstance(document, dict) and "rcc_onnx_version" in document:
            yield document


def is_case(document: Mapping[str, Any]) -> bool:
    """Whether it is a case's document, and not a run's."""
    return isinstance(document.get("case"), str)


def verdict(document: Mapping[str, Any], cases: CaseNumbers) -> Json:
    """A case: what it was, what was done and how long it took. No finding, no text of a header."""
    study = document.get("study")
    intake = document.get("intake")
    error = document.get("error")
    return {
        "case": cases.of(document["case"]),
        **picked(document, status=word, rcc_onnx_version=word, profile=word),
        "error": picked(error, code=word, series=_series),
        "flags": _codes(document.get("flags")),
        "flags_of_sides": _side_flags(document.get("sides")),
        "study": picked(
            study,
            kind=word,
            files_found=number,
            slices_in_series=number,
            slices_analysed=number,
            stride=number,
            spacing_zyx_mm=numbers,
        ),
        "intake": picked(
            intake,
            chosen=_one_series,
            other_series=_series,
            files_used=number,
            files_left_out=number,
            orientation=numbers,
            transpose=number,
            flip_rows=number,
            flip_columns=number,
            transfer_syntax=_transfer_syntax,
            lossy=number,
            warnings=_codes,
        ),
        "models": picked(document.get("models"), name=word, version=word, suitable=number),
        "provider": picked(
            document.get("provider"),
            requested=word,
            ran=word,
            threads=number,
            onnxruntime=word,
            precision=word,
        ),
        "timings_s": numbers(document.get("timings_s")),
    }


def run_facts(document: Mapping[str, Any]) -> Json:
    """`results.json` without its cases' names: what was asked for, where it ran, how it ended."""
    not_reached = document.get("not_reached")
    return {
        **picked(
            document,
            rcc_onnx_version=word,
            started=_time,
            ended=_time,
            seconds=number,
            stopped_by=word,
            options=options,
            environment=environment,
            earlier_cases=number,
        ),
        "counts": picked(
            document.get("counts"), cases=number, analysed=number, failed=number, errors=_counted
        ),
        "not_reached": len(not_reached) if isinstance(not_reached, list) else None,
    }


def options(asked: Any) -> Json:
    """Options as they were asked for; of a series only whether one was."""
    if not isinstance(asked, Mapping):
        return {}
    let = {name: _value(one) for name, one in asked.items() if word(name) and name != "series"}
    return {**let, "series_given": asked.get("series") is not None}


def environment(found: Any) -> Json:
    """Software and machine, as `machine` and `packages` name them."""
    return picked(
        found,
        rcc_onnx=word,
        python=word,
        system=word,
        architecture=word,
        processor=phrase,
        usable_cpus=number,
        packages=lambda packages: (
            {name: word(one) for name, one in packages.items() if word(name)}
            if isinstance(packages, Mapping)
            else None
        ),
    )


def _value(value: Any) -> Any:
    if isinstance(value, list):
        return words(value)
    return word(value) if isinstance(value, str) else number(value)


def _codes(notes: Any) -> list[str]:
    """Codes of notes; their sentences hold what was measured and the names of files."""
    if not isinstance(notes, list):
        return []
    return words([note.get("code") for note in notes if isinstance(note, Mapping)])


def _side_flags(sides: Any) -> Json:
    if not isinstance(sides, Mapping):
        return {}
    of_side = {name: picked(sides.get(name), flags=_codes) for name in ("right", "left")}
    return {name: one.get("flags", []) for name, one in of_side.items()}


def _series(rows: Any) -> list[Json]:
    return [_one_series(row) for row in rows] if isinstance(rows, list) else []


def _one_series(row: Any) -> Json:
    return picked(
        row,
        slices=number,
        matrix=numbers,
        thickness_mm=number,
        spacing_mm=number,
        extent_mm=number,
        verdict=word,
    )


def _transfer_syntax(uid: Any) -> str:
    return uid if isinstance(uid, str) and _OF_DICOM.fullmatch(uid) else "another"


def _time(moment: Any) -> str | None:
    return moment if isinstance(moment, str) and _TIME.fullmatch(moment) else None


def _counted(errors: Any) -> list[Json]:
    rows = errors if isinstance(errors, list) else []
    return [picked(row, code=word, count=number) for row in rows]
