"""The command `rcc-onnx verify`: results against what was written, or made again."""

import json
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
            show_default="as asked for then",
        ),
    ] = None,
    as_json: Json = False,
    verbose: Verbose = 0,
) -> None:
    """Check that results are as they were written.

    By SHA256SUMS; or, with --reproduce, make one again and compare.

    Exit codes: 0 all as written, or the same again; 1 something differs; 2 it cannot be checked.

    Example: rcc-onnx verify results --reproduce case01 --input studies/case01
    """
    set_up_logging(verbose)
    with exit_on_error():
        if case is not None:
            same = _reproduce(out, case, study, models, provider, as_json=as_json)
        else:
            _check_alone(study, models, provider)
            same = _check(out, as_json=as_json)
        raise typer.Exit(0 if same else EXIT_SOME_FAILED)


def _check_alone(study: Path | None, models: str | None, provider: ProviderName | None) -> None:
    from rcc_onnx.errors import OptionError  # noqa: PLC0415

    if not (study is None and models is None and provider is None):
        raise OptionError("--input, --models and --provider go with --reproduce CASE")


def _check(out: Path, *, as_json: bool) -> bool:
    from rcc_onnx.diagnostics.verify import check_folder  # noqa: PLC0415  heavy imports only where used
    from rcc_onnx.diagnostics.verify.telling import folder_json, folder_lines  # noqa: PLC0415

    found = check_folder(out)
    if as_json:
        print(json.dumps(folder_json(found), indent=2))
    else:
        for line in folder_lines(found):
            print(line)
    return found.holds


def _reproduce(  # noqa: PLR0913  an option each
    out: Path,
    case: str,
    study: Path | None,
    models: str | None,
    provider: ProviderName | None,
    *,
    as_json: bool,
) -> bool:
    from rcc_onnx.diagnostics.verify import Verdict, reproduce  # noqa: PLC0415
    from rcc_onnx.diagnostics.verify.telling import (  # noqa: PLC0415
        reproduction_json,
        reproduction_lines,
    )

    made = reproduce(out, case, study, models=models, provider=provider)
    if as_json:
        print(json.dumps(reproduction_json(made), indent=2))
    else:
        for line in reproduction_lines(made):
            print(line)
    return made.comparison.verdict is not Verdict.DIFFERENT
