"""Which names cases may have: files are made of them, beside those of the whole run."""

import os
import unicodedata
from pathlib import Path

from rcc_onnx.errors import InputFolderError, ReservedNameError

MAX_NAME_BYTES = 200
"""Of a case's name. File systems allow 255 for the names that are made from it."""
RUN_NAMES = frozenset({"results"})
"""A case of this name would have its JSON where the run has its own."""


def same_everywhere(name: str) -> str:
    """A name as Windows, macOS and most network drives compare it."""
    return unicodedata.normalize("NFC", name).casefold()


def check_case_name(name: str, where: Path) -> None:
    """Raise unless files can be named after the case.

    Args:
        name: of the case.
        where: what to name in messages.

    Raises:
        InputFolderError: it is too long.
        ReservedNameError: `results.json` is the run's own.
    """
    if len(os.fsencode(name)) > MAX_NAME_BYTES:
        raise InputFolderError(
            f"{where}: the name {name[:40]}... is too long for the results to be named after it; "
            f"rename it to at most {MAX_NAME_BYTES} bytes"
        )
    if same_everywhere(name) in RUN_NAMES:
        raise ReservedNameError(
            f"{where}: a case cannot be called {name}: results.json is the file of the whole run; "
            "rename its folder, or give it another name with --pseudonyms"
        )
