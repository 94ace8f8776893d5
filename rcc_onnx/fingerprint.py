"""What a result hangs on, as hashes: the same fingerprint means that the work is done already."""

import errno
import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from rcc_onnx.file_lock import LOCK_NAME

_CHUNK = 1 << 20
MAX_FILES = 100_000
MAX_BYTES = 32 << 30
"""More than any study has. Reading a whole disk that was given by mistake would take the night."""


def inputs_sha256(study: Path) -> str:
    """Hash over all files of a study, their names and bytes; never their dates.

    Args:
        study: a folder, walked as the intake walks it (links to folders are not followed), or a
            file.

    Raises:
        OSError: a file cannot be read, or there is more than any study has.
    """
    total = hashlib.sha256()
    if study.is_file():
        _see_that_it_is_no_disk([study])
        total.update(_file_sha256(study))
        return total.hexdigest()
    files: list[Path] = []
    for folder, folders, names in os.walk(study, followlinks=False):
        if LOCK_NAME in names and Path(folder) != study:
            folders.clear()
            continue
        files += (Path(folder, name) for name in names)
        if len(files) > MAX_FILES:
            raise OSError(errno.EFBIG, "more files than a study has")
    files.sort()
    _see_that_it_is_no_disk(files)
    for path in files:
        # Names are bytes on Linux, and need not be UTF-8.
        name = os.fsencode(path.relative_to(study).as_posix())
        total.update(len(name).to_bytes(4, "big") + name)
        total.update(_file_sha256(path) if path.is_file() else b"not a file".ljust(32))
    return total.hexdigest()


def _see_that_it_is_no_disk(files: Iterable[Path]) -> None:
    if sum(path.stat().st_size for path in files if path.is_file()) > MAX_BYTES:
        raise OSError(errno.EFBIG, "more bytes than a study has")


def settings_sha256(settings: Mapping[str, Any]) -> str:
    """Hash of settings that JSON can hold, whatever their order."""
    text = json.dumps(settings, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _file_sha256(path: Path) -> bytes:
    digest = hashlib.sha256()
    with path.open("rb", buffering=0) as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.digest()
