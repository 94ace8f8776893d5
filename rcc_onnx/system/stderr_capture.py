"""Catch what onnxruntime writes to the process's standard error while something is tried.

Why a provider did not load is told nowhere else: releases before 1.32 have no way to be asked.
"""

import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import IO

_STDERR = 2
LONGEST_CAPTURE = 1_000_000
"""Bytes that are kept of what was written."""
LONGEST_LINE = 400
"""Characters of a line in a message."""


class Captured:
    """What was written; `text` is empty until the `with` block has ended."""

    text = ""


@contextmanager
def captured_stderr() -> Iterator[Captured]:
    """Redirect file descriptor 2 into a temporary file for as long as the block runs.

    The redirection holds for the whole process, so keep the block short. Where there is no file
    descriptor 2 (a windowed program) nothing is caught.
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
    """What onnxruntime logged as errors and warnings, without colours, places and repetition."""
    found = []
    for line in re.findall(r"\[[EWF]:onnxruntime[^\]]*\] ([^\n]*)", text):
        message = line.split("\x1b")[0]
        # The missing library is named at the end of a line that starts with a source file.
        for marker in (" with error: ", " : FAIL : ", "[ERROR] "):
            message = message.rpartition(marker)[2]
        found.append(one_line(message).rstrip("."))
    return list(dict.fromkeys(found))


def one_line(text: str) -> str:
    """Text without line breaks, of bounded length."""
    line = " ".join(text.split())
    return line if len(line) <= LONGEST_LINE else line[: LONGEST_LINE - 3] + "..."
