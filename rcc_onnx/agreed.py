"""What was found to agree on this machine, so that it is tested once and not with every start.

One small file in the data folder, `agreements.json`. Whatever is wrong with it, or with the folder,
costs the time of one more test and nothing else.
"""

import hashlib
import json
import logging
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

from rcc_onnx._version import __version__
from rcc_onnx.agreement import agreement_of
from rcc_onnx.bundles import Bundle
from rcc_onnx.data_folder import data_folder
from rcc_onnx.errors import DataFolderError
from rcc_onnx.machine import processor, processor_flags
from rcc_onnx.providers import Agreement, ProviderName, ProviderRecord
from rcc_onnx.sessions import OnnxNetworks

_log = logging.getLogger(__name__)

AGREEMENTS_FILE = "agreements.json"
VERSION = 1
MOST_REMEMBERED = 64
"""Machines, bundles and versions that come together in one data folder; the oldest is forgotten."""
LARGEST_FILE = 2**20
"""Bytes; an entry has some two hundred."""
STALE_S = 60.0
"""After so long, a temporary file is what a killed process left."""

ON_THE_PROCESSOR = (ProviderName.CPU, ProviderName.OPENVINO)
"""Providers of which the processor says all. Others run on a device, with a driver, that nobody
names: they are tested each time, which costs them little."""


def held_to_answers(bundle: Bundle) -> Callable[[OnnxNetworks], OnnxNetworks]:
    """A test for `open_networks`: networks of this bundle, with what was found in their record.

    The test runs once for each processor, provider, version of onnxruntime, precision, number of
    threads and bundle. It raises ProviderDisagreesError, which is never remembered, or BundleError
    where the stored answers are broken.
    """

    def test(networks: OnnxNetworks) -> OnnxNetworks:
        record = networks.record
        key = _key(bundle, record)
        keep = bundle.manifest.answers is not None and record.ran in ON_THE_PROCESSOR
        found = _remembered(key) if keep else None
        if found is None:
            answers = bundle.read_answers()
            started = time.perf_counter()
            found = agreement_of(networks, record, bundle.manifest, answers)
            spent = time.perf_counter() - started
            _log.info(
                "agreement of %s with the stored answers: %s (%.2f s)", record.ran, found, spent
            )
            if keep:
                _remember(key, found)
        return replace(networks, record=replace(record, agreement=found))

    return test


def _key(bundle: Bundle, record: ProviderRecord) -> str:
    """Hash of everything that the answers, and what is asked of them, may hang on."""
    parts = {
        "rcc_onnx": __version__,
        # Holds the hashes of networks and answers, the thresholds and the tolerance.
        "manifest": bundle.manifest.to_json(),
        "provider": str(record.ran),
        "onnxruntime": record.runtime,
        "precision": str(record.precision),
        "forms": dict(record.forms),
        "threads": record.threads,
        # A home folder may be shared between machines.
        "processor": processor(),
        "flags": processor_flags(),
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _remembered(key: str) -> Agreement | None:
    entry = _read().get(key)
    if not isinstance(entry, dict) or set(entry) != {field.name for field in fields(Agreement)}:
        return None
    numbers = [value for name, value in entry.items() if name != "tested" and value is not None]
    if entry["tested"] is not True or not all(
        type(value) is float and math.isfinite(value) for value in numbers
    ):
        return None
    return Agreement(**entry)


def _remember(key: str, agreement: Agreement) -> None:
    path = _path()
    if path is None:
        return
    known = {name: entry for name, entry in _read().items() if name != key}
    known[key] = asdict(agreement)
    newest = dict(list(known.items())[-MOST_REMEMBERED:])
    text = json.dumps({"schema_version": VERSION, "agreements": newest}, indent=1) + "\n"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _write_whole(path, text.encode())
    except OSError as error:
        _log.debug("%s is not written (%s): the test runs each time", path, error.strerror)


def _write_whole(path: Path, data: bytes) -> None:
    """Raises OSError, also where another process is writing at this moment."""
    temporary = path.with_name(f".{path.name}.new")
    try:
        stream = temporary.open("xb")
    except FileExistsError:
        if abs(time.time() - temporary.stat().st_mtime) > STALE_S:
            temporary.unlink()
        raise
    try:
        with stream:
            stream.write(data)
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


def _read() -> Mapping[str, Any]:
    """What is remembered; empty if nothing is, or nothing that can be read."""
    path = _path()
    if path is None:
        return {}
    try:
        with path.open("rb") as stream:
            document = json.loads(stream.read(LARGEST_FILE))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        _log.debug("%s cannot be read (%s)", path, type(error).__name__)
        return {}
    if not isinstance(document, dict) or document.get("schema_version") != VERSION:
        return {}
    known = document.get("agreements")
    return known if isinstance(known, dict) else {}


def _path() -> Path | None:
    try:
        home = data_folder()
    except DataFolderError:
        return None
    return None if home is None else home / AGREEMENTS_FILE
