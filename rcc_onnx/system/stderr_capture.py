"""Capture of what onnxruntime writes to the process's standard error.

Releases before 1.32 report nowhere else why a provider did not load.
"""

import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import IO

_STDERR = 2
LONGEST_CAPTURE = 1_000_000
"""Bytes that are kept."""
LONGEST_LINE = 400
"""Characters of a line in a message."""


class Captured:
    """The captured text, empty until the `with` block has ended."""

    text = ""


@contextmanager
def captured_stderr() -> Iterator[Captured]:
    """Redirect file descriptor 2 into a temporary file while the block runs.

    The redirection holds for the whole process, so keep the block short. Where there is no file
    descriptor 2 (a windowed program) nothing is captured.
    """
    captured = Captured()
    try:
        saved = os.dup(_STDERR)
    except OSError:
        yield captured
        return
    try:
        with tempfile.TemporaryFile() as file:
            os.dup2(file.fileno(), _STDERR)
            try:
                yield captured
            finally:
                os.dup2(saved, _STDERR)
                captured.text = _content(file)
    finally:
        os.close(saved)


def _content(file: IO[bytes]) -> str:
    with suppress(OSError):
        file.seek(0)
        return file.read(LONGEST_CAPTURE).decode("utf-8", errors="replace")
    return ""


def logged_errors(text: str) -> list[str]:
    """Return the errors and warnings in onnxruntime's output, once each, without locations."""
    found = []
    for line in re.findall(r"\[[EWF]:onnxruntime[^\]]*\] ([^\n]*)", text):
        message = line.split("\x1b")[0]
        # The missing library is named at the end of a line that starts with a source file.
        for marker in (" with error: ", " : FAIL : ", "[ERROR] "):
            message = message.rpartition(marker)[2]
        found.append(one_line(message).rstrip("."))
    return list(dict.fromkeys(found))


def one_line(text: str) -> str:
    """Return text without line breaks, of at most `LONGEST_LINE` characters."""
    line = " ".join(text.split())
    return line if len(line) <= LONGEST_LINE else line[: LONGEST_LINE - 3] + "..."
