"""What a result hangs on, as hashes: the same fingerprint means that the work is done already."""

import errno
import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from rcc_onnx.engine import Engine
from rcc_onnx.errors import BundleError
from rcc_onnx.options import Saving
from rcc_onnx.output.case import is_complete
from rcc_onnx.output.read import read_case
from rcc_onnx.results import CaseResult, Fingerprint
from rcc_onnx.system.files import LOCK_NAME

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
        _check_size_limits([study])
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
    _check_size_limits(files)
    for path in files:
        # Names are bytes on Linux, and need not be UTF-8.
        name = os.fsencode(path.relative_to(study).as_posix())
        total.update(len(name).to_bytes(4, "big") + name)
        total.update(_file_sha256(path) if path.is_file() else b"not a file".ljust(32))
    return total.hexdigest()


def _check_size_limits(files: Iterable[Path]) -> None:
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


# Whether a case is done already: the same files, settings and models (docs/batches.md).


def result_of_before(
    engine: Engine, case: str, fingerprint: Fingerprint, out: Path, saving: Saving
) -> CaseResult | None:
    """What an earlier run left for the case, if doing it again would give the same.

    A case that failed is none: whatever was wrong may have been mended. Dates play no part.
    """
    try:
        document = json.loads((out / f"{case}.json").read_bytes())
    except (OSError, ValueError):
        return None
    found = read_case(document) if isinstance(document, dict) else None
    if found is None or found.case != case or found.fingerprint != fingerprint:
        return None
    if not is_complete(found, out, saving) or not _models_are_the_same(engine, found):
        return None
    return replace(found, network_images=None, patient_images=None)


def _models_are_the_same(engine: Engine, found: CaseResult) -> bool:
    """Whether this engine would take the bundle that gave the result."""
    try:
        manifest = engine.bundle_for(found.study.kind).manifest
    except BundleError:
        return False
    return found.models.came_from(manifest)


def was_analysed(case: str, out: Path) -> bool:
    """Whether an earlier run left a result for the case, whatever it was made of."""
    try:
        document = json.loads((out / f"{case}.json").read_bytes())
    except (OSError, ValueError):
        return False
    return isinstance(document, dict) and read_case(document) is not None
