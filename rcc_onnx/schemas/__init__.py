"""JSON Schemas (draft 2020-12) of what rcc-onnx writes: cases, whole runs, reports of doctor."""

from enum import StrEnum
from importlib.resources import files


class SchemaName(StrEnum):
    """Which document: a case's, a whole run's, or doctor's."""

    CASE = "case"
    RESULTS = "results"
    DOCTOR = "doctor"


def schema_text(name: SchemaName | str) -> str:
    """The schema as it lies in the package. Raises ValueError if there is none of that name."""
    file = files(__name__) / f"{SchemaName(name)}.json"
    return file.read_text(encoding="utf-8")
