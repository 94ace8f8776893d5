"""The whole report: every check after the other, whatever becomes of each."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rcc_onnx._version import __version__
from rcc_onnx.doctor.lines import Line, Verdict, worst
from rcc_onnx.notice import RESEARCH_ONLY

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class Report:
    """What was found on this machine, line by line."""

    lines: tuple[Line, ...]

    @property
    def verdict(self) -> Verdict:
        """`problem` if there is one, else `warning` if there is one, else `ok`."""
        return worst(self.lines)


def doctor_report(models: str | None = None, out: Path | None = None) -> Report:
    """Look at everything that an analysis needs on this machine. Takes some seconds.

    No line holds the name of the machine or of its user, and paths below the home folder start
    with `~`, so that a report can be given away.

    Args:
        models: the only bundle to look at, by name or folder. None: all that are found.
        out: a folder that results are to go to.
    """
    return Report(())


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
