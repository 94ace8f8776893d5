"""Which names cases may have: files are made of them, beside those of the whole run."""

import os
import re
import sys
import unicodedata
from pathlib import Path

from rcc_onnx.errors import InputFolderError

MAX_NAME_BYTES = 200
"""Of a case's name. File systems allow 255 for the names that are made from it."""
WINDOWS_DEVICES = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?", re.IGNORECASE)
RUN_NAMES = frozenset({"results"})
"""A case of this name would have its JSON where the run has its own."""


def same_everywhere(name: str) -> str:
    """A name as Windows, macOS and most network drives compare it."""
    return unicodedata.normalize("NFC", name).casefold()


def check_case_name(name: str, where: Path, platform: str = sys.platform) -> None:
    """Raise unless files can be named after the case.

    Args:
        name: of the case.
        where: what to name in messages.
        platform: as Python names it.

    Raises:
        InputFolderError: it is too long, or leads to another folder.
        InputFolderError (reserved-name): the name of a run's own file, or of a device on Windows.
    """
    if not name or "/" in name or "\0" in name or (platform == "win32" and set(name) & set("\\:")):
        raise InputFolderError(
            f"{where}: files cannot be named after a case {name!r}; rename it, or give it another "
            "name with --pseudonyms"
        )
    if platform == "win32" and WINDOWS_DEVICES.fullmatch(name):
        raise InputFolderError(
            f"{where}: a case cannot be called {name}, which Windows keeps for a device; rename "
            "it, or give it another name with --pseudonyms",
            code="reserved-name",
        )
    if len(os.fsencode(name)) > MAX_NAME_BYTES:
        raise InputFolderError(
            f"{where}: the name {name[:40]}... is too long for the results to be named after it; "
            f"rename it to at most {MAX_NAME_BYTES} bytes"
        )
    if same_everywhere(name) in RUN_NAMES:
        raise InputFolderError(
            f"{where}: a case cannot be called {name}: results.json is the file of the whole run; "
            "rename its folder, or give it another name with --pseudonyms",
            code="reserved-name",
        )
