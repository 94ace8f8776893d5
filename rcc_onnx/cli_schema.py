"""The command `rcc-onnx schema`."""

from typing import Annotated

import typer

from rcc_onnx.schemas import SchemaName, schema_text


def schema(
    name: Annotated[
        SchemaName,
        typer.Argument(help="A case's JSON, results.json of a whole run, or doctor --json."),
    ] = SchemaName.CASE,
) -> None:
    """Print the JSON Schema of a document.

    Of what `infer` writes, or `doctor` prints.

    Example: rcc-onnx schema results
    """
    print(schema_text(name), end="")
