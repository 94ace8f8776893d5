"""Log records: kept or dropped, and their form; text that is safe for a terminal."""

import json
import logging
import pickle
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from rcc_onnx.errors import OptionError
from rcc_onnx.system import log_privacy
from rcc_onnx.system.log_privacy import (
    JsonFormatter,
    PlainFormatter,
    PrivacyFilter,
    SafeText,
    case_context,
    is_allowed,
    log_received,
    message_of,
    sanitize,
    sentence_of,
    to_send,
)
from rcc_onnx.types import Outcome, Thresholds


def record(message: str, *values: object, **extra: Any) -> logging.LogRecord:
    """As a handler has it after its filter."""
    made = logging.LogRecord("rcc_onnx.x", logging.INFO, "x.py", 1, message, values, None)
    made.__dict__.update(extra)
    assert PrivacyFilter().filter(made)
    return made


@pytest.fixture
def collected() -> Iterator[list[logging.LogRecord]]:
    """Records of our loggers, as a handler with our filter sees them."""
    found: list[logging.LogRecord] = []
    handler = logging.Handler()
    handler.emit = found.append  # type: ignore[method-assign]
    handler.addFilter(PrivacyFilter())
    logger = logging.getLogger("rcc_onnx")
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    yield found
    logger.removeHandler(handler)
    logger.setLevel(logging.NOTSET)


@pytest.mark.parametrize(
    ("name", "level", "allowed"),
    [
        ("rcc_onnx.engine", logging.DEBUG, True),
        ("rcc_onnx", logging.INFO, True),
        ("rcc_onnx_other", logging.INFO, False),
        ("PIL.PngImagePlugin", logging.DEBUG, False),
        ("PIL", logging.WARNING, True),
        # It quotes what it does not understand.
        ("pydicom", logging.CRITICAL, False),
        ("pydicom.pixels.decoders.base", logging.ERROR, False),
        ("highdicom.base", logging.ERROR, False),
    ],
)
def test_whose_records_are_logged(name: str, level: int, allowed: bool) -> None:
    assert is_allowed(logging.LogRecord(name, level, "", 0, "", (), None)) is allowed


def test_a_line_of_json() -> None:
    with case_context("case01"):
        made = record("%d files of %s", 3, "x\ny\udce9", data={"event": "read", "files": 3})
    line = JsonFormatter().format(made).encode("utf-8", "backslashreplace")
    assert b"\n" not in line
    document = json.loads(line)
    time = datetime.fromisoformat(document.pop("time"))
    assert time.tzinfo == UTC
    assert abs(time.timestamp() - made.created) < 0.01
    assert document == {
        "level": "INFO",
        "logger": "rcc_onnx.x",
        "pid": made.process,
        "case": "case01",
        "message": "3 files of x\ny\udce9",
        "sentence": "3 files of <...>",
        "data": {"event": "read", "files": 3},
    }


def test_a_name_cannot_control_the_terminal() -> None:
    line = PlainFormatter().format(record("reading %s", "\x1b[31mx\ny"))
    assert line == "INFO rcc_onnx.x: reading \\x1b[31mx\\ny"


def test_a_record_belongs_to_the_case_of_its_block() -> None:
    assert record("a").case is None  # type: ignore[attr-defined]
    with case_context("outer"):
        with case_context("inner"):
            assert record("a").case == "inner"  # type: ignore[attr-defined]
        assert record("a").case == "outer"  # type: ignore[attr-defined]
    assert record("a", case="given").case == "given"  # type: ignore[attr-defined]


def test_the_sentence_keeps_only_numbers_and_our_own_words() -> None:
    values = ("doe.dcm", 3, 2.5, Outcome.LESION, SafeText("engine.py"), Path("/doe"))
    made = record("%s: %d, %.1f, %s at %s in %s", *values)
    assert sentence_of(made) == "<...>: 3, 2.5, lesion at engine.py in <...>"
    assert sentence_of(record("100 %")) == "100 %"
    assert sentence_of(record("%d files", "doe")) == "%d files"
    assert sentence_of(record("%(a)s files", {"a": "doe"})) == "%(a)s files"
    assert sentence_of(logging.LogRecord("PIL", 30, "", 0, "of doe", (), None)) is None


def test_values_that_do_not_fit_the_message_are_left_out() -> None:
    assert message_of(record("%d files", "many")) == "%d files"


def test_of_an_exception_only_its_type_and_our_lines_are_logged(
    collected: list[logging.LogRecord],
) -> None:
    log = logging.getLogger("rcc_onnx.x")
    try:
        Thresholds(kidney=-1, lesion=0)
    except ValueError:
        log.exception("it broke")
    (made,) = collected
    plain = PlainFormatter().format(made)
    assert plain.startswith("ERROR rcc_onnx.x: it broke\n  ValueError\n  types.py:")
    assert plain.endswith(" in __post_init__")
    # Neither the message nor another program's lines or folders.
    for text in (plain, JsonFormatter().format(made), str(to_send(made))):
        assert "must be" not in text
        assert "test_log_privacy" not in text
        assert str(log_privacy._FOLDER) not in text
    assert json.loads(JsonFormatter().format(made))["raised"]["type"] == "ValueError"


def test_a_record_of_another_process_is_logged_as_it_was(
    collected: list[logging.LogRecord],
) -> None:
    class Stubborn:
        def __str__(self) -> str:
            return "100 %"

        def __reduce__(self) -> str:
            raise TypeError

    with case_context("case01"):
        try:
            raise OptionError("x")
        except OptionError:
            info = sys.exc_info()
        made = record("done: %s", Stubborn(), data={"a": 1}, exc_info=info, process=12)
    sent = pickle.loads(pickle.dumps(to_send(made)))
    log_received(sent)
    (received,) = collected
    assert JsonFormatter().format(received) == JsonFormatter().format(made)
    assert "100 %" in PlainFormatter().format(received)
    assert json.loads(JsonFormatter().format(received))["pid"] == 12


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a b", "a b"),
        (LETTERS := "caf\u00e9 \u8a9e \U0001f468\u200d\U0001f469", LETTERS),
        ("a\nb\tc", "a\\nb\\tc"),
        ("\x1b[31m\x07\x7f", "\\x1b[31m\\x07\\x7f"),
        ("\x9b2J", "\\x9b2J"),
        ("\u202egnp.exe", "\\u202egnp.exe"),
        ("M\udcfcller", "M\\udcfcller"),
    ],
)
def test_sanitized_text_is_one_line_without_control_characters(text: str, line: str) -> None:
    assert sanitize(text) == line
