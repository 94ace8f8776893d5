"""The whole report: every check after the other, whatever becomes of each."""

import getpass
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rcc_onnx._version import __version__
from rcc_onnx.bundles.bundle import Bundle
from rcc_onnx.diagnostics.doctor import decoding, hardware, places, running, software
from rcc_onnx.diagnostics.doctor.lines import Line, Verdict, worst
from rcc_onnx.types import RESEARCH_ONLY

SCHEMA_VERSION = 1

Tell = Callable[[str], None]
"""Takes the name of the room that is looked at next."""


@dataclass(frozen=True)
class Report:
    """What was found on this machine, line by line."""

    lines: tuple[Line, ...]

    @property
    def verdict(self) -> Verdict:
        """`problem` if there is one, else `warning` if there is one, else `ok`."""
        return worst(self.lines)


def doctor_report(
    models: str | None = None, out: Path | None = None, tell: Tell = lambda room: None
) -> Report:
    """Look at everything that an analysis needs on this machine. Takes some seconds.

    No line holds the name of the machine or of its user, and paths below the home folder start
    with `~`, so that a report can be given away. A check that itself fails is a line too.

    Args:
        models: the only bundle to look at, by name or folder. None: all that are found.
        out: a folder that results are to go to.
        tell: called with each room that is looked at.
    """
    before = software.device_ids()
    lines: list[Line] = []
    bundles: list[Bundle | None] = [None]

    def found_bundles() -> Iterable[Line]:
        said, bundles[0] = places.bundle_lines(models)
        return said

    checks: tuple[tuple[str, Callable[[], Iterable[Line]]], ...] = (
        (software.ROOM, software.python_lines),
        (software.ROOM, software.package_lines),
        (software.ROOM, software.runtime_lines),
        (hardware.ROOM, hardware.processor_lines),
        (hardware.ROOM, hardware.cpu_lines),
        (hardware.ROOM, hardware.memory_lines),
        (places.BUNDLES, found_bundles),
        (running.ROOM, lambda: running.provider_lines(bundles[0])),
        (decoding.ROOM, decoding.decoding_lines),
        ("extras", software.extra_lines),
        (places.FOLDERS, lambda: places.folder_lines(out)),
        ("telemetry", lambda: software.telemetry_lines(before)),
    )
    for room, check in checks:
        tell(room)
        lines += _whatever_happens(room, check)
    hide = _hider()
    return Report(
        tuple(
            replace(one, subject=hide(one.subject), said=hide(one.said), mend=hide(one.mend))
            for one in lines
        )
    )


def report_json(report: Report) -> dict[str, Any]:
    """The report as a document, schema version 1 (docs/doctor.md)."""
    return {
        "schema_version": SCHEMA_VERSION,
        "rcc_onnx_version": __version__,
        "notice": RESEARCH_ONLY,
        "verdict": str(report.verdict),
        "lines": [
            {
                "room": line.room,
                "subject": line.subject,
                "verdict": str(line.verdict),
                "said": line.said,
                "mend": line.mend or None,
            }
            for line in report.lines
        ],
    }


def _whatever_happens(room: str, check: Callable[[], Iterable[Line]]) -> list[Line]:
    """The lines of a check, and one more if it breaks."""
    lines: list[Line] = []
    try:
        lines.extend(check())  # keeps what came before a failure
    except Exception as error:
        text = str(error).strip().splitlines()
        said = f"this check failed: {type(error).__name__}{': ' + text[0] if text else ''}"
        mend = "This is a defect: please report it."
        lines.append(Line(room, "check", Verdict.PROBLEM, said, mend))
    return lines


def _hider() -> Callable[[str], str]:
    """What takes the user out of a text: home folders become `~`, names in paths `USER`."""
    homes = []
    try:
        home = Path.home()
        homes = [str(one) for one in dict.fromkeys((home, home.resolve())) if len(one.parts) > 1]
    except (RuntimeError, OSError):
        pass
    try:
        user = getpass.getuser()
    except (OSError, KeyError, ImportError):
        user = ""

    def hide(text: str) -> str:
        for one in sorted(homes, key=len, reverse=True):
            text = re.sub(rf"{re.escape(one)}(?![\w.-])", "~", text)
        if user:
            text = re.sub(rf"(?<=[/\\]){re.escape(user)}(?=[/\\]|$|[\s:;,])", "USER", text)
        return text

    return hide
