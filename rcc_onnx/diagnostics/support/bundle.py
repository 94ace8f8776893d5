"""The zip file that a site can send to those who help: what is in it, and how it is written."""

import json
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from rcc_onnx._version import __version__
from rcc_onnx.diagnostics.doctor import doctor_report, report_json
from rcc_onnx.diagnostics.support.log_lines import cases_in, read_lines, redacted_line, with_older
from rcc_onnx.diagnostics.support.redact import CaseNumbers, Json, Sentences
from rcc_onnx.diagnostics.support.verdicts import (
    environment,
    is_case,
    read_documents,
    run_facts,
    verdict,
)
from rcc_onnx.errors import SupportError
from rcc_onnx.output.case import write_whole
from rcc_onnx.system.host import machine, packages
from rcc_onnx.system.log_privacy import our_lines
from rcc_onnx.types import counted

_NO_DATE = (1980, 1, 1, 0, 0, 0)
"""The earliest that zip files know."""

README = """\
A support bundle of rcc-onnx {version}, written by `rcc-onnx support-bundle`.

PLEASE LOOK AT IT BEFORE YOU SEND IT. These are text files; any editor shows them. What is in here
was let through by its kind, and nobody has looked at it yet.

{members}

Cases are called case-0001 and so on, the same in all files of this bundle, in no order that says
anything but that of their names. Which is which, only the folder of results and the log files tell.

Left out: images and masks, findings, names of cases, folders and files, texts of headers, dates of
studies, UIDs of studies and series, names of the user and of the machine. Times are those of the
analyses. Of a message in a log, the sentence and its numbers are here; other values are <...>.
"""


@dataclass(frozen=True)
class Packed:
    """A member of the bundle, and a word on what it is."""

    name: str
    about: str
    data: bytes


def write_bundle(
    out: Path, to: Path, logs: Sequence[Path] = (), *, overwrite: bool = False
) -> tuple[Packed, ...]:
    """Write a support bundle about a folder of results, and say what is in it.

    Args:
        out: the folder that `infer` wrote to.
        to: the zip file; whole, or not there.
        logs: log files; those that were renamed beside them are taken too.
        overwrite: take the place of a file that is there.

    Raises:
        SupportError (support-input): there is no such folder or log file.
        SupportError (support-bundle-exists): the zip file is there.
        SupportError (support-bundle): it cannot be written.
    """
    if not out.is_dir():
        raise SupportError(
            f"{out} is no folder; name the one that `infer` wrote results to", code="support-input"
        )
    if to.exists() and not overwrite:
        raise SupportError(
            f"{to} is there already; choose another, or --overwrite", code="support-bundle-exists"
        )
    members = _members(out, logs)
    try:
        write_whole(to, partial(_write_zip, members))
    except OSError as error:
        raise SupportError(
            f"cannot write {to}: {error.strerror or error}; choose another --to, in a folder that "
            "exists",
            code="support-bundle",
        ) from error
    return members


def _members(out: Path, logs: Sequence[Path]) -> tuple[Packed, ...]:
    documents = list(read_documents(out))
    results = [one for one in documents if is_case(one)]
    lines = [_lines_of(path) for path in logs]
    of_logs = {name for own in lines for name in cases_in(own)}
    cases = CaseNumbers({one["case"] for one in results} | of_logs)
    verdicts = [verdict(one, cases) for one in results]
    runs = [run_facts(one) for one in documents if not is_case(one)]
    members = [
        _json("verdicts.json", f"what became of {counted(len(verdicts), 'case')}", verdicts),
        _json("run.json", "the run: options, versions, counts", runs),
        _json("machine.json", "this machine and its software", _machine()),
        _json("doctor.json", "the report of `rcc-onnx doctor`", _doctor()),
    ]
    for number, own in enumerate(lines, 1):
        kept = [one for one in (redacted_line(line, cases) for line in own) if one is not None]
        text = "".join(json.dumps(one) + "\n" for one in kept)
        about = f"{len(kept)} lines of a log, {len(own) - len(kept)} left out"
        members.append(Packed(f"log-{number}.jsonl", about, text.encode()))
    listed = "\n".join(f"{one.name:<15} {one.about}" for one in members)
    readme = README.format(version=__version__, members=listed)
    return (Packed("README.txt", "what is in here", readme.encode()), *members)


def _lines_of(path: Path) -> list[Json]:
    try:
        return [line for one in with_older(path) for line in read_lines(one)]
    except OSError as error:
        raise SupportError(
            f"the log file {path} cannot be read: {error.strerror or error}", code="support-input"
        ) from error


def _machine() -> Json:
    return environment({**machine(), "packages": packages()})


def _doctor_json() -> Any:
    """The doctor's report as it is."""
    return report_json(doctor_report())


def _doctor() -> Any:
    """The doctor's report, with places of this machine taken out of its sentences."""
    try:
        report = _doctor_json()
    except Exception as error:
        # A machine on which that fails is one that a support bundle is made on.
        return {"failed": type(error).__name__, "lines": our_lines(error.__traceback__)}
    return Sentences.of_this_machine().clean(report)


def _json(name: str, about: str, document: Any) -> Packed:
    return Packed(name, about, (json.dumps(document, indent=2) + "\n").encode())


def _write_zip(members: Sequence[Packed], to: Path) -> None:
    with zipfile.ZipFile(to, "w") as archive:
        for member in members:
            info = zipfile.ZipInfo(member.name, _NO_DATE)
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, member.data)
