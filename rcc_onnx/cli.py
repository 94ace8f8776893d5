"""The command `rcc-onnx`: which commands there are. Only the `cli_` modules print.

Exit codes: 0 all cases analysed, 1 at least one failed, 2 nothing could be started.
"""

import multiprocessing
import sys
from io import TextIOWrapper
from typing import Annotated

import typer

from rcc_onnx._version import __version__
from rcc_onnx.cli_bench import bench
from rcc_onnx.cli_completion import PROGRAM, answer_shells, completion
from rcc_onnx.cli_demo import demo, phantom
from rcc_onnx.cli_doctor import doctor
from rcc_onnx.cli_evaluate import evaluate
from rcc_onnx.cli_infer import infer
from rcc_onnx.cli_logs import silence_warnings
from rcc_onnx.cli_models import models_app
from rcc_onnx.cli_schema import schema
from rcc_onnx.cli_series import series
from rcc_onnx.cli_settings import settings_command
from rcc_onnx.cli_support import support_bundle
from rcc_onnx.cli_verify import verify
from rcc_onnx.cli_watch import watch

app = typer.Typer(
    name=PROGRAM,
    help="Find kidneys and suspected renal lesions in contrast-enhanced abdominal CT. "
    "Research software, not for diagnosis.",
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
        # A name that the terminal or log file has no letters for is no reason to lose a batch.
        sys.stdout.reconfigure(errors="backslashreplace")
    silence_warnings()
    answer_shells()
    app(prog_name=PROGRAM)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"rcc-onnx {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


# In the order in which somebody comes to need them.
app.command()(demo)
app.command()(infer)
app.command()(watch)
app.command()(series)
app.command()(verify)
app.command()(evaluate)
app.add_typer(models_app, name="models")
app.command()(doctor)
app.command("settings")(settings_command)
app.command("support-bundle")(support_bundle)
app.command()(bench)
app.command()(phantom)
app.command()(schema)
app.command()(completion)
