"""Options that several commands have, worded alike everywhere."""

from pathlib import Path
from typing import Annotated

import typer

from rcc_onnx.providers import ProviderName
from rcc_onnx.values import Precision

Out = Annotated[Path, typer.Option("--out", "-o", help="Folder for the results.")]
Models = Annotated[
    str | None,
    typer.Option(
        "--models",
        "-m",
        metavar="NAME|DIR",
        help="Model bundle, by name or folder. Default: the only installed one that is meant for "
        "the study.",
    ),
]
Provider = Annotated[
    ProviderName,
    typer.Option(
        help="What runs the networks. One that is named and cannot run is an error; auto says "
        "which one it took and why."
    ),
]
Threads = Annotated[
    int | None,
    typer.Option(min=1, help="CPU threads. Default: the CPUs this process may use."),
]
PrecisionOption = Annotated[
    Precision,
    typer.Option(
        "--precision",
        help="int8 is faster and runs on the CPU only, float16 on GPUs only, both from bundles "
        "that hold them (python -m convert quantize).",
    ),
]
Verbose = Annotated[
    int,
    typer.Option(
        "--verbose", "-v", count=True, help="Log what is done; -vv: also what only defects need."
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for scripts instead of a table.")]
