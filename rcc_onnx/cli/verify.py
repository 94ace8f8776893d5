"""The command `rcc-onnx verify`: results against what was written, or reproduced."""

from pathlib import Path
from typing import Annotated

import typer

from rcc_onnx.cli.logging import set_up_logging
from rcc_onnx.cli.options import Json, Models, Verbose
from rcc_onnx.cli.shared import EXIT_SOME_FAILED, exit_on_error
from rcc_onnx.types import ProviderName


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
