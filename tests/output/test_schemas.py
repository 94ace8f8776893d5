"""What is written fits the schemas, and docs/outputs.md explains each field of theirs, no other."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

from rcc_onnx import Engine
from rcc_onnx.batch.cases import Case
from rcc_onnx.cli.console import STAGE_SPANS
from rcc_onnx.errors import SeveralSeriesError
from rcc_onnx.output.document import SchemaName, schema_text
from rcc_onnx.output.run import RunFiles
from rcc_onnx.output.table import COLUMNS
from rcc_onnx.results import FailedCase
from rcc_onnx.system.documents import to_json
from rcc_onnx.system.host import PACKAGES
from rcc_onnx.types import Outcome, Profile
from tests.support.dicom_factory import body_volume, ct_series, write_series
from tests.support.results import (
    NO_KIDNEY,
    SERIES,
    WITHOUT_LESION,
    case_result,
    failed_case,
    measured_case,
)
from tests.support.runs import analyse_cases
from tests.support.tiny_networks import write_bundle

Json = dict[str, Any]

PAGE = (Path(__file__).parents[2] / "docs" / "outputs.md").read_text(encoding="utf-8")
SCHEMAS: dict[str, Json] = {name: json.loads(schema_text(name)) for name in SchemaName}
VALIDATORS = {name: Draft202012Validator(schema) for name, schema in SCHEMAS.items()}


def errors(name: str, document: Json) -> list[str]:
    return [one.message for one in VALIDATORS[name].iter_errors(document)]


# --- What is written fits -------------------------------------------------------------------------


@pytest.mark.parametrize("name", SchemaName)
def test_the_schemas_are_schemas(name: str) -> None:
    Draft202012Validator.check_schema(SCHEMAS[name])
    for schema in objects(SCHEMAS[name]):
        assert schema["additionalProperties"] is False
        assert set(schema["required"]) <= set(schema["properties"])


def objects(schema: object) -> Iterator[Json]:
    """Every part of a schema that describes an object."""
    if isinstance(schema, dict):
        if "object" in str(schema.get("type")) and "properties" in schema:
            yield schema
        for part in schema.values():
            yield from objects(part)
    if isinstance(schema, list):
        for part in schema:
            yield from objects(part)


@pytest.mark.parametrize("profile", Profile)
def test_real_outputs_fit(tmp_path: Path, profile: Profile) -> None:
    """Analysed, failed, with several series: through the engine, to files, and read again."""
    studies = {name: tmp_path / name for name in ("good", "empty", "several")}
    write_series(studies["good"], ct_series(body_volume((44, 90, 110)), (5.0, 2.0, 2.0)))
    (studies["good"] / "readme.txt").write_text("no image")
    studies["empty"].mkdir()
    for number in ("1", "2"):
        series = ct_series(body_volume(), (5.0, 2.0, 2.0), series=number)
        for dataset in series:
            dataset.StudyInstanceUID = "1.2.3"
        names = [f"{number}-{place}.dcm" for place in range(len(series))]
        write_series(studies["several"], series, names)
    bundle = write_bundle(tmp_path / "tiny", use_on=["patient"])
    options = {"provider": "cpu", "kidney_threshold": 0, "lesion_threshold": 0}
    engine = Engine.load(bundle, profile=profile, **options)
    out = tmp_path / "out"
    cases = [Case(name, path) for name, path in studies.items()]
    with RunFiles(engine.options, cases, out) as run:
        for result in analyse_cases(engine, cases, out):
            run.add(result)
    documents = {path.stem: json.loads(path.read_bytes()) for path in out.glob("*.json")}
    assert errors("results", documents.pop("results")) == []
    assert documents.keys() == studies.keys()
    assert [problem for one in documents.values() for problem in errors("case", one)] == []
    assert documents["good"]["sides"]["right"]["lesion"] is not None
    if profile is Profile.STANDARD:
        assert len(documents["several"]["error"]["series"]) == 2
        assert documents["good"]["intake"]["chosen"]["label"] == "1"


@pytest.mark.parametrize(
    "result",
    [
        case_result(),
        measured_case(),
        case_result(intake=None),
        case_result(sides={"right": NO_KIDNEY, "left": WITHOUT_LESION}),
        failed_case(),
        FailedCase("x", Profile.NOTEBOOK, SeveralSeriesError("two", (SERIES, SERIES))),
    ],
    ids=["lesion", "measured", "no intake", "no kidney", "failed", "several series"],
)
def test_made_up_results_fit(result: Any) -> None:
    assert errors("case", json.loads(json.dumps(to_json(result)))) == []


def test_a_field_that_nobody_wrote_down_is_found() -> None:
    document = to_json(measured_case())
    for part in (
        document,
        document["sides"]["right"],
        document["sides"]["right"]["lesion"]["measures"]["box"],
        document["intake"]["chosen"],
        document["flags"][0],
        document["timings_s"],
    ):
        part["surprise"] = 1
        assert errors("case", document) != []
        del part["surprise"]
        assert errors("case", document) == []
    del document["provider"]["ran"]
    with pytest.raises(ValidationError):
        VALIDATORS["case"].validate(document)


# --- What is explained ----------------------------------------------------------------------------

ROOT = {"case": ["analysed", "failed"], "results": [""]}
TABLES = {
    "field": ("case", ROOT["case"]),
    "field of a side": ("case", ["side"]),
    "field of `kidney.measures`": ("case", ["kidney_measures"]),
    "field of `lesion.measures`": ("case", ["lesion_measures"]),
    "field of `sensitivity`": ("case", ["sensitivity"]),
    "field of `intake`": ("case", ["intake"]),
    "field of a series": ("case", ["series"]),
    "field of `results.json`": ("results", ROOT["results"]),
    "field of a case in `results.json`": ("results", ["case"]),
}
"""What each table of the page explains, by its first heading: parts of a schema."""
PLACEHOLDERS = {
    "<stage>": ["total", "saving", *STAGE_SPANS],
    "<outcome>": [str(one) for one in Outcome],
    "<package>": list(PACKAGES),
}


def test_every_part_of_a_schema_has_a_table() -> None:
    explained = {(name, part) for name, parts in TABLES.values() for part in parts}
    # A note is explained wherever it stands; the others are numbers or one word.
    small = {("case", part) for part in ("note", "position", "outcome", "pair")}
    small |= {("results", "outcome"), ("results", "")}
    documents = {name: SCHEMAS[name] for name in ("case", "results")}
    parts = {(name, part) for name, schema in documents.items() for part in schema["$defs"]}
    assert parts - small == explained - {("results", "")}


@pytest.mark.parametrize("heading", TABLES)
def test_the_page_explains_every_field_and_no_other(heading: str) -> None:
    name, parts = TABLES[heading]
    schema = SCHEMAS[name]
    top = [schema["$defs"][part] if part else schema for part in parts]
    nodes = {path: leaf for part in top for path, leaf in paths(part, schema)}
    explained = {field for row in rows(heading) for field in fields(*row)}
    assert {path for path, leaf in nodes.items() if leaf} - explained == set()
    assert explained - set(nodes) == set()


def test_the_page_lists_the_columns_in_order() -> None:
    listed = [one for cell, _ in rows("column") for one in re.findall(r"`([^`]+)`", cell)]
    assert listed == [column.name for column in COLUMNS]


def test_placeholders_are_spelled_out() -> None:
    for heading in TABLES:
        for cell, meaning in rows(heading):
            for placeholder in re.findall(r"<\w+>", cell):
                missing = [one for one in PLACEHOLDERS[placeholder] if f"`{one}`" not in meaning]
                assert missing == []


def rows(heading: str) -> list[tuple[str, str]]:
    """First cells and meanings of all tables of the page with this first heading."""
    found = []
    for table in re.findall(r"(?:^\|.*\n?)+", PAGE, re.MULTILINE):
        head, _, *lines = table.splitlines()
        if head.split("|")[1].strip() == heading:
            found += [(cells[1], cells[2]) for cells in (line.split("|") for line in lines)]
    assert found
    return found


def fields(cell: str, _: str) -> Iterator[str]:
    """The fields that a first cell names; one that starts with a point is its neighbour's kin."""
    parent = ""
    for name in re.findall(r"`([^`]+)`", cell):
        whole = f"{parent}{name}" if name.startswith(".") else name
        parent = whole.rpartition(".")[0]
        (placeholder,) = re.findall(r"<\w+>", whole) or [""]
        for value in PLACEHOLDERS.get(placeholder, [""]):
            yield whole.replace(placeholder, value).removesuffix("[]")


def paths(part: Json, schema: Json, prefix: str = "") -> Iterator[tuple[str, bool]]:
    """Every field below a part of a schema, and whether it ends there: a plain value, a list of
    such, or a part that has a table of its own."""
    for name, field in part.get("properties", {}).items():
        path, kind = f"{prefix}{name}", field
        while "anyOf" in kind or "items" in kind:
            path += "[]" if "items" in kind else ""
            kind = kind["items"] if "items" in kind else kind["anyOf"][0]
        if kind.get("$ref") == "#/$defs/note":
            kind = schema["$defs"]["note"]
        inside = list(paths(kind, schema, f"{path}."))
        yield path.removesuffix("[]"), not inside
        yield from inside
