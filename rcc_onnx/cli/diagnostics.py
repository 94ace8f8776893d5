"""The commands that check: doctor, verify, schema and support-bundle."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rcc_onnx.cli.logging import set_up_logging
from rcc_onnx.cli.options import Json, Models, Verbose
from rcc_onnx.cli.shared import EXIT_SOME_FAILED, console, exit_on_error
from rcc_onnx.types import ProviderName, SchemaName

if TYPE_CHECKING:
    from rcc_onnx.diagnostics.doctor import DoctorReport


def doctor(
    models: Annotated[
        str | None,
        typer.Option(
            "--models",
            "-m",
            metavar="NAME|DIR",
            help="Check this bundle only, by name or folder. Default: all that are found.",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Check that results can be written to this folder."),
    ] = None,
    as_json: Json = False,
    verbose: Verbose = 0,
) -> None:
    """Diagnose this installation and suggest fixes.

    Checks software, processor, memory, bundles, decoders and folders. Every provider runs the
    networks on inputs that the bundle holds, and must agree with its reference outputs. Nothing is
    changed.

    Exit code 0: no problem (there may be warnings). 1: a problem. 2: it could not run.

    Example: rcc-onnx doctor --out results
    """
    set_up_logging(verbose)
    with exit_on_error():
        from rcc_onnx.diagnostics.doctor import Verdict, run_doctor  # noqa: PLC0415  heavy imports only where used
        from rcc_onnx.system.documents import document_bytes  # noqa: PLC0415

        if as_json:
            report = run_doctor(models, out)
            print(document_bytes(report).decode(), end="")
        else:
            terminal = console()
            with terminal.status("starting") as status:
                report = run_doctor(models, out, lambda name: status.update(f"checking {name}"))
            for line in _report_lines(report):
                terminal.print(line, markup=False)
        if report.verdict is Verdict.PROBLEM:
            raise typer.Exit(EXIT_SOME_FAILED)


def _report_lines(report: "DoctorReport") -> Iterator[str]:
    """Yield a block of lines for each category, then the verdict."""
    from rcc_onnx.diagnostics.doctor import Verdict  # noqa: PLC0415
    from rcc_onnx.types import counted  # noqa: PLC0415

    category = ""
    for check in report.checks:
        if check.category != category:
            category = check.category
            yield category
        yield f"  {check.verdict:<9}{check.subject}: {check.message}"
        if check.remedy:
            yield f"  {'':<9}-> {check.remedy}"
    verdicts = [check.verdict for check in report.checks]
    problems = counted(verdicts.count(Verdict.PROBLEM), "problem")
    warnings = counted(verdicts.count(Verdict.WARNING), "warning")
    yield f"Verdict: {report.verdict} ({problems}, {warnings})"
    yield report.notice


def verify(  # noqa: PLR0913, PLR0917  an option each
    out: Annotated[
        Path, typer.Argument(metavar="OUT", help="A folder of results that `infer` wrote.")
    ],
    case: Annotated[
        str | None,
        typer.Option(
            "--reproduce",
            metavar="CASE",
            help="Analyse this case again with the options in its JSON, and compare.",
        ),
    ] = None,
    study: Annotated[
        Path | None,
        typer.Option(
            "--input",
            metavar="STUDY",
            help="With --reproduce: the folder or zip archive of the case's study.",
        ),
    ] = None,
    models: Models = None,
    provider: Annotated[
        ProviderName | None,
        typer.Option(
            metavar="PROVIDER",
            help="With --reproduce: what runs the networks.",
            show_default="as requested then",
        ),
    ] = None,
    as_json: Json = False,
    verbose: Verbose = 0,
) -> None:
    """Check that results are unchanged, by SHA256SUMS; or reproduce one and compare.

    Exit codes: 0 unchanged or reproduced; 1 something differs; 2 it cannot be checked.

    Example: rcc-onnx verify results --reproduce case01 --input studies/case01
    """
    set_up_logging(verbose)
    with exit_on_error():
        from rcc_onnx.diagnostics.verify.folder import FolderVerdict, check_folder  # noqa: PLC0415  heavy imports only where used
        from rcc_onnx.diagnostics.verify.report import folder_lines, reproduction_lines  # noqa: PLC0415
        from rcc_onnx.diagnostics.verify.reproduce import Verdict, reproduce  # noqa: PLC0415
        from rcc_onnx.errors import OptionError  # noqa: PLC0415
        from rcc_onnx.system.documents import document_bytes  # noqa: PLC0415

        if case is not None:
            made = reproduce(out, case, study, models=models, provider=provider)
            differs = made.verdict is Verdict.DIFFERENT
            document, lines = document_bytes(made), reproduction_lines(made)
        elif study is not None or models is not None or provider is not None:
            raise OptionError("--input, --models and --provider go with --reproduce CASE")
        else:
            check = check_folder(out)
            differs = check.verdict is FolderVerdict.MODIFIED
            document, lines = document_bytes(check), folder_lines(check)
        print(document.decode() if as_json else "\n".join(lines))
        raise typer.Exit(EXIT_SOME_FAILED if differs else 0)


def schema(
    name: Annotated[
        SchemaName,
        typer.Argument(help="A case, results.json of a run, doctor --json, or evaluation.json."),
    ] = SchemaName.CASE,
) -> None:
    """Print the JSON Schema of a document that rcc-onnx writes.

    Example: rcc-onnx schema results
    """
    from rcc_onnx.output.document import schema_text  # noqa: PLC0415  heavy imports

    print(schema_text(name), end="")


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
        bool, typer.Option("--overwrite", help="Replace FILE.zip if it exists.")
    ] = False,
) -> None:
    """Create a support bundle without patient identifiers.

    A zip file of text: versions, the doctor's report, counts, codes and logs. No images, no names.

    Example: rcc-onnx support-bundle results --to support.zip
    """
    with exit_on_error():
        from rcc_onnx.diagnostics.support_bundle import write_support_bundle  # noqa: PLC0415  heavy imports only where used

        members = write_support_bundle(out, to, log_file or (), overwrite=overwrite)
        print(f"{to}:")
        for member in members:
            print(f"  {member.name:<15} {member.description}, {len(member.data)} bytes")
        print("Look at it before you send it: README.txt in it says what was left out.")
