"""Whether the documents of a folder are ones, and agree with each other and with the hashes."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import islice
from typing import Any

from rcc_onnx._version import __version__
from rcc_onnx.diagnostics.verify.findings import Finding, Kind
from rcc_onnx.output.case import case_output_names
from rcc_onnx.output.run import listed_files
from rcc_onnx.output.schema_checker import SchemaName, problems, schema_text

Json = dict[str, Any]

RUN_DOCUMENT = "results.json"
SHOWN_PROBLEMS = 3
"""Of one document. Where a field is odd, more usually are."""


@dataclass(frozen=True)
class Document:
    """A JSON file. `case`: what it holds, if it is the document of a case."""

    name: str
    data: bytes
    case: Json | None

    @property
    def content(self) -> Json:
        """Whatever object it holds; empty if none."""
        try:
            found = json.loads(self.data)
        except (ValueError, RecursionError):
            return {}
        return found if isinstance(found, dict) else {}


def document_findings(
    documents: Mapping[str, Document], sums: Mapping[str, str]
) -> Iterator[Finding]:
    """What is wrong with the documents of a folder.

    Args:
        documents: of cases, and that of the run, by file name.
        sums: the listed hashes by file name.
    """
    for name, one in documents.items():
        if name == RUN_DOCUMENT:
            yield from _of_run(one.content, documents, sums)
        elif one.case is None:
            yield Finding(Kind.INVALID, name, "it is no document of a case")
        else:
            yield from _of_case(name, one.case, sums)


def run_state(document: Document | None) -> str:
    """How the last run ended, in a sentence."""
    content = {} if document is None else document.content
    stopped_by, left = content.get("stopped_by"), content.get("not_reached")
    if "stopped_by" not in content or not isinstance(left, list):
        return "how the last run ended is not known: there is no results.json, or it is damaged"
    if stopped_by is None:
        return "the last run reached all of its cases"
    return f"the last run was stopped by {stopped_by!r}; {len(left)} of its cases were not reached"


def _of_case(name: str, document: Json, sums: Mapping[str, str]) -> Iterator[Finding]:
    yield from _invalid(name, SchemaName.CASE, document)
    case = name.removesuffix(".json")
    if document.get("case") != case:
        yield Finding(Kind.RENAMED, name, "its document is about a case of another name")
        return
    if "files" not in document:
        return
    stated = listed_files(document)
    expected = {one: sums[one] for one in case_output_names(case) if one in sums}
    for one in sorted(stated.keys() | expected.keys()):
        if one not in stated:
            yield Finding(Kind.DISAGREES, name, f"it does not state {one!r}, which is listed")
        elif one in sums and stated[one] != sums[one]:
            yield Finding(Kind.DISAGREES, name, f"it states another hash of {one!r} than is listed")
        elif one not in sums and name in sums and one not in case_output_names(case):
            yield Finding(Kind.DISAGREES, name, f"it states {one!r}, which is no file of its case")


def _of_run(
    run: Json, documents: Mapping[str, Document], sums: Mapping[str, str]
) -> Iterator[Finding]:
    yield from _invalid(RUN_DOCUMENT, SchemaName.RESULTS, run)
    cases = run.get("cases")
    for told in cases if isinstance(cases, list) else ():
        if not isinstance(told, dict) or not isinstance(told.get("case"), str):
            continue
        for file in told.get("files") or ():
            if file not in sums:
                yield Finding(Kind.DISAGREES, RUN_DOCUMENT, f"it names {file!r}; none is listed")
        own = documents.get(f"{told['case']}.json")
        if own is not None and own.case is not None and _answer(own.case) != _told_answer(told):
            text = f"it tells another answer of {told['case']!r} than the case's own document"
            yield Finding(Kind.DISAGREES, RUN_DOCUMENT, text)


def _answer(document: Json) -> tuple[Any, Any]:
    sides = document.get("sides")
    if not isinstance(sides, dict):
        return document.get("status"), None
    return document.get("status"), {
        side: one.get("outcome") for side, one in sides.items() if isinstance(one, dict)
    }


def _told_answer(told: Json) -> tuple[Any, Any]:
    return told.get("status"), told.get("outcomes")


def _invalid(name: str, schema: SchemaName, document: Json) -> Iterator[Finding]:
    """By the schema, if this version wrote the document: others may know other fields."""
    if document.get("rcc_onnx_version") != __version__:
        return
    for problem in islice(problems(_schema(schema), document), SHOWN_PROBLEMS):
        yield Finding(Kind.INVALID, name, problem)


@cache
def _schema(name: SchemaName) -> Json:
    found: Json = json.loads(schema_text(name))
    return found
