"""The commands `infer` and `series`, and what all commands that run over cases share."""

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rcc_onnx.cli.logging import check_log_file, run_logs, set_up_logging
from rcc_onnx.cli.options import InferOptions, Json, RunOptions, Verbose, with_options
from rcc_onnx.cli.settings import print_settings, resolve_conflict
from rcc_onnx.cli.shared import EXIT_SOME_FAILED, console, exit_on_error, print_error
from rcc_onnx.types import counted

if TYPE_CHECKING:
    from rcc_onnx.batch.cases import Case
    from rcc_onnx.batch.runner import BatchConfig

MB = 1 << 20


@with_options
def infer(
    study: Annotated[
        Path,
        typer.Argument(
            metavar="INPUT",
            help="A study (a folder with DICOM at any depth, or a zip archive), or a folder of "
            "studies.",
        ),
    ],
    options: InferOptions,
    context: typer.Context,
) -> None:
    """Analyse one study or a folder of studies.

    Writes OUT/CASE.json and OUT/CASE_overview.png for every case,
    OUT/CASE_r.png and _l.png for each side with a suspected lesion, and
    OUT/report.html, results.csv and results.json for all.

    Exit codes: 0 all analysed, 1 at least one failed or the run stopped early,
    2 nothing was started, or no case had usable models.

    Example: rcc-onnx infer studies --out results

    Example: rcc-onnx infer study.zip --save seg --save sr
    """
    with exit_on_error(), run_context(context, options, study) as quiet:
        from rcc_onnx.batch.cases import find_cases  # noqa: PLC0415  heavy imports only where used

        config = build_config(options, overwrite=options.overwrite)
        cases = find_cases(study, options.out, options.input_is, options.pseudonyms)
        config = limited_by_memory(config, len(cases))
        raise typer.Exit(run_and_show(cases, config, quiet=quiet))


def series(
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
    """List a study's CT series and what can be done with each.

    Example: rcc-onnx series study
    """
    set_up_logging(verbose)
    with exit_on_error():
        from rcc_onnx.cli.console import refused_series, series_table  # noqa: PLC0415
        from rcc_onnx.dicom import series_table as read_series_table  # noqa: PLC0415
        from rcc_onnx.system.documents import to_json  # noqa: PLC0415

        rows = read_series_table(study, free_text=free_text)
        if as_json:
            print(json.dumps(to_json(rows), indent=2))
            return
        console(soft_wrap=False).print(series_table(rows))
        for line in refused_series(rows):
            print(line)


@contextmanager
def run_context(context: typer.Context, options: RunOptions, studies: Path) -> Iterator[bool]:
    """Set up logs for a run over studies, show its settings, and yield whether to be quiet.

    Raises:
        OptionError: --quiet and --verbose are given in the same place.
        LogFileError: the log file cannot be written, or is inside the input folder.
        SettingsError: a settings file was found there.
    """
    quiet, verbose = options.quiet, options.verbose
    if quiet and verbose:
        quiet = resolve_conflict(context, "quiet", "verbose") == "quiet"
        verbose = 0 if quiet else verbose
    check_log_file(options.log_file, studies, options.out)
    with run_logs(verbose, quiet=quiet, file=options.log_file):
        print_settings(context, studies, quiet=quiet)
        yield quiet


def build_config(options: RunOptions, *, overwrite: bool = False) -> "BatchConfig":
    """Return what every case of a run has in common.

    Raises:
        MissingExtraError: requested files cannot be written here.
    """
    from rcc_onnx.batch.runner import BatchConfig  # noqa: PLC0415  heavy imports
    from rcc_onnx.batch.worker_pool import Limits  # noqa: PLC0415
    from rcc_onnx.output.exports import check_exports  # noqa: PLC0415

    check_exports(options.analysis)
    # 0 seconds are no limit.
    limits = Limits(options.case_timeout or None, options.case_memory and options.case_memory * MB)
    return BatchConfig(
        out=options.out,
        options=options.analysis,
        models=options.models,
        overwrite=overwrite,
        workers=options.workers,
        limits=limits,
    )


def limited_by_memory(config: "BatchConfig", cases: int | None) -> "BatchConfig":
    """Return the config with the workers that cases and memory allow; report a lack of memory.

    `cases`: how many; None: not known yet.
    """
    from rcc_onnx.system.host import memory  # noqa: PLC0415  with more than one worker only

    wanted = config.limit_workers(cases, None)
    free = memory().free if wanted.workers > 1 else None
    limited = wanted.limit_workers(cases, free)
    if free is not None and limited.workers < wanted.workers:
        print(
            f"{counted(limited.workers, 'worker')} in place of {wanted.workers}: each may want "
            f"{config.case_bytes // MB} MB, and {free // MB} MB are free",
            file=sys.stderr,
        )
    return limited


def run_and_show(cases: "Sequence[Case]", config: "BatchConfig", *, quiet: bool = False) -> int:
    """Analyse the cases, show them and the run as they end, and return the exit code.

    Raises:
        RccOnnxError: nothing could be started.
    """
    from rcc_onnx.batch.runner import exit_code, run_batch  # noqa: PLC0415  heavy imports
    from rcc_onnx.cli.console import ConsoleReporter, show_run  # noqa: PLC0415

    with ConsoleReporter(len(cases), quiet=quiet) as reporter:
        run = run_batch(cases, config, reporter)
    show_run(run, quiet=quiet)
    if run.error is None:
        return exit_code(run.results)
    print_error(run.error)
    print(f"stopped after {len(run.results)} of {len(cases)} cases", file=sys.stderr)
    return EXIT_SOME_FAILED
