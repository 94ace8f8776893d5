"""Fingerprints of inputs and settings, and whether a case is done already (docs/operations.md)."""

import errno
import hashlib
import json
import os
from collections.abc import Iterable
from pathlib import Path

from rcc_onnx._version import __version__
from rcc_onnx.engine import Engine
from rcc_onnx.errors import BundleError
from rcc_onnx.options import InferenceOptions
from rcc_onnx.output.document import Case as CaseDocument
from rcc_onnx.output.folder import OutputFolder
from rcc_onnx.results import FailedCase, Fingerprint
from rcc_onnx.system.documents import to_json
from rcc_onnx.system.files import LOCK_NAME

MAX_FILES = 100_000
MAX_BYTES = 32 << 30
"""More than any study has: a whole disk that was given by mistake would take hours to read."""


def find_done(
    engine: Engine,
    folder: OutputFolder,
    case: str,
    fingerprint: Fingerprint,
    *,
    keep_failed: bool = False,
) -> CaseDocument | None:
    """Return an earlier run's result for the case, if analysing it again would give the same.

    It does if the files, the settings and the models are the same. Dates are not compared.
    `keep_failed`: a failure counts too, whatever the models were.
    """
    found = folder.find_unchanged(case, fingerprint, or_failed=keep_failed)
    if found is None or isinstance(found, FailedCase):
        return found
    try:
        manifest = engine.bundle_for(found.study.kind).manifest
    except BundleError:
        return None
    return found if found.models.came_from(manifest) else None


def inputs_sha256(study: Path) -> str:
    """Return a hash over all files of a study, their names and bytes; never their dates.

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


def settings_sha256(options: InferenceOptions) -> str:
    """Return a hash of the options and of this software's version.

    Threads are left out: they change the last bits of sums, and no decision that is not on its
    threshold.
    """
    settings = {name: value for name, value in to_json(options).items() if name != "threads"}
    settings["rcc_onnx_version"] = __version__
    text = json.dumps(settings, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _check_size_limits(files: Iterable[Path]) -> None:
    if sum(path.stat().st_size for path in files if path.is_file()) > MAX_BYTES:
        raise OSError(errno.EFBIG, "more bytes than a study has")


def _file_sha256(path: Path) -> bytes:
    with path.open("rb", buffering=0) as file:
        return hashlib.file_digest(file, "sha256").digest()
