"""The documents of a folder of results: which there are, how they are read and described."""

from importlib.resources import files
from typing import cast

from rcc_onnx.results import CaseResult, FailedCase
from rcc_onnx.system.documents import read_document
from rcc_onnx.types import SchemaName

Case = CaseResult | FailedCase


def read_case(data: bytes) -> Case:
    """Return the result that the bytes of `OUT/<case>.json` hold, without arrays.

    Raises:
        DocumentError: it is not such a document, or one of another version.
    """
    return read_document(cast(type[Case], Case), data)


def schema_text(name: SchemaName | str) -> str:
    """Return the JSON Schema of a document, as text. `make schemas` writes the files."""
    file = files("rcc_onnx.output") / "schemas" / f"{SchemaName(name)}.json"
    return file.read_text(encoding="utf-8")
