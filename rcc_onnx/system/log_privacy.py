"""Log records without patient data, for a terminal, a file or another process.

Messages of libraries that quote headers are dropped. Of an exception only its type and the lines of
this package are logged: its message may quote what it failed on.
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

QUOTING = ("pydicom", "highdicom")
"""Libraries whose messages may hold a header's values."""
PACKAGE = "rcc_onnx"
_FOLDER = Path(__file__).resolve().parents[1]
_UNSAFE = re.compile(
    # Controls, escape sequences and line breaks among them; marks that change the direction of
    # text; and what Python has for bytes of names that are not UTF-8.
    "[\x00-\x1f\x7f-\x9f\u2028\u2029\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)
_case: ContextVar[str | None] = ContextVar("case", default=None)


def sanitize(text: str) -> str:
    """Return text in one line, with an escape such as `\\x1b` for what a terminal would act on."""
    return _UNSAFE.sub(lambda found: ascii(found[0])[1:-1], text)


class SafeText(str):
    """Text in this package's own words: it holds no name of anything."""

    __slots__ = ()


@contextmanager
def case_context(name: str) -> Iterator[None]:
    """Attribute what this thread logs in the block to a case."""
    before = _case.set(name)
    try:
        yield
    finally:
        _case.reset(before)


def is_allowed(record: logging.LogRecord) -> bool:
    """Return whether a record may be logged: ours, and warnings of libraries that do not quote.

    By name, not by the loggers' levels: pydicom sets those of its own when it is imported.
    """
    package = record.name.split(".")[0]
    return package == PACKAGE or (package not in QUOTING and record.levelno >= logging.WARNING)


class PrivacyFilter(logging.Filter):
    """A filter for every handler, which also records what only the logging thread knows."""

    def filter(self, record: logging.LogRecord) -> bool:
        if not is_allowed(record):
            return False
        if not hasattr(record, "case"):
            record.case = _case.get()
        if record.exc_info and not hasattr(record, "raised"):
            kind, _, trace = record.exc_info
            record.raised = {"type": getattr(kind, "__name__", "?"), "lines": our_lines(trace)}
        return True


class PlainFormatter(logging.Formatter):
    """A line of text, and this package's lines of an exception, without its message."""

    def format(self, record: logging.LogRecord) -> str:
        text = f"{record.levelname} {record.name}: {sanitize(message_of(record))}"
        raised = getattr(record, "raised", None)
        if raised is None:
            return text
        return "\n".join([text, f"  {raised['type']}", *(f"  {line}" for line in raised["lines"])])


class JsonFormatter(logging.Formatter):
    """A line of JSON, as docs/operations.md describes it."""

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
    """Return the message with its values; without them where they do not fit."""
    try:
        return record.getMessage()
    except Exception:
        return str(record.msg)


def sentence_of(record: logging.LogRecord) -> str | None:
    """Return the message with <...> for all values but numbers and this package's own words.

    None for a message of another package.
    """
    if hasattr(record, "sentence"):
        return cast("str | None", record.sentence)
    if record.name.split(".")[0] != PACKAGE or not isinstance(record.msg, str):
        return None
    values = record.args if isinstance(record.args, tuple) else ()
    safe = (int, float, SafeText, Enum)
    known = tuple(value if isinstance(value, safe) else "<...>" for value in values)
    try:
        return record.msg % known if known else record.msg
    except (TypeError, ValueError):
        return record.msg


def to_send(record: logging.LogRecord) -> dict[str, Any]:
    """Return a record that was allowed as plain values, for `log_received` in another process."""
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
            for name in ("case", "data", "raised", "printed")
            if hasattr(record, name)
        },
    }


def log_received(sent: dict[str, Any]) -> None:
    """Log a record of another process in this one."""
    record = logging.makeLogRecord(sent)
    logging.getLogger(record.name).handle(record)


def where_raised(error: BaseException) -> tuple[SafeText, SafeText]:
    """Return an exception's type, and this package's lines in its traceback, for a message."""
    return SafeText(type(error).__name__), SafeText(", ".join(our_lines(error.__traceback__)))


def our_lines(trace: TracebackType | None) -> list[str]:
    """Return this package's lines in a traceback, outermost first: `engine.py:9 in analyse`."""
    lines = []
    while trace is not None:
        code = trace.tb_frame.f_code
        path = Path(code.co_filename)
        if path.is_relative_to(_FOLDER):
            where = path.relative_to(_FOLDER).as_posix()
            lines.append(f"{where}:{trace.tb_lineno} in {code.co_name}")
        trace = trace.tb_next
    return lines
