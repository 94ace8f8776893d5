"""The command `rcc-onnx support-bundle`."""

from pathlib import Path
from typing import Annotated

import typer

from rcc_onnx.cli_shared import errors_end_here


def support_bundle(
    out: Annotated[
        Path, typer.Argument(metavar="OUT", help="Folder that `rcc-onnx infer` wrote to.")
    ],
    to: Annotated[Path, typer.Option("--to", metavar="FILE.zip", help="The file to write.")],
    log_file: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="A log of `infer --log-file`. May be repeated."),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace FILE.zip if it is there.")
    ] = False,
) -> None:
    """Pack what helps to find a fault, and nobody's name.

    A zip file of text, without images.

    Example: rcc-onnx support-bundle results --to support.zip
    """
    with errors_end_here():
        from rcc_onnx.support import write_bundle  # noqa: PLC0415  heavy imports only where used

        members = write_bundle(out, to, log_file or (), overwrite=overwrite)
        print(f"{to}:")
        for member in members:
            print(f"  {member.name:<15} {member.about}, {len(member.data)} bytes")
        print("Look at it before you send it: README.txt in it says what was left out.")
