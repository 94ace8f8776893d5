"""JSON documents as frozen dataclasses: one statement of their shape, one writer, one reader.

A document's fields are those of its dataclass, in order. pydantic reads and describes them; it is
imported when a document is read, never to write one.
"""

import json
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from functools import cache
from typing import Any, TypeVar

Json = Any
Document = TypeVar("Document")

STRICT: dict[str, Any] = {"extra": "forbid", "strict": True, "allow_inf_nan": False}
"""`__pydantic_config__` of every document: no unknown field, no conversion, no NaN."""

LARGEST_DOCUMENT = 64 << 20
"""Bytes. Larger than any document of ours; a larger file is not read."""


class DocumentError(ValueError):
    """Bytes that are not the document that was expected.

    Attributes:
        path: the field at fault, `sides.right.outcome`; "" for the whole document.
        reason: what is wrong with it, without its value.
    """

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path}: {reason}" if path else reason)
        self.path, self.reason = path, reason


def to_json(value: object) -> Json:
    """Return a value as JSON holds it: dataclasses and mappings as objects, enums by value.

    Fields with the metadata `{"document": False}` are left out.
    """
    if is_dataclass(value) and not isinstance(value, type):
        return {
            field.name: to_json(getattr(value, field.name))
            for field in fields(value)
            if field.metadata.get("document", True)
        }
    if isinstance(value, Mapping):
        return {document_text(str(key)): to_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_json(item) for item in value]
    if isinstance(value, Enum):
        return value.value
    return document_text(value) if isinstance(value, str) else value


def document_text(text: str) -> str:
    """Return a text as documents hold it: bytes of a file name that are not UTF-8 as escapes.

    Python holds such a byte as a lone surrogate, which JSON readers refuse.
    """
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode("utf-8")


def document_bytes(value: object) -> bytes:
    """Return a document as files hold it. Raises ValueError for NaN and infinity."""
    text = json.dumps(to_json(value), indent=2, ensure_ascii=False, allow_nan=False)
    return (text + "\n").encode("utf-8")


def read_document(kind: type[Document], data: bytes, *, complete: bool = True) -> Document:
    """Return the document that bytes hold.

    Args:
        kind: a dataclass whose `__pydantic_config__` is `STRICT`, or a union of such.
        data: UTF-8 JSON.
        complete: every field must be there, those with a default too.

    Raises:
        DocumentError: it is not JSON, names a key twice, is nested too deeply or too large, or has
            other fields or values than `kind`.
    """
    from pydantic import ValidationError  # noqa: PLC0415  only where documents are read

    if len(data) > LARGEST_DOCUMENT:
        raise DocumentError("", f"larger than {LARGEST_DOCUMENT} bytes")
    try:
        parsed = json.loads(data, object_pairs_hook=_refuse_repeated_keys)
    except DocumentError:
        raise
    except (ValueError, RecursionError) as error:
        raise DocumentError("", "not valid JSON, or nested too deeply") from error
    try:
        found: Document = _adapter(kind).validate_json(data)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False, include_context=False)[0]
        path = ".".join(str(step) for step in first["loc"])
        raise DocumentError(path, first["msg"].removeprefix("Value error, ")) from None
    missing = _missing_field(parsed, to_json(found)) if complete else None
    if missing is not None:
        raise DocumentError(missing, "Field required")
    return found


def schema(kind: type[Document]) -> dict[str, Json]:
    """Return the JSON Schema (draft 2020-12) of a document in which every field must be there."""
    from pydantic.json_schema import GenerateJsonSchema  # noqa: PLC0415  as above

    class CompleteDocument(GenerateJsonSchema):
        def field_is_required(self, *_: Any, **__: Any) -> bool:
            return True

        def default_schema(self, schema: Any) -> dict[str, Json]:
            return self.generate_inner(schema["schema"])

        def field_title_should_be_set(self, schema: Any) -> bool:
            return False

    described: dict[str, Json] = _adapter(kind).json_schema(schema_generator=CompleteDocument)
    for part in (described, *described.get("$defs", {}).values()):
        # Docstrings speak to readers of the code; docs/outputs.md explains the fields.
        part.pop("description", None)
    return described


@cache
def _adapter_of(kind: Hashable) -> Any:
    from pydantic import TypeAdapter  # noqa: PLC0415  as above

    return TypeAdapter(kind)  # type: ignore[arg-type]  # any type that pydantic knows


def _adapter(kind: Any) -> Any:
    return _adapter_of(kind)


def _refuse_repeated_keys(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise DocumentError("", "an object names a key twice")
    return found


def _missing_field(parsed: Json, whole: Json) -> str | None:
    """Return the path of the first field of the whole document that the parsed one lacks."""
    pairs: Iterable[tuple[object, tuple[Json, Json]]]
    if isinstance(parsed, list):
        pairs = list(enumerate(zip(parsed, whole, strict=True)))
    elif isinstance(parsed, dict):
        lacking = [str(key) for key in whole if key not in parsed]
        if lacking:
            return lacking[0]
        pairs = [(key, (parsed[key], whole[key])) for key in whole]
    else:
        return None
    for step, pair in pairs:
        below = _missing_field(*pair)
        if below is not None:
            return f"{step}.{below}"
    return None
