"""The documents of a folder of results: how they are read and described, and their names."""

import os
import re
import sys
import unicodedata
from importlib.resources import files
from pathlib import Path
from typing import cast

from rcc_onnx.errors import InputFolderError
from rcc_onnx.results import CaseResult, FailedCase
from rcc_onnx.system.documents import read_document
from rcc_onnx.types import SchemaName

Case = CaseResult | FailedCase

MAX_NAME_BYTES = 200
"""Of a case's name. File systems allow 255 for the names that are made from it."""
WINDOWS_DEVICES = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?", re.IGNORECASE)
RUN_NAMES = frozenset({"results"})
"""A case of this name would have its JSON where the run has its own."""


def read_case(data: bytes) -> Case:
    """Return the result that the bytes of `OUT/<case>.json` hold, without arrays.

    Raises:
        DocumentError: it is not such a document, or one of another version.
    """
    return read_document(cast(type[Case], Case), data)


def schema_text(name: SchemaName | str) -> str:
    """Return the JSON Schema of a document, as text. `make schemas` writes the files."""
    file = files("rcc_onnx.output") / "schemas" / f"{SchemaName(name)}.json"
    return file.read_text(encoding="utf-8")


def same_everywhere(name: str) -> str:
    """Return a name as Windows, macOS and most network drives compare it."""
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
