"""The command `rcc-onnx`. Only this and the other `cli_` modules print.

Exit codes: 0 all cases analysed, 1 at least one failed, 2 nothing could be started.
"""

import json
import multiprocessing
import sys
import tempfile
from io import TextIOWrapper
from pathlib import Path
from typing import Annotated

import typer

from rcc_onnx._version import __version__
from rcc_onnx.cli_completion import PROGRAM, answer_shells, completion
from rcc_onnx.cli_doctor import doctor
from rcc_onnx.cli_evaluate import evaluate
from rcc_onnx.cli_infer import infer
from rcc_onnx.cli_logs import set_up_logging, silence_warnings
from rcc_onnx.cli_models import models_app
from rcc_onnx.cli_options import Json, Models, Provider, Threads, Verbose
from rcc_onnx.cli_run import run
from rcc_onnx.cli_settings import settings_command
from rcc_onnx.cli_shared import console as _console
from rcc_onnx.cli_shared import errors_end_here as _errors_end_here
from rcc_onnx.cli_support import support_bundle
from rcc_onnx.cli_verify import verify
from rcc_onnx.cli_watch import watch
from rcc_onnx.providers import ProviderName
from rcc_onnx.schemas import SchemaName, schema_text
from rcc_onnx.values import InputIs, Precision

DEMO_SEED = 9
DEMO_MODELS = "phantom"

app = typer.Typer(
    name=PROGRAM,
    help="Find kidneys and suspected renal lesions in contrast-enhanced abdominal CT. "
    "Research software, not for diagnosis.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.add_typer(models_app, name="models")


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


app.command()(infer)
app.command()(watch)
app.command("settings")(settings_command)
app.command("support-bundle")(support_bundle)


@app.command("series")
def series_command(
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
    """List the CT series of a study and what could be done with each.

    Example: rcc-onnx series study
    """
    set_up_logging(verbose)
    with _errors_end_here():
        from rcc_onnx.case_json import series_json  # noqa: PLC0415
        from rcc_onnx.display import refused_series, series_table  # noqa: PLC0415
        from rcc_onnx.intake import series_table as read_series_table  # noqa: PLC0415

        rows = read_series_table(study, free_text=free_text)
        if as_json:
            print(json.dumps([series_json(row) for row in rows], indent=2))
            return
        _console(soft_wrap=False).print(series_table(rows))
        for line in refused_series(rows):
            print(line)


@app.command()
def schema(
    name: Annotated[
        SchemaName,
        typer.Argument(help="A case's JSON, results.json of a whole run, or doctor --json."),
    ] = SchemaName.CASE,
) -> None:
    """Print the JSON Schema of what `infer` writes, or `doctor` prints.

    Example: rcc-onnx schema results
    """
    print(schema_text(name), end="")


@app.command()
def demo(
    out: Annotated[
        Path, typer.Argument(metavar="OUT", help="Folder for the phantom and the results.")
    ] = Path("rcc-onnx-demo"),
    provider: Provider = ProviderName.AUTO,
    threads: Threads = None,
    seed: Annotated[int, typer.Option(min=0, help="Which phantom.")] = DEMO_SEED,
) -> None:
    """Make a small digital phantom study and analyse it, to see that everything works.

    Example: rcc-onnx demo
    """
    set_up_logging()
    with _errors_end_here():
        from rcc_onnx.batch import Case  # noqa: PLC0415  heavy imports only where used
        from rcc_onnx.case_tasks import case_work  # noqa: PLC0415
        from rcc_onnx.demo import make_phantom_folder, truth_line  # noqa: PLC0415
        from rcc_onnx.engine import Options  # noqa: PLC0415

        console = _console()
        study = make_phantom_folder(seed, out)
        console.print(f"Digital phantom {seed} written to {study.folder}", markup=False)
        options = Options(provider=provider, threads=threads)
        work = case_work(DEMO_MODELS, options, out / "results", overwrite=True)
        code = run(work, (Case(study.folder.name, study.folder),))
        console.print(truth_line(study.anatomy), markup=False)
        for kind in ("[rl]", "overview"):
            for picture in sorted((out / "results").glob(f"{study.folder.name}_{kind}.png")):
                console.print(f"Look at {picture}", markup=False)
        raise typer.Exit(code)


@app.command()
def phantom(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Folder for the studies.")],
    seed: Annotated[int, typer.Option(min=0, help="Seed of the first study.")] = 0,
    count: Annotated[int, typer.Option(min=1, help="How many studies.")] = 1,
) -> None:
    """Write digital phantom studies as DICOM, each in a folder of its own, to try things on.

    Example: rcc-onnx phantom studies --count 3
    """
    with _errors_end_here():
        from rcc_onnx.demo import make_phantom_folder  # noqa: PLC0415

        for number in range(seed, seed + count):
            print(make_phantom_folder(number, out).folder)


@app.command()
def bench(  # noqa: PLR0913, PLR0917  an option each
    studies: Annotated[
        Path | None,
        typer.Argument(
            metavar="DIR", help="A study, or a folder of studies. Default: a digital phantom."
        ),
    ] = None,
    models: Models = None,
    provider: Annotated[
        list[ProviderName] | None,
        typer.Option(
            metavar="PROVIDER", help="May be repeated. Default: those that auto would try."
        ),
    ] = None,
    precision: Annotated[
        list[Precision] | None, typer.Option(help="May be repeated. Default: all.")
    ] = None,
    threads: Threads = None,
    repeats: Annotated[int, typer.Option(min=1, help="Warm runs of each case.")] = 5,
    cases: Annotated[int | None, typer.Option(min=1, help="Take only so many cases.")] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write all figures here.")
    ] = None,
    plot: Annotated[
        Path | None, typer.Option(metavar="FILE.png", help="Draw the figures here.")
    ] = None,
) -> None:
    """Measure how fast this machine analyses studies, by provider and precision.

    Example: rcc-onnx bench --repeats 3 --plot bench.png
    """
    set_up_logging()
    with _errors_end_here(), tempfile.TemporaryDirectory() as scratch:
        from rich.markup import escape  # noqa: PLC0415  heavy imports only where used

        from rcc_onnx import display_bench  # noqa: PLC0415
        from rcc_onnx.bench import default_setups, measure  # noqa: PLC0415
        from rcc_onnx.bench_plot import save_plot  # noqa: PLC0415
        from rcc_onnx.bench_report import recommend, write_bench_json  # noqa: PLC0415
        from rcc_onnx.demo import make_phantom_folder  # noqa: PLC0415
        from rcc_onnx.intake import find_studies  # noqa: PLC0415
        from rcc_onnx.notice import RESEARCH_ONLY  # noqa: PLC0415

        console = _console(soft_wrap=False)
        if studies is None:
            studies = make_phantom_folder(DEMO_SEED, Path(scratch)).folder
        found = find_studies(studies, None, InputIs.AUTO)[:cases]
        names, folders = [name for name, _ in found], [folder for _, folder in found]
        setups = default_setups(models, threads, provider, precision)
        with console.status("starting") as status:
            measured = measure(setups, folders, repeats, lambda text: status.update(escape(text)))
        console.print(display_bench.measurements_table(measured))
        console.print(display_bench.stages_table(measured))
        if len(names) > 1:
            console.print(display_bench.cases_table(measured, names))
        for line in (*display_bench.notes(measured, recommend(measured)), RESEARCH_ONLY):
            console.print(line, markup=False, soft_wrap=True)
        if json_file is not None:
            write_bench_json(measured, names, json_file)
        if plot is not None:
            save_plot(measured, plot)


app.command()(evaluate)
app.command()(verify)
app.command()(doctor)
app.command()(completion)
