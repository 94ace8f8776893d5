"""The program `rcc-onnx` and its commands. Only modules of this package print.

Exit codes: 0 all cases analysed, 1 at least one failed, 2 nothing could be started.
"""

import multiprocessing
import os
import sys
from enum import StrEnum
from io import TextIOWrapper
from typing import Annotated

import typer
from typer.completion import get_completion_inspect_parameters, shell_complete

from rcc_onnx._version import __version__
from rcc_onnx.cli.bench import bench
from rcc_onnx.cli.demo import demo, phantom
from rcc_onnx.cli.diagnostics import doctor, schema, support_bundle, verify
from rcc_onnx.cli.evaluate import evaluate
from rcc_onnx.cli.infer import infer, series
from rcc_onnx.cli.logging import silence_warnings
from rcc_onnx.cli.models import models_app
from rcc_onnx.cli.settings import settings
from rcc_onnx.cli.watch import watch

PROGRAM = "rcc-onnx"
COMPLETE_VARIABLE = "_RCC_ONNX_COMPLETE"
"""Set by the completion scripts, which ask the program for words."""


class Shell(StrEnum):
    """A shell with a completion script."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"
    POWERSHELL = "powershell"


# Typer's own `--install-completion` is not offered: it edits the shell's settings, and those of
# PowerShell so that any script may run.
def completion(
    context: typer.Context,
    shell: Annotated[Shell, typer.Argument(help="The shell that the script is for.")],
) -> None:
    """Print a script with which a shell completes with Tab.

    Nothing is changed: how the script gets into the shell is your choice. For
    this session: source <(rcc-onnx completion bash). For good, see
    docs/installing.md.

    Example: rcc-onnx completion bash
    """
    get_completion_inspect_parameters()  # registers the shells
    program = context.find_root().command
    raise typer.Exit(shell_complete(program, {}, PROGRAM, COMPLETE_VARIABLE, f"source_{shell}"))


app = typer.Typer(
    name=PROGRAM,
    help="Find kidneys and suspected renal lesions in contrast-enhanced abdominal CT. "
    "Research software, not for diagnosis.",
    epilog="Exit codes, unless a command states its own: 0 done, 1 a part of the work failed, "
    "2 nothing could be started (standard error has a line `error [code]: message`, see "
    "docs/errors.md), 130 after Ctrl-C. A command writes only the files that are named with it.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    # Boxes would cut the names of long options short.
    rich_markup_mode=None,
)


def main() -> None:
    """Entry point: errors become one line on stderr and an exit code, never a traceback."""
    multiprocessing.freeze_support()
    if isinstance(sys.stdout, TextIOWrapper):
        # A name with characters that the terminal or file lacks must not end a batch.
        sys.stdout.reconfigure(errors="backslashreplace")
    silence_warnings()
    if os.environ.get(COMPLETE_VARIABLE):
        get_completion_inspect_parameters()
    app(prog_name=PROGRAM)


def _print_version(requested: bool) -> None:
    if requested:
        print(f"rcc-onnx {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    pass


# In the order in which a new user needs them.
app.command()(demo)
app.command()(infer)
app.command()(watch)
app.command()(series)
app.command()(verify)
app.command()(evaluate)
app.add_typer(models_app, name="models")
app.command()(doctor)
app.command()(settings)
app.command("support-bundle")(support_bundle)
app.command()(bench)
app.command()(phantom)
app.command()(schema)
app.command()(completion)
