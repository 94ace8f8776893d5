"""The command `rcc-onnx`. The only module that prints.

Exit codes: 0 all cases analysed, 1 at least one failed, 2 nothing could be started.
"""

import json
import logging
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rcc_onnx._version import __version__
from rcc_onnx.errors import RccOnnxError
from rcc_onnx.providers import ProviderName
from rcc_onnx.values import InputIs, Precision, Profile, SeriesPolicy

if TYPE_CHECKING:
    from rich.console import Console

    from rcc_onnx.batch import Case
    from rcc_onnx.engine import Engine

EXIT_SOME_FAILED = 1
EXIT_NOT_STARTED = 2
EXIT_INTERRUPTED = 130
BUNDLES = "the bundle's"
DEMO_SEED = 9
DEMO_MODELS = "phantom"

app = typer.Typer(
    name="rcc-onnx",
    help="Find kidneys and suspected renal lesions in contrast-enhanced abdominal CT. "
    "Research software, not for diagnosis.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
models_app = typer.Typer(help="List, show and verify model bundles.", no_args_is_help=True)
app.add_typer(models_app, name="models")

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
BundleName = Annotated[str, typer.Argument(metavar="NAME|DIR", help="A bundle, by name or folder.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for scripts instead of a table.")]


def main() -> None:
    """Entry point: errors become one line on stderr and an exit code, never a traceback."""
    if isinstance(sys.stdout, TextIOWrapper):
        # A name that the terminal or log file has no letters for is no reason to lose a batch.
        sys.stdout.reconfigure(errors="backslashreplace")
    app()


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


@app.command()
def infer(  # noqa: PLR0913, PLR0917  an option each
    study: Annotated[
        Path,
        typer.Argument(
            metavar="INPUT",
            help="A study (a folder with DICOM at any depth, or a zip archive), or a folder of "
            "studies.",
        ),
    ],
    out: Out = Path("rcc-onnx-results"),
    models: Models = None,
    provider: Provider = ProviderName.AUTO,
    threads: Threads = None,
    precision: PrecisionOption = Precision.FLOAT32,
    profile: Annotated[
        Profile,
        typer.Option(help="standard, or notebook: the published notebook to the letter."),
    ] = Profile.STANDARD,
    kidney_threshold: Annotated[
        float | None,
        typer.Option(
            min=0,
            help="Probability sum above which there is a kidney.",
            show_default=BUNDLES,
        ),
    ] = None,
    lesion_threshold: Annotated[
        float | None,
        typer.Option(
            min=0,
            help="Probability sum above which there is a suspected lesion.",
            show_default=BUNDLES,
        ),
    ] = None,
    series: Annotated[
        str | None,
        typer.Option(
            metavar="NUMBER|UID",
            help="Which series to take: its label in `rcc-onnx series`, its number, or its UID.",
        ),
    ] = None,
    series_policy: Annotated[
        SeriesPolicy | None,
        typer.Option(help="Which of several suitable series to take. Default: none, refuse."),
    ] = None,
    input_is: Annotated[
        InputIs,
        typer.Option(help="Whether INPUT is one study or a folder of studies; auto looks."),
    ] = InputIs.AUTO,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log what is done.")] = False,
) -> None:
    """Analyse one study or a folder of studies.

    Writes OUT/<case>.json for every case and OUT/<case>_r.png / _l.png for each side with a
    suspected lesion. Example: rcc-onnx infer studies --out results
    """
    _set_up_logging(verbose)
    with _errors_end_here():
        from rcc_onnx.batch import find_cases  # noqa: PLC0415  heavy imports only where used
        from rcc_onnx.engine import Engine  # noqa: PLC0415

        cases = find_cases(study, out, input_is)
        engine = Engine.load(
            models,
            provider,
            profile=profile,
            threads=threads,
            kidney_threshold=kidney_threshold,
            lesion_threshold=lesion_threshold,
            series=series,
            series_policy=series_policy,
            precision=precision,
        )
        raise typer.Exit(_run(engine, cases, out))


@app.command("series")
def series_command(
    study: Annotated[
        Path, typer.Argument(metavar="DIR", help="A study: a folder or a zip archive.")
    ],
    as_json: Json = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log what is done.")] = False,
) -> None:
    """List the CT series of a study and what could be done with each.

    Example: rcc-onnx series study
    """
    _set_up_logging(verbose)
    with _errors_end_here():
        from rcc_onnx.display import refused_series, series_table  # noqa: PLC0415
        from rcc_onnx.intake import series_table as read_series_table  # noqa: PLC0415
        from rcc_onnx.report import series_json  # noqa: PLC0415

        rows = read_series_table(study)
        if as_json:
            print(json.dumps([series_json(row) for row in rows], indent=2))
            return
        _console(soft_wrap=False).print(series_table(rows))
        for line in refused_series(rows):
            print(line)


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
    _set_up_logging(verbose=False)
    with _errors_end_here():
        from rcc_onnx.batch import Case  # noqa: PLC0415  heavy imports only where used
        from rcc_onnx.demo import make_phantom_folder, truth_line  # noqa: PLC0415
        from rcc_onnx.engine import Engine  # noqa: PLC0415

        console = _console()
        study = make_phantom_folder(seed, out)
        console.print(f"Digital phantom {seed} written to {study.folder}", markup=False)
        engine = Engine.load(DEMO_MODELS, provider, threads=threads)
        code = _run(engine, (Case(study.folder.name, study.folder),), out / "results")
        console.print(truth_line(study.anatomy), markup=False)
        for picture in sorted((out / "results").glob(f"{study.folder.name}_[rl].png")):
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
        typer.Option(help="May be repeated. Default: those that auto would try."),
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
    _set_up_logging(verbose=False)
    with _errors_end_here(), tempfile.TemporaryDirectory() as scratch:
        from rich.markup import escape  # noqa: PLC0415  heavy imports only where used

        from rcc_onnx import display_bench  # noqa: PLC0415
        from rcc_onnx.bench import default_setups, measure  # noqa: PLC0415
        from rcc_onnx.bench_plot import save_plot  # noqa: PLC0415
        from rcc_onnx.bench_report import recommend, write_bench_json  # noqa: PLC0415
        from rcc_onnx.demo import make_phantom_folder  # noqa: PLC0415
        from rcc_onnx.intake import find_studies  # noqa: PLC0415
        from rcc_onnx.report import RESEARCH_ONLY  # noqa: PLC0415

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


@models_app.command("list")
def models_list(as_json: Json = False) -> None:
    """List the installed bundles: shipped ones and those in the folder RCC_ONNX_MODELS.

    Example: rcc-onnx models list
    """
    with _errors_end_here():
        from rcc_onnx.bundles import installed_bundles  # noqa: PLC0415
        from rcc_onnx.display_models import installed_json, installed_table  # noqa: PLC0415

        bundles = installed_bundles(check=True)
        if as_json:
            print(json.dumps([installed_json(one) for one in bundles], indent=2))
        else:
            _console(soft_wrap=False).print(installed_table(bundles))


@models_app.command("show")
def models_show(name: BundleName, as_json: Json = False) -> None:
    """Show a bundle: what it may be used on, where it comes from, its certificate.

    Example: rcc-onnx models show phantom
    """
    with _errors_end_here():
        from rcc_onnx.bundles import find_bundle  # noqa: PLC0415
        from rcc_onnx.display_models import bundle_table  # noqa: PLC0415

        bundle = find_bundle(name)
        if as_json:
            print(bundle.manifest.to_json(), end="")
        else:
            _console(soft_wrap=False).print(bundle_table(bundle))


@models_app.command("verify")
def models_verify(name: BundleName) -> None:
    """Check a bundle's hashes, its networks' shapes and operators, and run both once on the CPU.

    Example: rcc-onnx models verify models/published
    """
    with _errors_end_here():
        from rcc_onnx.bundles import find_bundle  # noqa: PLC0415
        from rcc_onnx.display_models import verified_lines  # noqa: PLC0415
        from rcc_onnx.verify import verify_bundle  # noqa: PLC0415

        bundle = find_bundle(name)
        for line in verified_lines(bundle, verify_bundle(bundle)):
            print(line)


def _run(engine: "Engine", cases: "Sequence[Case]", out: Path) -> int:
    """Analyse the cases, show what comes, and give back the exit code."""
    from rcc_onnx.batch import analyse_cases, exit_code  # noqa: PLC0415  as above
    from rcc_onnx.display import case_line, results_table, setup_line, shown_warnings  # noqa: PLC0415
    from rcc_onnx.findings import CaseResult, FailedCase  # noqa: PLC0415
    from rcc_onnx.progress import CaseProgress  # noqa: PLC0415
    from rcc_onnx.report import RESEARCH_ONLY  # noqa: PLC0415

    console = _console()
    results: list[CaseResult | FailedCase] = []
    broken_off: RccOnnxError | None = None
    with CaseProgress(console, len(cases)) as progress:
        try:
            for result in analyse_cases(engine, cases, out, progress.listener):
                first_answer = not any(isinstance(one, CaseResult) for one in results)
                if first_answer and isinstance(result, CaseResult):
                    progress.say(setup_line(result))
                results.append(result)
                progress.say(f"[{len(results)}/{len(cases)}] {case_line(result)}")
                for warning in shown_warnings(result):
                    progress.say(f"    warning: {warning}")
        except RccOnnxError as error:
            if not results:
                raise
            broken_off = error
    console.print(results_table(results))
    console.print(RESEARCH_ONLY, markup=False)
    console.print(f"Results are in {out}", markup=False)
    if broken_off is None:
        return exit_code(results)
    _print_error(broken_off)
    print(f"stopped after {len(results)} of {len(cases)} cases", file=sys.stderr)
    return EXIT_SOME_FAILED


def _print_error(error: RccOnnxError) -> None:
    print(f"error [{error.code}]: {error}", file=sys.stderr)


def _console(*, soft_wrap: bool = True) -> "Console":
    from rich.console import Console  # noqa: PLC0415  `--version` does without

    return Console(highlight=False, soft_wrap=soft_wrap)


def _set_up_logging(verbose: bool) -> None:
    logging.basicConfig(
        level=logging.INFO if verbose else logging.WARNING,
        format="%(levelname)s %(name)s: %(message)s",
        stream=sys.stderr,
    )
    # pydicom logs what decoders tried, with tracebacks, and may quote a patient's data.
    logging.getLogger("pydicom").setLevel(logging.CRITICAL)


@contextmanager
def _errors_end_here() -> Iterator[None]:
    """An error of ours becomes one line on stderr and exit code 2, Ctrl-C exit code 130."""
    try:
        yield
    except RccOnnxError as error:
        _print_error(error)
        raise typer.Exit(EXIT_NOT_STARTED) from None
    except KeyboardInterrupt:
        print("interrupted; cases that were finished are complete", file=sys.stderr)
        raise typer.Exit(EXIT_INTERRUPTED) from None
