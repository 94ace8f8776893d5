"""How `infer` and `demo` go through cases and say what comes."""

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rcc_onnx.cli.logging import check_log_file, run_logs
from rcc_onnx.cli.options import InferOptions, with_options
from rcc_onnx.cli.settings_command import say_settings, stronger
from rcc_onnx.cli.shared import EXIT_SOME_FAILED, console, exit_on_error, print_error
from rcc_onnx.errors import RccOnnxError
from rcc_onnx.types import counted

if TYPE_CHECKING:
    from rcc_onnx.batch.cases import Case
    from rcc_onnx.batch.runner import BatchConfig, CaseOutcome
    from rcc_onnx.batch.worker_pool import Limits
    from rcc_onnx.cli.console import CaseProgress
    from rcc_onnx.cli.options import RunOptions
    from rcc_onnx.output.run import RunFiles
    from rcc_onnx.results import CaseResult, FailedCase


MB = 1 << 20


@contextmanager
def run_context(context: typer.Context, asked: "RunOptions", place: Path) -> Iterator[bool]:
    """What comes before a run over the studies in `place`, and holds while it lasts: logs, and a
    line about settings. Gives whether the run is to be quiet.

    Raises:
        OptionError: it is to be quiet and talkative at once.
        LogFileError: the log file cannot be written, or lies among the studies.
        SettingsError (settings-file): a settings file was picked up from there.
    """
    quiet, verbose = asked.quiet, asked.verbose
    if quiet and verbose:
        quiet = stronger(context, "quiet", "verbose") == "quiet"
        verbose = 0 if quiet else verbose
    check_log_file(asked.log_file, place, asked.out)
    with run_logs(verbose, quiet=quiet, file=asked.log_file):
        say_settings(context, place, quiet)
        yield quiet


def workers_of(asked: "RunOptions", cases: int | None = None) -> int:
    """How many processes to start: no more than there are cases and there is memory for. Fewer for
    want of memory are said.

    Args:
        asked: what was asked for.
        cases: None: nobody knows yet.
    """
    from rcc_onnx.batch.runner import CASE_BYTES, workers_for  # noqa: PLC0415  heavy imports
    from rcc_onnx.system.host import memory  # noqa: PLC0415  with more than one worker only

    wanted = asked.workers if cases is None else min(asked.workers, max(cases, 1))
    if wanted < 2:
        return wanted
    each = CASE_BYTES if asked.case_memory is None else asked.case_memory * MB
    free = memory().free
    started = workers_for(wanted, free, each)
    if free is not None and started < wanted:
        print(
            f"{counted(started, 'worker')} in place of {wanted}: each may want {each // MB} MB, "
            f"and {free // MB} MB are free",
            file=sys.stderr,
        )
    return started


def work_of(asked: "RunOptions", overwrite: bool = False) -> "BatchConfig":
    """What every case of a run has in common, for one process (`BatchConfig.shared_by`).

    Raises:
        OptionError, MissingExtraError: an option has an impossible value, or cannot be had here.
    """
    from rcc_onnx.batch.runner import case_work  # noqa: PLC0415  heavy imports only where used
    from rcc_onnx.options import Saving  # noqa: PLC0415
    from rcc_onnx.output.exports import check_saving  # noqa: PLC0415

    saving = Saving.of(asked.save or ())
    check_saving(saving, asked.profile)
    return case_work(asked.models, asked.checked(), asked.out, saving, overwrite)


def limits_of(asked: "RunOptions") -> "Limits":
    """What one case may take; 0 seconds are no limit."""
    from rcc_onnx.batch.worker_pool import Limits  # noqa: PLC0415  heavy imports only where used

    return Limits(asked.case_timeout or None, asked.case_memory and asked.case_memory * MB)


def run(
    work: "BatchConfig",
    cases: "Sequence[Case]",
    processes: int = 0,
    limits: "Limits | None" = None,
    *,
    quiet: bool = False,
) -> int:
    """Do the cases, show what comes, and give back the exit code.

    Args:
        work: what they have in common.
        cases: in the order in which they are shown in the end.
        processes: how many to have for them; 0: do them in this one.
        limits: of one case, where there are processes.
        quiet: tell errors and the end only.

    Raises:
        RccOnnxError: nothing could be started.
    """
    from rcc_onnx.batch.cases import exit_code  # noqa: PLC0415  heavy imports only where used
    from rcc_onnx.cli.console import CaseProgress  # noqa: PLC0415
    from rcc_onnx.output.lock import output_lock, remove_stale_files  # noqa: PLC0415
    from rcc_onnx.output.run import RunFiles  # noqa: PLC0415

    broken_off: RccOnnxError | None = None
    files = RunFiles(work.options, cases, work.out, work.saving)
    hidden = any(case.hide_names for case in cases)
    with (
        output_lock(work.out),
        run_logged(work, len(cases), processes, hidden=hidden) as results,
    ):
        remove_stale_files(work.out)
        try:
            with CaseProgress(console(quiet=quiet), len(cases)) as progress, files:
                for ended in _ended(work, cases, processes, limits, progress.listener):
                    files.add(ended.result)
                    results.append(ended.result)
                    _say(progress, ended, files.results, len(cases), quiet)
        except RccOnnxError as error:
            if not files.results:
                raise
            broken_off = error
        finally:
            # Ctrl-C, a full disk: a process that was ended may have been writing.
            remove_stale_files(work.out)
    _say_end(work.out, files, len(cases), quiet)
    if broken_off is None:
        return exit_code(files.results)
    print_error(broken_off)
    print(f"stopped after {len(files.results)} of {len(cases)} cases", file=sys.stderr)
    return EXIT_SOME_FAILED


@contextmanager
def run_logged(
    work: "BatchConfig", cases: int | None, processes: int, *, hidden: bool
) -> "Iterator[list[CaseResult | FailedCase]]":
    """The first and the last line of a run in the log. Gives a list to put the results in.

    Args:
        work: what the cases have in common.
        cases: how many there are; None: nobody knows.
        processes: how many there are for them.
        hidden: cases have pseudonyms.
    """
    from rcc_onnx.batch.runner import log_run, log_run_end  # noqa: PLC0415  as above
    from rcc_onnx.output.run import options_json  # noqa: PLC0415

    options = options_json(work.options, work.saving, pseudonyms=hidden)
    log_run({"models": work.models and Path(work.models).name, **options}, cases, processes)
    started = time.perf_counter()
    results: list[CaseResult | FailedCase] = []
    try:
        yield results
    finally:
        log_run_end(results, cases, time.perf_counter() - started)


def _ended(
    work: "BatchConfig",
    cases: "Sequence[Case]",
    processes: int,
    limits: "Limits | None",
    tell: "Callable[[Case, str, float], None]",
) -> "Iterator[CaseOutcome]":
    from rcc_onnx.batch.runner import cases_by_processes, cases_in_this_process  # noqa: PLC0415
    from rcc_onnx.batch.worker_pool import Limits  # noqa: PLC0415

    if processes == 0:
        return cases_in_this_process(work, cases, tell)
    return cases_by_processes(work, cases, processes, limits or Limits(), tell)


def _say(
    progress: "CaseProgress",
    ended: "CaseOutcome",
    results: "Sequence[CaseResult | FailedCase]",
    cases: int,
    quiet: bool,
) -> None:
    """The case that ended, in a line; before the first answer, what gives it."""
    from rcc_onnx.cli.console import case_line, setup_line, shown_warnings  # noqa: PLC0415
    from rcc_onnx.results import CaseResult  # noqa: PLC0415

    result = ended.result
    progress.ended(result.case)
    if isinstance(result, CaseResult) and sum(isinstance(one, CaseResult) for one in results) == 1:
        progress.say(setup_line(result))
    kept = ", done before and unchanged" if ended.kept else ""
    line = f"[{len(results)}/{cases}] {case_line(result)}{kept}"
    progress.say(line)
    if quiet and not isinstance(result, CaseResult):
        print(line, file=sys.stderr)
    for warning in shown_warnings(result):
        progress.say(f"    warning: {warning}")


def _say_end(out: Path, files: "RunFiles", cases: int, quiet: bool) -> None:
    """What came of all, and where it is."""
    from rcc_onnx.cli.console import results_table  # noqa: PLC0415  as above
    from rcc_onnx.output.html import REPORT_NAME  # noqa: PLC0415
    from rcc_onnx.results import CaseResult  # noqa: PLC0415
    from rcc_onnx.types import RESEARCH_ONLY  # noqa: PLC0415

    terminal = console()
    if quiet:
        analysed = sum(isinstance(one, CaseResult) for one in files.results)
        line = f"{analysed} of {cases} cases analysed; results are in {out}"
        terminal.print(line, markup=False)
        return
    terminal.print(results_table(files.results))
    terminal.print(RESEARCH_ONLY, markup=False)
    terminal.print(f"Results are in {out}", markup=False)
    if (out / REPORT_NAME).is_file():
        terminal.print(f"Open {out / REPORT_NAME}", markup=False)
    if files.earlier_cases:
        terminal.print(
            f"{files.earlier_cases} results of earlier runs are there too; results.csv and "
            "results.json do not count them",
            markup=False,
        )


# The command `rcc-onnx infer`.


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

    Exit codes: 0 all analysed, 1 at least one failed, 2 nothing was started.

    Example: rcc-onnx infer studies --out results

    Example: rcc-onnx infer study.zip --save seg --save sr
    """
    with exit_on_error(), run_context(context, options, study) as quiet:
        from rcc_onnx.batch.cases import find_cases  # noqa: PLC0415  heavy imports only where used

        # What is wrong with options is told before the studies are looked for.
        work = work_of(options, options.overwrite)
        cases = find_cases(study, options.out, options.input_is, options.pseudonyms)
        workers = workers_of(options, len(cases))
        # One case needs no process of its own: nothing else is lost with it.
        processes = workers if len(cases) > 1 else 0
        raise typer.Exit(
            run(work.shared_by(workers), cases, processes, limits_of(options), quiet=quiet)
        )
