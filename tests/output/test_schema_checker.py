"""Our own check of schemas against the package that knows all of them."""

import json
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from rcc_onnx.output.schema_checker import SchemaName, problems, schema_text
from rcc_onnx.system.documents import to_json
from tests.support.results import MEASURES, case_result, failed_case

SCHEMAS = {name: json.loads(schema_text(name)) for name in SchemaName}
CASE = SCHEMAS[SchemaName.CASE]
DOCUMENTS = [
    json.loads(json.dumps(to_json(one))) for one in (case_result(measures=MEASURES), failed_case())
]
KNOWN = {
    *("$ref", "if", "then", "else", "anyOf", "type", "properties", "required"),
    *("additionalProperties", "items", "const", "enum", "pattern", "minimum"),
    *("minItems", "maxItems", "minLength"),
}
OF_NO_EFFECT = {"$schema", "$id", "$defs", "title", "description"}
VALUES = st.sampled_from([None, True, 0, -1, 1.0, 1.5, "x", "", "lesion", [], [1], {}, "a" * 64])


def keywords(schema: dict[str, Any]) -> Iterator[str]:
    yield from schema
    for name, part in schema.items():
        if name in ("properties", "$defs"):
            for one in part.values():
                yield from keywords(one)
        elif name in ("items", "if", "then", "else"):
            yield from keywords(part)
        elif name == "anyOf":
            for one in part:
                yield from keywords(one)


@pytest.mark.parametrize("name", SchemaName)
def test_no_schema_has_a_keyword_that_is_not_checked(name: SchemaName) -> None:
    assert set(keywords(SCHEMAS[name])) <= KNOWN | OF_NO_EFFECT


@pytest.mark.parametrize("document", DOCUMENTS)
def test_what_fits_has_no_problem(document: Any) -> None:
    assert list(problems(CASE, document)) == []


def places(part: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield at
    entries = dict(enumerate(part)) if isinstance(part, list) else part
    for key, one in entries.items() if isinstance(entries, dict) else ():
        yield from places(one, (*at, key))


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(DOCUMENTS), st.data())
def test_both_refuse_the_same(document: Any, data: st.DataObject) -> None:
    spoiled = deepcopy(document)
    *parents, last = data.draw(st.sampled_from([at for at in places(document) if at]))
    inside = spoiled
    for key in parents:
        inside = inside[key]
    what = data.draw(st.sampled_from(["replace", "remove", "add"]))
    if what == "replace":
        inside[last] = data.draw(VALUES)
    elif what == "remove":
        del inside[last]
    elif isinstance(inside, dict):
        inside["surprise"] = 1
    else:
        inside.append(data.draw(VALUES))
    fits = Draft202012Validator(CASE).is_valid(spoiled)
    assert (list(problems(CASE, spoiled)) == []) == fits


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 2.0, True])
def test_numbers_that_are_none(value: float) -> None:
    schema = {"type": "integer", "minimum": 0}
    assert (list(problems(schema, value)) == []) == (value == 2.0)
