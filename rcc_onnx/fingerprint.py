"""What a result hangs on, as hashes: the same fingerprint means that the work is done already."""

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_CHUNK = 1 << 20


def inputs_sha256(study: Path) -> str:
    """Hash over all files of a study, their names and bytes; never their dates.

    Args:
        study: a folder, walked as the intake walks it (links to folders are not followed), or a
            file.

    Raises:
        OSError: a file cannot be read.
    """
    total = hashlib.sha256()
    if study.is_file():
        total.update(_file_sha256(study))
        return total.hexdigest()
    files = sorted(
        Path(folder, name)
        for folder, _, names in os.walk(study, followlinks=False)
        for name in names
    )
    for path in files:
        # Names are bytes on Linux, and need not be UTF-8.
        name = os.fsencode(path.relative_to(study).as_posix())
        total.update(len(name).to_bytes(4, "big") + name)
        total.update(_file_sha256(path) if path.is_file() else b"not a file".ljust(32))
    return total.hexdigest()


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
