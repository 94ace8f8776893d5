"""Cases analysed in processes of their own, those that are done already passed over."""

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from rcc_onnx._version import __version__
from rcc_onnx.batch.cases import Case, analyse_case, write_result
from rcc_onnx.batch.resume import inputs_sha256, result_of_before, settings_sha256, was_analysed
from rcc_onnx.batch.worker_pool import Handler, Limits, TaskProcess, Tell, done_by_processes
from rcc_onnx.engine import Engine, Options
from rcc_onnx.errors import CaseCrashedError, CaseMemoryError, CaseProcessError, RccOnnxError
from rcc_onnx.options import Saving
from rcc_onnx.output.case import write_case
from rcc_onnx.output.lock import is_held, remove_stale_files_of, vanished
from rcc_onnx.output.run import options_json
from rcc_onnx.results import CaseResult, FailedCase, Fingerprint
from rcc_onnx.system.host import machine, packages, usable_cpus
from rcc_onnx.system.log_privacy import case_context
from rcc_onnx.types import SIDES

_log = logging.getLogger(__name__)


# What a run tells the log, with its facts as data beside the sentence (docs/logs.md).
#
# The terminal is told the same by others, so these lines are marked as said.


def log_run(options: Mapping[str, Any], cases: int | None, processes: int) -> None:
    """A run starts: software, machine and what was asked for. None: nobody knows how many cases."""
    facts = {
        "cases": cases,
        "processes": processes,
        "options": dict(options),
        "environment": {**machine(), "packages": packages()},
    }
    _log.info("run starts", extra=_data("run-start", facts))


def log_run_end(
    results: Sequence[CaseResult | FailedCase], cases: int | None, seconds: float
) -> None:
    """A run ends, as far as it came."""
    errors = Counter(one.error.code for one in results if isinstance(one, FailedCase))
    facts = {
        "cases": cases,
        "analysed": len(results) - errors.total(),
        "failed": errors.total(),
        "not_reached": None if cases is None else cases - len(results),
        "errors": dict(errors),
        "seconds": round(seconds, 3),
    }
    _log.info(
        "run ends: %d analysed, %d failed",
        facts["analysed"],
        facts["failed"],
        extra=_data("run-end", facts),
    )


def log_start(case: str) -> None:
    _log.info("case %s starts", case, extra=_data("case-start", {}))


def log_end(
    result: CaseResult | FailedCase, seconds: float | None = None, *, kept: bool = False
) -> None:
    """A case has come to its end.

    Args:
        result: what became of it.
        seconds: of the whole of it, its files written; None: nobody knows.
        kept: an earlier run had done it.
    """
    whole = None if seconds is None else round(seconds, 3)
    if isinstance(result, FailedCase):
        failed = {"status": "failed", "code": result.error.code, "seconds": whole}
        _log.error("case %s failed: %s", result.case, result.error, extra=_data("case-end", failed))
        return
    facts: dict[str, Any] = {
        "status": "done-before" if kept else "analysed",
        "seconds": whole,
        "stages": {stage: round(spent, 3) for stage, spent in result.timings_s.items()},
        "flags": sorted({note.code for side in SIDES for note in result.flags_of(side)}),
        "warnings": [] if result.intake is None else [one.code for one in result.intake.warnings],
        "slices": result.study.slices_analysed,
        "models": f"{result.models.name} {result.models.version}",
        "provider": str(result.provider.ran),
        "threads": result.provider.threads,
    }
    _log.info("case %s: %s", result.case, facts["status"], extra=_data("case-end", facts))


def _data(event: str, facts: Mapping[str, Any]) -> dict[str, Any]:
    return {"data": {"event": event, **facts}, "said": True}


CASE_BYTES = 600 << 20
"""Memory that a process wants: with networks of 32 base filters it peaks at 450 MB, over a thousand
thin slices at 500 MB (benchmarks/RESULTS.md)."""


@dataclass(frozen=True)
class CaseOutcome:
    """A case that is done. `kept`: an earlier run had done it, and nothing has changed since."""

    result: CaseResult | FailedCase
    kept: bool = False


@dataclass(frozen=True)
class BatchConfig:
    """What every case of a run has in common. Picklable: it travels to the processes.

    Attributes:
        models: name or folder of a bundle; None: chosen by the kind of study.
        settings_sha256: of everything that a result hangs on beside its files and the models.
        overwrite: do again what is done already.
        prepare: called in each process before anything else.
    """

    models: str | None
    options: Options
    out: Path
    saving: Saving
    settings_sha256: str
    overwrite: bool = False
    prepare: Callable[[], None] | None = None

    def engine(self) -> Engine:
        """Ready for cases, with the networks open if the models were named.

        Raises:
            BundleError, ProviderError: as `Engine.load`.
        """
        if self.prepare is not None:
            self.prepare()
        return Engine.of(self.options, self.models)

    def shared_by(self, processes: int) -> "BatchConfig":
        """The same for so many processes side by side, each with its share of the CPUs."""
        threads = threads_of(self.options.threads, processes)
        return replace(self, options=replace(self.options, threads=threads))

    def handler(self) -> Handler[Case, CaseOutcome]:
        """What does cases in a process of its own. Raises as `engine` does."""
        return partial(_do_in_process, self.engine(), self)


def case_work(
    models: str | None,
    options: Options,
    out: Path,
    saving: Saving | None = None,
    overwrite: bool = False,
) -> BatchConfig:
    """The work of a run, with the hash of its settings.

    Threads are no part of that: they change the last bits of sums, and no decision that does not
    lie on its threshold.
    """
    saving = saving or Saving()
    asked = options_json(options, saving)
    settings = {name: value for name, value in asked.items() if name != "threads"}
    settings["rcc_onnx_version"] = __version__
    return BatchConfig(models, options, out, saving, settings_sha256(settings), overwrite)


def threads_of(threads: int | None, workers: int) -> int | None:
    """CPU threads of each of several processes, so that all together take no more than there are.

    None: as many as the process may use.
    """
    if threads is not None or workers < 2:
        return threads
    return max(usable_cpus() // workers, 1)


def workers_for(asked: int, memory: int | None, each: int = CASE_BYTES) -> int:
    """How many of the processes that were asked for there is memory for, at least one.

    Args:
        asked: 0 and 1 stay what they are.
        memory: bytes that are free; None: nobody says, and all are started.
        each: bytes that a case may have.
    """
    if memory is None or asked < 2:
        return asked
    return max(min(asked, memory // each), 1)


def do_case(engine: Engine, work: BatchConfig, case: Case, tell: Tell) -> CaseOutcome:
    """One case, from its files to its files.

    Raises:
        ProviderError, OutputError: no other case could be done either.
    """
    fingerprint, is_locked = None, is_held(work.out)
    try:
        fingerprint = Fingerprint(inputs_sha256(case.folder), work.settings_sha256)
    except OSError as error:
        # The intake meets the same file, and knows better what it means.
        _log.info("case %s: no fingerprint: %s", case.name, error.strerror)
    if fingerprint is not None and not work.overwrite:
        before = result_of_before(engine, case.name, fingerprint, work.out, work.saving)
        if before is not None:
            return CaseOutcome(before, kept=True)
    result = replace(analyse_case(engine, case, tell), fingerprint=fingerprint)
    if is_locked and not is_held(work.out):
        raise vanished(work.out)
    return CaseOutcome(write_result(engine, result, work.out, work.saving))


def do_logged_case(engine: Engine, work: BatchConfig, case: Case, tell: Tell) -> CaseOutcome:
    """As `do_case`, with a line in the log when it starts and when it ends."""
    with case_context(case.name):
        log_start(case.name)
        started = time.perf_counter()
        ended = do_case(engine, work, case, tell)
        log_end(ended.result, time.perf_counter() - started, kept=ended.kept)
    return ended


def _do_in_process(engine: Engine, work: BatchConfig, case: Case, tell: Tell) -> CaseOutcome:
    """One case; a process that wanted too much memory does no other.

    Raises:
        CaseMemoryError: it did.
        ProviderError, OutputError: as `do_case`.
    """
    ended = do_logged_case(engine, work, case, tell)
    if isinstance(ended.result, FailedCase) and isinstance(ended.result.error, CaseMemoryError):
        raise ended.result.error
    return ended


def cases_by_processes(
    work: BatchConfig,
    cases: Sequence[Case],
    processes: int,
    limits: Limits,
    tell: Callable[[Case, str, float], None],
) -> Iterator[CaseOutcome]:
    """Every case, as it ends. What kills a process fails its case and no other. Where an earlier
    run had a result for it, it is tried once more before that is lost: most likely nothing has
    changed, and the process was just looking.

    Raises:
        BundleError, ProviderError, OutputError: nothing can be done.
    """

    def died(pid: int) -> None:
        remove_stale_files_of(work.out, pid)

    workers = [TaskProcess(work.handler, limits, died) for _ in range(processes)]
    # What is wrong with models or provider is told before the first case.
    workers[0].start()
    again: list[Case] = []
    for case, ended in done_by_processes(cases, workers, tell):
        died_early = isinstance(ended, CaseCrashedError | CaseMemoryError)
        if died_early and was_analysed(case.name, work.out):
            again.append(case)
        else:
            yield _what_came(work, case, ended)
    for case, ended in done_by_processes(again, workers, tell):
        yield _what_came(work, case, ended)


def _what_came(work: BatchConfig, case: Case, ended: "CaseOutcome | RccOnnxError") -> CaseOutcome:
    if isinstance(ended, CaseOutcome):
        return ended
    if not isinstance(ended, CaseProcessError):
        raise ended
    failed = FailedCase(case.name, work.options.profile, ended)
    with case_context(case.name):
        log_end(failed)
    write_case(failed, work.out)
    return CaseOutcome(failed)


def cases_in_this_process(
    work: BatchConfig, cases: Sequence[Case], tell: Callable[[Case, str, float], None]
) -> Iterator[CaseOutcome]:
    """The same without other processes: what crashes here ends the run."""
    engine = work.engine()
    for case in cases:
        yield do_logged_case(engine, work, case, partial(tell, case))
