"""How `infer` and `demo` go through cases and say what comes."""

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from rcc_onnx.cli_logs import set_up_logging
from rcc_onnx.cli_shared import EXIT_SOME_FAILED, console, print_error
from rcc_onnx.errors import RccOnnxError

if TYPE_CHECKING:
    from rcc_onnx.batch import Case
    from rcc_onnx.case_tasks import CaseWork, Ended
    from rcc_onnx.cli_options import RunOptions
    from rcc_onnx.findings import CaseResult, FailedCase
    from rcc_onnx.isolation import Limits
    from rcc_onnx.progress import CaseProgress


MB = 1 << 20


def work_of(asked: "RunOptions", overwrite: bool = False) -> "CaseWork":
    """What every case of a run has in common.

    Raises:
        OptionError, MissingExtraError: an option has an impossible value, or cannot be had here.
    """
    from rcc_onnx.case_tasks import case_work, threads_of  # noqa: PLC0415  heavy imports
    from rcc_onnx.exports import check_saving  # noqa: PLC0415
    from rcc_onnx.saving import Saving  # noqa: PLC0415

    saving = Saving.of(asked.save or ())
    check_saving(saving, asked.profile)
    options = asked.checked(threads_of(asked.threads, asked.workers))
    work = case_work(asked.models, options, asked.out, saving, overwrite)
    return replace(work, prepare=partial(set_up_logging, asked.verbose))


def limits_of(asked: "RunOptions") -> "Limits":
    """What one case may take; 0 seconds are no limit."""
    from rcc_onnx.isolation import Limits  # noqa: PLC0415  heavy imports only where used

    return Limits(asked.case_timeout or None, asked.case_memory and asked.case_memory * MB)


def run(
    work: "CaseWork", cases: "Sequence[Case]", processes: int = 0, limits: "Limits | None" = None
) -> int:
    """Do the cases, show what comes, and give back the exit code.

    Args:
        work: what they have in common.
        cases: in the order in which they are shown in the end.
        processes: how many to have for them; 0: do them in this one.
        limits: of one case, where there are processes.

    Raises:
        RccOnnxError: nothing could be started.
    """
    from rcc_onnx.batch import exit_code  # noqa: PLC0415  heavy imports only where used
    from rcc_onnx.display import results_table  # noqa: PLC0415
    from rcc_onnx.html import REPORT_NAME  # noqa: PLC0415
    from rcc_onnx.notice import RESEARCH_ONLY  # noqa: PLC0415
    from rcc_onnx.out_lock import output_lock, remove_leavings  # noqa: PLC0415
    from rcc_onnx.progress import CaseProgress  # noqa: PLC0415
    from rcc_onnx.run_files import RunFiles  # noqa: PLC0415

    terminal = console()
    broken_off: RccOnnxError | None = None
    files = RunFiles(work.options, cases, work.out, work.saving)
    with output_lock(work.out):
        remove_leavings(work.out)
        try:
            with CaseProgress(terminal, len(cases)) as progress, files:
                for ended in _ended(work, cases, processes, limits, progress.listener):
                    files.add(ended.result)
                    _say(progress, ended, files.results, len(cases))
        except RccOnnxError as error:
            if not files.results:
                raise
            broken_off = error
        finally:
            # Ctrl-C, a full disk: a process that was ended may have been writing.
            remove_leavings(work.out)
    terminal.print(results_table(files.results))
    terminal.print(RESEARCH_ONLY, markup=False)
    terminal.print(f"Results are in {work.out}", markup=False)
    if (work.out / REPORT_NAME).is_file():
        terminal.print(f"Open {work.out / REPORT_NAME}", markup=False)
    if files.earlier_cases:
        terminal.print(
            f"{files.earlier_cases} results of earlier runs are there too; results.csv and "
            "results.json do not count them",
            markup=False,
        )
    if broken_off is None:
        return exit_code(files.results)
    print_error(broken_off)
    print(f"stopped after {len(files.results)} of {len(cases)} cases", file=sys.stderr)
    return EXIT_SOME_FAILED


def _ended(
    work: "CaseWork",
    cases: "Sequence[Case]",
    processes: int,
    limits: "Limits | None",
    tell: "Callable[[Case, str, float], None]",
) -> "Iterator[Ended]":
    from rcc_onnx.case_tasks import cases_by_processes, cases_in_this_process  # noqa: PLC0415
    from rcc_onnx.isolation import Limits  # noqa: PLC0415

    if processes == 0:
        return cases_in_this_process(work, cases, tell)
    return cases_by_processes(work, cases, processes, limits or Limits(), tell)


def _say(
    progress: "CaseProgress",
    ended: "Ended",
    results: "Sequence[CaseResult | FailedCase]",
    cases: int,
) -> None:
    """The case that ended, in a line; before the first answer, what gives it."""
    from rcc_onnx.display import case_line, setup_line, shown_warnings  # noqa: PLC0415
    from rcc_onnx.findings import CaseResult  # noqa: PLC0415

    result = ended.result
    progress.ended(result.case)
    if isinstance(result, CaseResult) and sum(isinstance(one, CaseResult) for one in results) == 1:
        progress.say(setup_line(result))
    kept = ", done before and unchanged" if ended.kept else ""
    progress.say(f"[{len(results)}/{cases}] {case_line(result)}{kept}")
    for warning in shown_warnings(result):
        progress.say(f"    warning: {warning}")
