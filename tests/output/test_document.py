"""Documents of results: written, described and read back; docs/outputs.md explains every field."""

import importlib.util
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
from jsonschema import Draft202012Validator
from pydantic import TypeAdapter

from rcc_onnx.batch.cases import Case as StudyCase
from rcc_onnx.batch.runner import BatchConfig, run_batch
from rcc_onnx.cli.console import STAGE_SPANS
from rcc_onnx.errors import InputFolderError, SeveralSeriesError
from rcc_onnx.options import InferenceOptions
from rcc_onnx.output.document import (
    MAX_NAME_BYTES,
    Case,
    SchemaName,
    check_case_name,
    read_case,
    schema_text,
)
from rcc_onnx.output.table import COLUMNS
from rcc_onnx.results import (
    AnalysedCase,
    CertificateSummary,
    ErrorRecord,
    Fingerprint,
    ParitySummary,
    SourceSummary,
    WrittenFile,
)
from rcc_onnx.runtime.self_test import SelfTestRecord
from rcc_onnx.system.documents import DocumentError, document_bytes, to_json
from rcc_onnx.system.host import PACKAGES
from rcc_onnx.types import NETWORK_NAMES, Note, Outcome, Profile
from tests.support.dicom_factory import body_volume, ct_series, write_series
from tests.support.errors import raises_code
from tests.support.results import (
    INTAKE,
    NO_KIDNEY,
    SERIES,
    WITH_LESION,
    case_result,
    failed_case,
    measured_case,
)
from tests.support.tiny_networks import write_bundle

Json = dict[str, Any]

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "outputs.md").read_text(encoding="utf-8")
SCHEMAS: dict[str, Json] = {name: json.loads(schema_text(name)) for name in SchemaName}
VALIDATORS = {name: Draft202012Validator(schema) for name, schema in SCHEMAS.items()}


# --- What was written is read ---------------------------------------------------------------------

PARITY = ParitySummary(12, 2e-6, True)
SOURCES = {"kidney": SourceSummary("a" * 64, True), "lesion": SourceSummary("b" * 64, False)}
RESULTS: dict[str, AnalysedCase | Case] = {
    "measured, with flags": measured_case(warnings=("a warning",)),
    "not measured": case_result(),
    "not located": case_result(
        sides={
            "right": replace(
                WITH_LESION,
                outcome=Outcome.LESION_NOT_LOCATED,
                lesion=replace(WITH_LESION.lesion, box=None),
            ),
            "left": replace(NO_KIDNEY, flags=(Note("cut", "Cut."),)),
        }
    ),
    "no intake": case_result(intake=None),
    "every option": case_result(
        options=InferenceOptions.parse(
            provider="cuda",
            precision="float16",
            threads=3,
            kidney_threshold=2.0,
            lesion_threshold=5.0,
            borderline=0.2,
            mask_cutoff=0.4,
            series="2",
            series_policy="thinnest",
            save=["all"],
        )
    ),
    "everything optional": case_result(
        files=(WrittenFile("case_r.png", 3, "c" * 64),),
        fingerprint=Fingerprint("a" * 64, "b" * 64),
        intake=replace(INTAKE, chosen=None, other_series=()),
        study=replace(case_result().study, images_sha256="d" * 64),
        models=replace(
            case_result().models,
            sources=SOURCES,
            certificate=CertificateSummary(1e-4, False, PARITY, PARITY),
        ),
        provider=replace(
            case_result().provider, self_test=SelfTestRecord(True, 1.1e-05, 0.0001, 2e-07, None)
        ),
    ),
    "failed": failed_case(fingerprint=Fingerprint("a" * 64, "b" * 64)),
    "failed, with candidates": failed_case(
        error=ErrorRecord.of(SeveralSeriesError("which?", (SERIES, SERIES), code="several-studies"))
    ),
}


@pytest.mark.parametrize("name", RESULTS)
def test_what_was_written_is_read_back_and_fits_the_schema(name: str) -> None:
    result = RESULTS[name]
    written = document_bytes(result)
    # Documents hold everything but arrays.
    whole = result.without_images() if isinstance(result, AnalysedCase) else result
    assert read_case(written) == whole
    assert json.loads(written) == TypeAdapter(cast(Any, Case)).dump_python(whole, mode="json")
    VALIDATORS["case"].validate(json.loads(written))


def test_names_that_are_not_utf_8_are_written_as_escapes() -> None:
    # What Python makes of the byte FC, a u with dots in Latin-1, in a file name on Linux.
    written = document_bytes(failed_case("M\udcfcller"))
    assert read_case(written).case == r"M\udcfcller"


@pytest.mark.parametrize("damage", [{}, [], "x", 3])
@pytest.mark.parametrize(
    "key", ["study", "models", "provider", "sides", "thresholds", "intake", "timings_s"]
)
def test_what_was_edited_by_hand_is_refused(key: str, damage: object) -> None:
    with pytest.raises(DocumentError):
        read_case(json.dumps(to_json(measured_case()) | {key: damage}).encode())


@pytest.mark.parametrize("change", [{"schema_version": 2}, {"status": "lost"}])
def test_documents_of_other_versions_and_kinds_are_refused(change: Json) -> None:
    for result in (measured_case(), failed_case()):
        with pytest.raises(DocumentError):
            read_case(json.dumps(to_json(result) | change).encode())


# --- Names of cases -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["con", "NUL.txt", "Com1", "lpt9.a.b"])
def test_names_of_devices_are_refused_on_windows(name: str) -> None:
    with raises_code("reserved-name", match="device"):
        check_case_name(name, Path("in"), "win32")
    check_case_name(name, Path("in"), "linux")


@pytest.mark.parametrize("name", ["a\\b", "..\\x", "c:x"])
def test_names_that_lead_elsewhere_on_windows_are_refused_there(name: str) -> None:
    with pytest.raises(InputFolderError, match="named after"):
        check_case_name(name, Path("in"), "win32")
    check_case_name(name, Path("in"), "linux")


@pytest.mark.parametrize("name", ["console", "com", "com10", "null", "a.con"])
def test_names_like_those_of_devices_are_names(name: str) -> None:
    check_case_name(name, Path("in"), "win32")


@pytest.mark.parametrize("name", ["", "a/b", "a\0b"])
def test_names_that_lead_elsewhere_are_refused(name: str) -> None:
    with pytest.raises(InputFolderError, match="named after"):
        check_case_name(name, Path("in"), "linux")


def test_names_that_are_too_long_are_refused() -> None:
    check_case_name("ä" * (MAX_NAME_BYTES // 2), Path("in"))
    with pytest.raises(InputFolderError, match="too long"):
        check_case_name("ä" * (MAX_NAME_BYTES // 2) + "a", Path("in"))


@pytest.mark.parametrize("name", ["results", "RESULTS"])
def test_the_runs_own_name_is_refused(name: str) -> None:
    with raises_code("reserved-name", match="whole run"):
        check_case_name(name, Path("in"))


# --- Schemas --------------------------------------------------------------------------------------


def test_committed_schemas_are_those_of_the_documents() -> None:
    spec = importlib.util.spec_from_file_location("make_schemas", DOCS / "make_schemas.py")
    assert spec is not None
    assert spec.loader is not None
    maker = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(maker)
    for name, text in maker.schema_texts().items():
        assert schema_text(name) == text, "run: make schemas"


@pytest.mark.parametrize("name", SchemaName)
def test_schemas_are_valid_and_want_every_field(name: str) -> None:
    Draft202012Validator.check_schema(SCHEMAS[name])
    described = [part for part in SCHEMAS[name]["$defs"].values() if "properties" in part]
    assert described
    for part in described:
        assert part["additionalProperties"] is False
        assert set(part["required"]) == set(part["properties"])


@pytest.mark.parametrize("profile", Profile)
def test_documents_of_a_run_fit_the_schemas(tmp_path: Path, profile: Profile) -> None:
    """Analysed, failed, with several series: through the engine, to files."""
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
    options = InferenceOptions.parse(
        provider="cpu", kidney_threshold=0.0, lesion_threshold=0.0, profile=profile
    )
    out, cases = tmp_path / "out", [StudyCase(name, path) for name, path in studies.items()]
    run_batch(cases, BatchConfig(out, options, models=str(bundle)))
    documents = {path.stem: json.loads(path.read_bytes()) for path in out.glob("*.json")}
    VALIDATORS["results"].validate(documents.pop("results"))
    assert documents.keys() == studies.keys()
    for document in documents.values():
        VALIDATORS["case"].validate(document)
    assert documents["good"]["sides"]["right"]["lesion"] is not None
    if profile is Profile.STANDARD:
        assert len(documents["several"]["error"]["series"]) == 2
        assert documents["good"]["intake"]["chosen"]["label"] == "1"


# --- docs/outputs.md ------------------------------------------------------------------------------

TABLES = {
    "field": ("case", ["CaseResult", "FailedCase"]),
    "field of a side": ("case", ["SideFinding"]),
    "field of `kidney.measures`": ("case", ["KidneyMeasures"]),
    "field of `lesion.measures`": ("case", ["LesionMeasures"]),
    "field of `sensitivity`": ("case", ["Sensitivity"]),
    "field of `intake`": ("case", ["IntakeRecord"]),
    "field of a series": ("case", ["SeriesRow"]),
    "field of `results.json`": ("results", ["RunResult"]),
    "field of a case in `results.json`": ("results", ["RunCase"]),
}
"""What each table of the page explains, by its first heading: parts of a schema."""
OWN_TABLES = {part for _, parts in TABLES.values() for part in parts}
KEYS = {
    "timings_s": ["total", "saving", *STAGE_SPANS],
    "environment.packages": list(PACKAGES),
    "counts.outcomes": [str(outcome) for outcome in Outcome],
}
"""Keys of mappings that the page writes as `<stage>`, `<package>`, `<outcome>`, by their path."""
BY_NETWORK = ("sha256", "variants", "sources")
"""Mappings by network."""


@pytest.mark.parametrize("heading", TABLES)
def test_the_page_explains_every_field_and_no_other(heading: str) -> None:
    name, parts = TABLES[heading]
    described = {path for part in parts for path in paths(schema_of(name, part), name)}
    explained = [path for cell, _ in rows(heading) for path in fields(cell)]
    assert described - set(explained) == set()
    # A part may be explained as a whole too.
    wholes = {path.rpartition(".")[0].removesuffix("[]") for path in described}
    assert set(explained) - described - wholes == set()


def test_the_page_lists_outcomes_and_the_columns_in_order() -> None:
    assert all(f"| `{outcome}` |" in PAGE for outcome in Outcome)
    listed = [name for cell, _ in rows("column") for name in re.findall(r"`([^`]+)`", cell)]
    assert listed == [column.name for column in COLUMNS]


def test_keys_that_the_page_abbreviates_are_spelled_out() -> None:
    for heading in TABLES:
        for cell, meaning in rows(heading):
            for path in re.findall(r"`([\w.]+)\.<\w+>", cell):
                assert [key for key in KEYS[path] if f"`{key}`" not in meaning] == []


def rows(heading: str) -> list[tuple[str, str]]:
    """First cells and meanings of all tables of the page with this first heading."""
    found = []
    for table in re.findall(r"(?:^\|.*\n?)+", PAGE, re.MULTILINE):
        head, _, *lines = table.splitlines()
        if head.split("|")[1].strip() == heading:
            found += [(cells[1], cells[2]) for cells in (line.split("|") for line in lines)]
    assert found
    return found


def fields(cell: str) -> Iterator[str]:
    """The fields that a first cell names; one that starts with a point is its neighbour's kin."""
    parent = ""
    for name in re.findall(r"`([^`]+)`", cell):
        whole = f"{parent}{name}" if name.startswith(".") else name
        parent = whole.rpartition(".")[0]
        yield re.sub(r"<\w+>", "*", whole).removesuffix("[]")


def schema_of(name: str, part: str) -> Json:
    """A part of a schema, or the whole."""
    schema = SCHEMAS[name]
    return schema if schema.get("title") == part else schema["$defs"][part]


def paths(part: Json, name: str, prefix: str = "") -> Iterator[str]:
    """Paths of all values below a part of a schema, up to parts that have a table of their own."""
    for key, described in part["properties"].items():
        yield from below(described, name, f"{prefix}{key}")


def below(described: Json, name: str, path: str) -> Iterator[str]:
    kind = described.get("anyOf", [described])[0]
    part = kind.get("$ref", "").removeprefix("#/$defs/")
    kind = schema_of(name, part) if part else kind
    if part in OWN_TABLES:
        yield path
    elif "properties" in kind:
        yield from paths(kind, name, f"{path}.")
    elif "items" in kind:
        found = list(below(kind["items"], name, f"{path}[]"))
        yield from (path,) if found == [f"{path}[]"] else found
    elif "additionalProperties" in kind:
        names = kind.get("propertyNames", {}).get("enum") or (
            NETWORK_NAMES if path.rsplit(".", maxsplit=1)[-1] in BY_NETWORK else ["*"]
        )
        for key in names:
            yield from below(kind["additionalProperties"], name, f"{path}.{key}")
    else:
        yield path
