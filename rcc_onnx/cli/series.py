"""The command `rcc-onnx series`."""

import json
from pathlib import Path
from typing import Annotated

import typer

from rcc_onnx.cli.logging import set_up_logging
from rcc_onnx.cli.options import Json, Verbose
from rcc_onnx.cli.shared import console, exit_on_error


def series(
    study: Annotated[
        Path, typer.Argument(metavar="DIR", help="A study: a folder or a zip archive.")
    ],
    as_json: Json = False,
    free_text: Annotated[
        bool,
        typer.Option(
            "--free-text",
            help="Show descriptions as the files have them. They may hold a patient's name; by "
            "default only words are shown that are known to be none.",
        ),
    ] = False,
    verbose: Verbose = 0,
) -> None:
    """List a study's CT series and what can be done with each.

    Example: rcc-onnx series study
    """
    set_up_logging(verbose)
    with exit_on_error():
        from rcc_onnx.cli.console import refused_series, series_table  # noqa: PLC0415
        from rcc_onnx.dicom import series_table as read_series_table  # noqa: PLC0415
        from rcc_onnx.system.documents import to_json  # noqa: PLC0415

        rows = read_series_table(study, free_text=free_text)
        if as_json:
            print(json.dumps(to_json(rows), indent=2))
            return
        console(soft_wrap=False).print(series_table(rows))
        for line in refused_series(rows):
            print(line)
