"""Log records that may be told, to a terminal, a file or another process: nothing of a patient.

What libraries say of headers is not heard, and of an exception only its type and our own lines are
told: its message may quote what it stumbled over.
"""

import json
import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path
from types import TracebackType
from typing import Any, cast

# Text from outside, such as a file's name, made fit to be shown on a terminal.

_NOT_SHOWN = re.compile(
    # Controls, escape sequences and line breaks among them; what turns the direction of text; and
    # what Python has for bytes of names that are no UTF-8.
    "[\x00-\x1f\x7f-\x9f\u2028\u2029\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)


def sanitize(text: str) -> str:
    """The text in one line, with an escape such as `\\x1b` for what a terminal would act upon."""
    return _NOT_SHOWN.sub(lambda found: ascii(found[0])[1:-1], text)


QUOTING = ("pydicom", "highdicom")
"""Libraries whose messages may hold a header's values."""
PACKAGE = "rcc_onnx"


class SafeText(str):
    """Text that this software made of its own words; no name of anything is in it."""

    __slots__ = ()


_case: ContextVar[str | None] = ContextVar("case", default=None)
_FOLDER = Path(__file__).resolve().parents[1]


@contextmanager
def case_context(name: str) -> Iterator[None]:
    """What this thread logs in the block is about the case."""
    before = _case.set(name)
    try:
        yield
    finally:
        _case.reset(before)


def is_heard(record: logging.LogRecord) -> bool:
    """Whether a record is told at all: ours, and the warnings of those who quote no headers.

    They are told by name: a level that a logger is given is set anew when pydicom is imported.
    """
    package = record.name.split(".")[0]
    return package == PACKAGE or (package not in QUOTING and record.levelno >= logging.WARNING)


class PrivacyFilter(logging.Filter):
    """For every handler: passes what is heard, and notes what only the thread that logs knows."""

    def filter(self, record: logging.LogRecord) -> bool:
        if not is_heard(record):
            return False
        if not hasattr(record, "case"):
            record.case = _case.get()
        if record.exc_info and not hasattr(record, "raised"):
            kind, _, trace = record.exc_info
            record.raised = {"type": getattr(kind, "__name__", "?"), "lines": our_lines(trace)}
        return True


class PlainFormatter(logging.Formatter):
    """A line of text, and our lines of an exception, never its message."""

    def format(self, record: logging.LogRecord) -> str:
        text = f"{record.levelname} {record.name}: {sanitize(message_of(record))}"
        raised = getattr(record, "raised", None)
        if raised is None:
            return text
        return "\n".join([text, f"  {raised['type']}", *(f"  {one}" for one in raised["lines"])])


class JsonFormatter(logging.Formatter):
    """One line of JSON: docs/logs.md says what is in it."""

    def format(self, record: logging.LogRecord) -> str:
        document: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "pid": record.process,
            "case": getattr(record, "case", None),
            "message": message_of(record),
            "sentence": sentence_of(record),
        }
        for extra in ("data", "raised"):
            if getattr(record, extra, None) is not None:
                document[extra] = getattr(record, extra)
        return json.dumps(document, ensure_ascii=False, default=str)


def message_of(record: logging.LogRecord) -> str:
    """The message with its values in it; without them where they do not fit."""
    try:
        return record.getMessage()
    except Exception:
        return str(record.msg)


def sentence_of(record: logging.LogRecord) -> str | None:
    """The message with numbers and words of ours in it, and <...> for all other values, which may
    be names; None where others than we wrote it."""
    if hasattr(record, "sentence"):
        return cast("str | None", record.sentence)
    if record.name.split(".")[0] != PACKAGE or not isinstance(record.msg, str):
        return None
    values = record.args if isinstance(record.args, tuple) else ()
    told = (int, float, SafeText, Enum)
    known = tuple(one if isinstance(one, told) else "<...>" for one in values)
    try:
        return record.msg % known if known else record.msg
    except (TypeError, ValueError):
        return record.msg


def to_send(record: logging.LogRecord) -> dict[str, Any]:
    """A record that was heard, as plain values that can travel; `received` makes one of them."""
    return {
        "name": record.name,
        "levelno": record.levelno,
        "levelname": record.levelname,
        "msg": message_of(record),
        "sentence": sentence_of(record),
        "created": record.created,
        "process": record.process,
        **{
            name: getattr(record, name)
            for name in ("case", "data", "raised", "said")
            if hasattr(record, name)
        },
    }


def log_received(sent: dict[str, Any]) -> None:
    """Log here what another process logged."""
    record = logging.makeLogRecord(sent)
    logging.getLogger(record.name).handle(record)


def where_raised(error: BaseException) -> tuple[SafeText, SafeText]:
    """An exception's type, and our lines that it came along, for a message."""
    return SafeText(type(error).__name__), SafeText(", ".join(our_lines(error.__traceback__)))


def our_lines(trace: TracebackType | None) -> list[str]:
    """Where in this package an exception came along, outermost first: `engine.py:9 in analyse`."""
    lines = []
    while trace is not None:
        code = trace.tb_frame.f_code
        path = Path(code.co_filename)
        if path.is_relative_to(_FOLDER):
            where = path.relative_to(_FOLDER).as_posix()
            lines.append(f"{where}:{trace.tb_lineno} in {code.co_name}")
        trace = trace.tb_next
    return lines
