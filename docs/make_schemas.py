"""Write the JSON Schemas in rcc_onnx/output/schemas from the dataclasses. A test compares."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SCHEMAS = ROOT / "rcc_onnx" / "output" / "schemas"


def schema_texts() -> Mapping[str, str]:
    """Return the text of each schema, by its name."""
    sys.path.insert(0, str(ROOT))
    from rcc_onnx.diagnostics.doctor import DoctorReport  # noqa: PLC0415  after the path is set
    from rcc_onnx.evaluate.figures import Evaluation  # noqa: PLC0415
    from rcc_onnx.output.document import Case, SchemaName  # noqa: PLC0415
    from rcc_onnx.output.run import RunResult  # noqa: PLC0415
    from rcc_onnx.system.documents import schema  # noqa: PLC0415

    documents = {
        SchemaName.CASE: Case,
        SchemaName.RESULTS: RunResult,
        SchemaName.DOCTOR: DoctorReport,
        SchemaName.EVALUATION: Evaluation,
    }
    return {name: _text(name, schema(kind)) for name, kind in documents.items()}


def _text(name: str, described: Mapping[str, object]) -> str:
    head = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:rcc-onnx:schema:{name}:1",
    }
    return json.dumps(head | described, indent=2) + "\n"


if __name__ == "__main__":
    for name, text in schema_texts().items():
        (SCHEMAS / f"{name}.json").write_text(text, encoding="utf-8")
