"""The command `rcc-onnx doctor`."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rcc_onnx.cli.logging import set_up_logging
from rcc_onnx.cli.options import Json, Verbose
from rcc_onnx.cli.shared import EXIT_SOME_FAILED, console, exit_on_error
from rcc_onnx.output.schema_checker import SchemaName, schema_text

if TYPE_CHECKING:
    from rcc_onnx.diagnostics.doctor import Report


VERDICT_WIDTH = 11
"""The longest verdict, `not there`, and two blanks."""


def doctor(
    models: Annotated[
        str | None,
        typer.Option(
            "--models",
            "-m",
            metavar="NAME|DIR",
            help="Look at this bundle only, by name or folder. Default: at all that are found.",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="A folder that results are to go to: can it be written?"),
    ] = None,
    as_json: Json = False,
    verbose: Verbose = 0,
) -> None:
    """Look at this machine, and say what to mend.

    Software, processor, memory, bundles, decoders, folders. Every provider runs the networks on
    inputs that the bundle holds, and is compared with the answers that belong to them. Nothing is
    changed.

    Exit code 0: no problem (warnings may be). 1: a problem. 2: it could not run.

    Example: rcc-onnx doctor --out results
    """
    set_up_logging(verbose)
    with exit_on_error():
        from rich.markup import escape  # noqa: PLC0415  heavy imports only where used

        from rcc_onnx.diagnostics.doctor import Verdict, doctor_report, report_json  # noqa: PLC0415

        terminal = console()
        if as_json:
            report = doctor_report(models, out)
            print(json.dumps(report_json(report), indent=2))
        else:
            with terminal.status("starting") as status:
                report = doctor_report(
                    models, out, lambda room: status.update(escape(f"looking at {room}"))
                )
            for line in _text(report):
                terminal.print(line, markup=False)
        if report.verdict is Verdict.PROBLEM:
            raise typer.Exit(EXIT_SOME_FAILED)


def _text(report: "Report") -> Iterator[str]:
    """What a person reads: a block for each room, then the verdict on all of it."""
    from rcc_onnx.diagnostics.doctor import Verdict  # noqa: PLC0415
    from rcc_onnx.types import RESEARCH_ONLY  # noqa: PLC0415

    room = ""
    for line in report.lines:
        if line.room != room:
            room = line.room
            yield room
        yield f"  {line.verdict:<{VERDICT_WIDTH}}{line.subject}: {line.said}"
        if line.mend:
            yield f"  {'':<{VERDICT_WIDTH}}-> {line.mend}"
    counts = {
        verdict: sum(line.verdict is verdict for line in report.lines)
        for verdict in (Verdict.PROBLEM, Verdict.WARNING)
    }
    problems, warnings = (_count(number, str(verdict)) for verdict, number in counts.items())
    yield f"Verdict: {report.verdict} ({problems}, {warnings})"
    yield RESEARCH_ONLY


def _count(number: int, word: str) -> str:
    return f"{number or 'no'} {word}{'' if number == 1 else 's'}"


# The command `rcc-onnx schema`.


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


# The command `rcc-onnx support-bundle`.


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
    with exit_on_error():
        from rcc_onnx.diagnostics.support import write_bundle  # noqa: PLC0415  heavy imports only where used

        members = write_bundle(out, to, log_file or (), overwrite=overwrite)
        print(f"{to}:")
        for member in members:
            print(f"  {member.name:<15} {member.about}, {len(member.data)} bytes")
        print("Look at it before you send it: README.txt in it says what was left out.")
