"""Lines of a log file without names: facts by their kind, sentences without what was put into them.

Lines that this software did not write, or that were changed, are left out.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
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
from rcc_onnx.diagnostics.support.verdicts import environment, options

_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?\+00:00")
_LOGGER = re.compile(r"rcc_onnx(\.\w+){0,5}")
_OUR_LINE = re.compile(r"[\w/]+\.py:\d+ in <?\w+>?")
LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
OLDEST = 99
"""Of files that were renamed, FILE.1 and so on."""


def with_older(path: Path) -> Iterator[Path]:
    """The files that were renamed when they were large, the oldest first, and the file itself."""
    older = [path.with_name(f"{path.name}.{number}") for number in range(OLDEST, 0, -1)]
    yield from (one for one in older if one.is_file())
    yield path


def cases_in(lines: Iterable[Json]) -> set[str]:
    """The names of the cases that lines are about."""
    return {line["case"] for line in lines if isinstance(line.get("case"), str)}


def read_lines(path: Path) -> Iterator[Json]:
    """The lines of a log file that are JSON objects.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        for line in file:
            try:
                document = json.loads(line)
            except (ValueError, RecursionError):
                continue
            if isinstance(document, dict):
                yield document


def redacted_line(line: Mapping[str, Any], cases: CaseNumbers) -> Json | None:
    """A line as it may leave a site; None of one that is not ours."""
    known = (
        line.get("level") in LEVELS
        and isinstance(line.get("time"), str)
        and _TIME.fullmatch(line["time"])
        and isinstance(line.get("logger"), str)
        and _LOGGER.fullmatch(line["logger"])
    )
    if not known:
        return None
    found: Json = {
        **{name: line[name] for name in ("time", "level", "logger")},
        "pid": number(line.get("pid")),
        "case": cases.of(line.get("case")),
        "sentence": line["sentence"] if isinstance(line.get("sentence"), str) else None,
    }
    if "data" in line:
        found["data"] = _facts(line["data"])
    if "raised" in line:
        found["raised"] = picked(line["raised"], type=word, lines=_our_lines)
    return found


def _facts(data: Any) -> Json:
    return picked(
        data,
        **dict.fromkeys(("event", "status", "code", "bundle", "version"), word),
        **dict.fromkeys(("provider", "precision", "onnxruntime"), word),
        **dict.fromkeys(("cases", "processes", "analysed", "failed", "not_reached"), number),
        **dict.fromkeys(("seconds", "slices", "threads"), number),
        **dict.fromkeys(("stages", "errors"), numbers),
        **dict.fromkeys(("flags", "warnings"), words),
        models=phrase,
        options=options,
        environment=environment,
    )


def _our_lines(lines: Any) -> list[str]:
    if not isinstance(lines, list):
        return []
    return [one for one in lines if isinstance(one, str) and _OUR_LINE.fullmatch(one)]
