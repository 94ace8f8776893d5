"""Documents: one writer, one strict reader."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, ClassVar, Literal, NamedTuple

import pytest
from pydantic import TypeAdapter

from rcc_onnx.system.documents import (
    LARGEST_DOCUMENT,
    STRICT,
    DocumentError,
    document_bytes,
    read_document,
    schema,
    to_json,
)


class Kind(StrEnum):
    ROUND = "round"
    FLAT = "flat"


class Point(NamedTuple):
    z: int
    y: int


@dataclass(frozen=True)
class Part:
    size_mm: float
    at: Point | None = None
    kind: Kind = Kind.ROUND
    counts: Mapping[str, tuple[int, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.size_mm > 100:
            raise ValueError("a part is at most 100 mm")


@dataclass(frozen=True)
class Whole:
    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT

    name: str
    parts: tuple[Part, ...]
    schema_version: Literal[1] = 1


@dataclass(frozen=True)
class WholeWithArrays(Whole):
    array: Any = field(default=None, metadata={"document": False})


WHOLE = Whole("kidney", (Part(1.5, Point(1, 2), Kind.FLAT, {"a": (1, 2)}), Part(2.0)))
WRITTEN = document_bytes(WHOLE)


def test_what_was_written_is_read_back() -> None:
    assert read_document(Whole, WRITTEN) == WHOLE


def test_the_writer_agrees_with_pydantic() -> None:
    assert to_json(WHOLE) == TypeAdapter(Whole).dump_python(WHOLE, mode="json")


def test_fields_that_are_not_part_of_the_document_are_left_out() -> None:
    assert document_bytes(WholeWithArrays(WHOLE.name, WHOLE.parts, array=object())) == WRITTEN


@pytest.mark.parametrize(
    ("old", "new", "path"),
    [
        (b'"size_mm": 1.5', b'"size_mm": "1.5"', "parts.0.size_mm"),
        (b'"size_mm": 1.5', b'"size_mm": true', "parts.0.size_mm"),
        (b'"size_mm": 1.5', b'"size_mm": 1e999', "parts.0.size_mm"),
        (b'"size_mm": 1.5', b'"size_mm": 1000', "parts.0"),
        (b'"size_mm": 1.5', b'"size_mm": 1.5, "extra": 1', "parts.0.extra"),
        (b'"schema_version": 1', b'"schema_version": 2', "schema_version"),
        (b',\n  "schema_version": 1', b"", "schema_version"),
        (b'"flat"', b'"square"', "parts.0.kind"),
        (b'"kind": "flat",', b"", "parts.0.kind"),
        (b'1,\n        2\n      ],\n      "kind"', b'1\n      ],\n      "kind"', "parts.0.at"),
        (b'"name": "kidney"', b'"name": "kidney", "name": "other"', ""),
        (b'"name": "kidney",', b"", "name"),
        (b"}\n", b"", ""),
    ],
)
def test_anything_else_is_refused_with_its_path(old: bytes, new: bytes, path: str) -> None:
    assert WRITTEN.count(old) >= 1
    with pytest.raises(DocumentError) as refused:
        read_document(Whole, WRITTEN.replace(old, new, 1))
    assert refused.value.path.startswith(path)
    assert "kidney" not in str(refused.value), "no value may be shown"


@pytest.mark.parametrize("data", [b"[" * 200_000, b"", b"nonsense", b"\xff", b"[]", b"null"])
def test_bytes_that_are_not_a_document(data: bytes) -> None:
    with pytest.raises(DocumentError):
        read_document(Whole, data)


def test_a_document_may_leave_out_defaults_where_that_is_allowed() -> None:
    data = b'{"name": "kidney", "parts": []}'
    assert read_document(Whole, data, complete=False) == Whole("kidney", ())


def test_too_large_a_document_is_not_parsed() -> None:
    with pytest.raises(DocumentError, match="larger"):
        read_document(Whole, b" " * (LARGEST_DOCUMENT + 1))


def test_a_name_that_is_not_utf8_is_written_as_an_escape() -> None:
    written = document_bytes(Whole("caf\udce9", ()))
    assert rb"caf\\udce9" in written
    assert read_document(Whole, written).name == r"caf\udce9"


def test_numbers_that_json_lacks_are_not_written() -> None:
    with pytest.raises(ValueError, match="JSON"):
        document_bytes(Whole("kidney", (Part(float("nan")),)))


def test_the_schema_names_every_field() -> None:
    described = schema(Whole)
    assert set(described["properties"]) == {"name", "parts", "schema_version"}
    assert described["additionalProperties"] is False
