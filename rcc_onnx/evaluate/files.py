"""Files that are whole or not there, and packages that may not be there."""

import importlib
from collections.abc import Callable
from pathlib import Path

from rcc_onnx.errors import MissingExtraError, OutputError
from rcc_onnx.system.files import write_whole

EXTRA = "evaluate"


def need(*packages: str, why: str, instead: str) -> None:
    """See that optional packages can be imported, before any work is done.

    `why` is what they are needed for, as the start of a sentence; `instead` what else the user
    could do, as its end.

    Raises:
        MissingExtraError: one cannot be imported.
    """
    for package in packages:
        try:
            importlib.import_module(package)
        except ImportError as error:
            raise MissingExtraError(
                f"{why} needs {package}, which cannot be imported here ({error}). Install it with "
                f'pip install "rcc-onnx[{EXTRA}]", or {instead}'
            ) from error


def write_file(path: Path, write: Callable[[Path], object]) -> None:
    """Write a file whole or not at all; its folder is made if missing.

    Raises:
        OutputError: that cannot be done.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, write)
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror or error}") from error
