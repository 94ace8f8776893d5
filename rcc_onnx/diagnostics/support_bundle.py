"""A zip file for support: versions, the doctor's report, counts, codes and logs.

Nothing of a patient and no name goes in. Values are let through by what they are, numbers and words
that this software chose; only messages of the doctor, which may name folders, are searched.
"""

import getpass
import json
import os
import platform
import re
import zipfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from rcc_onnx._version import __version__
from rcc_onnx.diagnostics.doctor import run_doctor
from rcc_onnx.errors import SupportError
from rcc_onnx.output.folder import OutputFolder
from rcc_onnx.results import CaseResult, FailedCase
from rcc_onnx.system.documents import Json, document_bytes, to_json
from rcc_onnx.system.files import write_whole
from rcc_onnx.system.host import environment
from rcc_onnx.system.log_privacy import our_lines
from rcc_onnx.types import counted

README = f"""\
A support bundle of rcc-onnx {__version__}, written by `rcc-onnx support-bundle`.

PLEASE LOOK AT IT BEFORE YOU SEND IT. These are text files that any editor shows.

summary.json    versions, this machine, how many cases there are and how often each code occurs
doctor.json     the report of `rcc-onnx doctor`
log-N.jsonl     the log files in the order in which they were named

Cases are called case-0001 and so on; only your log files tell which is which. Left out: images,
findings, names of cases, folders and files, texts of headers, dates and UIDs of studies, names of
the user and of the machine. <...> stands for values in log messages that may be names.
"""

_NO_DATE = (1980, 1, 1, 0, 0, 0)
"""The earliest that zip files know."""


@dataclass(frozen=True)
class Member:
    """A file in the bundle."""

    name: str
    description: str
    data: bytes


def write_support_bundle(
    out: Path, to: Path, logs: Sequence[Path] = (), *, overwrite: bool = False
) -> tuple[Member, ...]:
    """Write a support bundle about a folder of results, whole or not at all; return what is in it.

    Args:
        out: the folder that `infer` wrote to.
        to: the zip file.
        logs: log files; those that were rotated beside them are taken too.
        overwrite: replace a file that exists.

    Raises:
        SupportError (support-input): there is no such folder or log file.
        SupportError (support-bundle-exists): the zip file exists.
        SupportError (support-bundle): it cannot be written.
    """
    if not out.is_dir():
        message = f"{out} is not a folder; name the one that `infer` wrote to"
        raise SupportError(message, code="support-input")
    if to.exists() and not overwrite:
        message = f"{to} exists already; choose another, or --overwrite"
        raise SupportError(message, code="support-bundle-exists")
    summary = _summary(out)
    cases = counted(summary["analysed"] + summary["failed"], "case")
    members = (
        Member("README.txt", "what is in here", README.encode()),
        Member("summary.json", f"versions, counts and codes of {cases}", document_bytes(summary)),
        Member("doctor.json", "the report of `rcc-onnx doctor`", document_bytes(_doctor())),
        *_log_members(logs),
    )
    try:
        write_whole(to, partial(_write_zip, members))
    except OSError as error:
        reason = error.strerror or error
        message = f"cannot write {to}: {reason}; choose another --to, in a folder that exists"
        raise SupportError(message, code="support-bundle") from error
    return members


def _write_zip(members: Sequence[Member], to: Path) -> None:
    with zipfile.ZipFile(to, "w") as archive:
        for member in members:
            info = zipfile.ZipInfo(member.name, _NO_DATE)
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, member.data)


# --- Counts and codes ----------------------------------------------------------------------------


def _summary(out: Path) -> dict[str, Json]:
    """Return versions, the machine, and how many cases have each status and code."""
    try:
        results = OutputFolder(out).results()
    except OSError as error:
        message = f"{out} cannot be read: {error.strerror or error}"
        raise SupportError(message, code="support-input") from error
    analysed = [result for result in results if isinstance(result, CaseResult)]
    flags = Counter(note.code for result in analysed for note in result.flags)
    for result in analysed:
        flags.update(note.code for finding in result.sides.values() for note in finding.flags)
    return {
        "environment": environment(),
        "analysed": len(analysed),
        "failed": len(results) - len(analysed),
        "errors": Counter(
            result.error.code for result in results if isinstance(result, FailedCase)
        ),
        "flags": flags,
        "warnings": Counter(
            note.code for result in analysed if result.intake for note in result.intake.warnings
        ),
    }


# --- Logs ----------------------------------------------------------------------------------------

ROTATED = 99
"""Most files FILE.1, FILE.2 and so on that are taken."""
HEAD = {
    "time": re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?\+00:00"),
    "level": re.compile("DEBUG|INFO|WARNING|ERROR|CRITICAL"),
    "logger": re.compile(r"rcc_onnx(\.\w+){0,5}"),
}
"""What every line that rcc-onnx writes has."""
FACTS = (
    *("event", "status", "code", "bundle", "version", "provider", "precision", "onnxruntime"),
    *("models", "cases", "processes", "analysed", "failed", "not_reached", "seconds", "slices"),
    *("threads", "stages", "errors", "flags", "warnings", "options", "environment"),
)
"""Fields of `data` that are let through, if their values can be (docs/operations.md)."""

_CODE_LINE = re.compile(r"[\w/]+\.py:\d+ in <?\w+>?")
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+_-]{0,79}")
_PHRASE = re.compile(r"[A-Za-z0-9][A-Za-z0-9 .,+()@_-]{0,119}")
"""For fields of several words: `models` and `processor`."""


def _log_members(logs: Sequence[Path]) -> Iterator[Member]:
    lines_by_log = []
    for path in logs:
        older = [path.with_name(f"{path.name}.{number}") for number in range(ROTATED, 0, -1)]
        files = (*(file for file in older if file.is_file()), path)
        try:
            lines_by_log.append([line for file in files for line in _read_lines(file)])
        except OSError as error:
            message = f"the log file {path} cannot be read: {error.strerror or error}"
            raise SupportError(message, code="support-input") from error
    cases = {str(line["case"]) for lines in lines_by_log for line in lines if line.get("case")}
    numbers = {name: f"case-{number:04}" for number, name in enumerate(sorted(cases), start=1)}
    for index, lines in enumerate(lines_by_log, start=1):
        kept = [made for line in lines if (made := redact_line(line, numbers)) is not None]
        description = f"{len(kept)} lines of a log, {len(lines) - len(kept)} left out"
        data = "".join(json.dumps(line) + "\n" for line in kept).encode()
        yield Member(f"log-{index}.jsonl", description, data)


def _read_lines(path: Path) -> Iterator[Mapping[str, Json]]:
    """Yield the lines that are JSON objects. Raises OSError."""
    with path.open("rb") as file:
        for line in file:
            with suppress(ValueError, RecursionError):
                document = json.loads(line)
                if isinstance(document, dict):
                    yield document


def redact_line(line: Mapping[str, Json], numbers: Mapping[str, str]) -> Json:
    """Return a line of a log without names; None for one that rcc-onnx did not write.

    Args:
        line: as docs/operations.md describes it. `message` is left out, `sentence` is taken.
        numbers: what stands for each case's name.
    """
    if not all(pattern.fullmatch(str(line.get(name))) for name, pattern in HEAD.items()):
        return None
    made = {name: line[name] for name in HEAD}
    made["pid"] = allow(line.get("pid"))
    made["case"] = numbers.get(str(line.get("case")))
    made["sentence"] = line["sentence"] if isinstance(line.get("sentence"), str) else None
    data, raised = line.get("data"), line.get("raised")
    if isinstance(data, dict):
        made["data"] = allow({name: data[name] for name in data if name in FACTS})
    if isinstance(raised, dict):
        places = raised.get("lines")
        places = places if isinstance(places, list) else []
        lines = [place for place in places if _CODE_LINE.fullmatch(str(place))]
        made["raised"] = {"type": allow(raised.get("type")), "lines": lines}
    return made


def allow(value: Json, words: re.Pattern[str] = _WORD) -> Json:
    """Return what of a value can hold no name: numbers, and words without the marks of paths.

    Other texts become None. The option `series` is left out: it may be a UID.
    """
    if isinstance(value, dict):
        return {
            name: allow(part, _PHRASE if name in {"models", "processor"} else _WORD)
            for name, part in value.items()
            if _WORD.fullmatch(name) and name != "series"
        }
    if isinstance(value, list):
        return [allow(item) for item in value]
    if isinstance(value, str):
        return value if words.fullmatch(value) else None
    return value


# --- The doctor's report -------------------------------------------------------------------------

_FROM_PATH = r"(?<![\w<>])(?:[A-Za-z]:[\\/]|\\\\|~?/).*"
"""A path, and the rest of the message: where a path with spaces ends is not known."""
_SHORTEST_NAME = 3
"""Letters. A shorter name of a user or a machine is in many words by chance."""


def _doctor() -> Json:
    try:
        report = to_json(run_doctor())
    except Exception as error:
        # A machine on which that fails is one that a support bundle is made on.
        return {"failed": type(error).__name__, "lines": our_lines(error.__traceback__)}
    for check in report["checks"]:
        check |= {name: redact_message(text) for name, text in check.items() if text}
    return report


def redact_message(text: str) -> str:
    """Return a message without paths and names of the user and the machine."""
    variables = ("USER", "LOGNAME", "USERNAME", "HOSTNAME", "COMPUTERNAME", "USERDOMAIN")
    names = {os.environ.get(name, "") for name in variables}
    names |= {platform.node(), platform.node().partition(".")[0]}
    with suppress(OSError, KeyError, ImportError):  # the user of a service may have no name
        names.add(getpass.getuser())
    text = re.sub(_FROM_PATH, "<path>", text, flags=re.DOTALL)
    for name in sorted(names, key=len, reverse=True):
        if len(name) >= _SHORTEST_NAME:
            whole = rf"(?<![\w-]){re.escape(name)}(?![\w-])"
            text = re.sub(whole, "<name>", text, flags=re.IGNORECASE)
    return text
