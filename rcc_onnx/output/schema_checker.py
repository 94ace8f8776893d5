"""Whether a document fits a schema of ours, without a package for it.

Only the keywords that our schemas use; a test holds this against the package `jsonschema`.
"""

import re
from collections.abc import Callable, Iterator
from enum import StrEnum
from importlib.resources import files
from typing import Any

Json = dict[str, Any]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


_TYPES: dict[str, Callable[[Any], bool]] = {
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
    "string": lambda value: isinstance(value, str),
    "boolean": lambda value: isinstance(value, bool),
    "null": lambda value: value is None,
    "number": _is_number,
    "integer": lambda value: _is_number(value) and float(value).is_integer(),
}


def problems(schema: Json, document: Any) -> Iterator[str]:
    """What does not fit, each with its place, in no special order; nothing if all does."""
    return _problems(schema, document, schema, "")


def _problems(part: Json, value: Any, schema: Json, at: str) -> Iterator[str]:
    if "$ref" in part:
        yield from _problems(_meant(part["$ref"], schema), value, schema, at)
    if "if" in part:
        fits = not any(_problems(part["if"], value, schema, at))
        yield from _problems(part["then" if fits else "else"], value, schema, at)
    if "anyOf" in part and all(any(_problems(one, value, schema, at)) for one in part["anyOf"]):
        yield f"{at or 'the document'}: fits nothing that may stand here"
    if not _is_plain_fit(part, value):
        yield f"{at or 'the document'}: is not as it must be"
    elif isinstance(value, dict):
        yield from _of_object(part, value, schema, at)
    elif isinstance(value, list):
        for place, one in enumerate(value):
            yield from _problems(part.get("items", {}), one, schema, f"{at}[{place}]")


def _meant(reference: str, schema: Json) -> Json:
    """The part of the schema that a reference such as `#/$defs/note` leads to."""
    found = schema
    for name in reference.removeprefix("#/").split("/"):
        found = found[name]
    return found


def _of_object(part: Json, value: Json, schema: Json, at: str) -> Iterator[str]:
    known = part.get("properties", {})
    for name in part.get("required", ()):
        if name not in value:
            yield f"{at}.{name}".lstrip(".") + ": is missing"
    for name, one in value.items():
        place = f"{at}.{name}".lstrip(".")
        if name in known:
            yield from _problems(known[name], one, schema, place)
        elif part.get("additionalProperties") is False:
            yield f"{place}: is no field of this version"


def _is_plain_fit(part: Json, value: Any) -> bool:
    """By all keywords that look at nothing inside of the value."""
    types = part.get("type", list(_TYPES))
    if not any(_TYPES[name](value) for name in ([types] if isinstance(types, str) else types)):
        return False
    allowed = [part["const"]] if "const" in part else part.get("enum")
    if allowed is not None and not any(_is_same(one, value) for one in allowed):
        return False
    if isinstance(value, str):
        long_enough = len(value) >= part.get("minLength", 0)
        return long_enough and re.search(part.get("pattern", ""), value) is not None
    if isinstance(value, list):
        return bool(part.get("minItems", 0) <= len(value) <= part.get("maxItems", len(value)))
    return not _is_number(value) or bool(value >= part.get("minimum", value))


def _is_same(one: Any, other: Any) -> bool:
    # True equals 1 in Python, and is another thing in JSON.
    return isinstance(one, bool) == isinstance(other, bool) and bool(one == other)


# JSON Schemas (draft 2020-12) of what rcc-onnx writes: cases, whole runs, reports of doctor.


class SchemaName(StrEnum):
    """Which document: a case's, a whole run's, or doctor's."""

    CASE = "case"
    RESULTS = "results"
    DOCTOR = "doctor"


def schema_text(name: SchemaName | str) -> str:
    """The schema as it lies in the package. Raises ValueError if there is none of that name."""
    file = files("rcc_onnx.output") / "schemas" / f"{SchemaName(name)}.json"
    return file.read_text(encoding="utf-8")
