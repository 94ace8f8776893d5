"""What SHA256SUMS of a folder of results lists: every file of every case, and those of the run.

Files of cases have the hashes that were taken when they were written, out of the cases' documents:
what a disk did to them since shows. Documents and files of the run are hashed here.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from rcc_onnx.case_files import case_output_names, files_of_case
from rcc_onnx.html import fragment_name
from rcc_onnx.sums import size_and_sha256, sums_bytes

Json = dict[str, Any]


def write_sums(out: Path, run_files: Sequence[str], to: Path) -> None:
    """Write the hashes of everything in `out`, earlier runs' cases among it, into a path.

    Args:
        out: the folder of results.
        run_files: names of the files of the run, but for this one.
        to: where to write.

    Raises:
        OSError: a file cannot be read or written.
    """
    sums = {name: size_and_sha256(out / name)[1] for name in run_files if (out / name).is_file()}
    for name, data, document in case_documents(out, run_files):
        sums[name] = hashlib.sha256(data).hexdigest()
        sums |= _beside(out, name, document)
    to.write_bytes(sums_bytes(sums))


def case_documents(out: Path, run_files: Sequence[str]) -> Iterator[tuple[str, bytes, Json]]:
    """File names, bytes and contents of the cases' documents in a folder, in order.

    Raises:
        OSError: one cannot be read.
    """
    for path in sorted(out.glob("*.json")):
        if path.name in run_files or path.name.startswith(".") or not path.is_file():
            continue
        data = path.read_bytes()
        document = as_case_document(data)
        if document is not None:
            yield path.name, data, document


def as_case_document(data: bytes) -> Json | None:
    """The document of a case; None if the bytes are none, of this program."""
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        return None
    if isinstance(document, dict) and {"rcc_onnx_version", "case", "status"} <= document.keys():
        return document
    return None


def listed_files(document: Json) -> dict[str, str]:
    """Hashes by name that a document states of its case's files; none for another shape."""
    files = document.get("files")
    try:
        return {str(one["name"]): str(one["sha256"]) for one in files or ()}
    except (TypeError, KeyError):
        return {}


def _beside(out: Path, name: str, document: Json) -> dict[str, str]:
    """Of the files that a case has beside its document."""
    case = name.removesuffix(".json")
    if document["case"] != case:
        return {}  # somebody renamed it; what it lists are other files
    stated = listed_files(document)
    if "files" not in document:
        # Of a version that did not state them.
        there = [one for one in files_of_case(case, out) if one != name]
        stated = {one: size_and_sha256(out / one)[1] for one in there}
    expected = set(case_output_names(case))
    if not (out / fragment_name(case)).is_file():
        # It may be removed once the report is written.
        expected.discard(fragment_name(case))
    return {one: sha256 for one, sha256 in stated.items() if one in expected}
