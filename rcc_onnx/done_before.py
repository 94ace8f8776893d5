"""Whether a case is done already: the same files, settings and models (docs/batches.md)."""

import json
from dataclasses import replace
from pathlib import Path

from rcc_onnx.case_files import is_complete
from rcc_onnx.case_read import read_case
from rcc_onnx.engine import Engine
from rcc_onnx.errors import BundleError
from rcc_onnx.findings import CaseResult, Fingerprint
from rcc_onnx.saving import Saving


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
