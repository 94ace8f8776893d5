"""What a check of this machine says: one line for each thing that was looked at."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """How a thing is. `absent`: not there, and nothing that everybody needs."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"
    ABSENT = "not there"


@dataclass(frozen=True)
class Line:
    """One thing that was looked at.

    Attributes:
        room: which kind of check: software, machine, provider, decoding, extra, folder, bundle.
        subject: the thing, such as `cpu` or `JPEG 2000`.
        said: what was found, in a sentence.
        mend: what to do about it, in a sentence; "" where nothing needs to be done.
    """

    room: str
    subject: str
    verdict: Verdict
    said: str
    mend: str = ""


def worst(lines: Iterable[Line]) -> Verdict:
    """The verdict on all of it: what is not there takes nothing away."""
    verdicts = {line.verdict for line in lines}
    for one in (Verdict.PROBLEM, Verdict.WARNING):
        if one in verdicts:
            return one
    return Verdict.OK
