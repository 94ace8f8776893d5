"""A run over cases: analysed in processes of their own, finished ones skipped, files written.

`run_batch` is the whole way; `run_cases` yields outcomes; `analyse_case` is one case, from its
files to its files.
"""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path

from rcc_onnx.batch.arrivals import take_snapshot
from rcc_onnx.batch.cases import Case
from rcc_onnx.batch.events import log_case_end, log_case_start, log_run
from rcc_onnx.batch.resume import find_done, inputs_sha256, settings_sha256
from rcc_onnx.batch.worker_pool import (
    Handler,
    Limits,
    ProgressCallback,
    TaskProcess,
    done_by_processes,
    out_of_memory,
)
from rcc_onnx.engine import Engine
from rcc_onnx.errors import (
    BundleError,
    CaseCrashedError,
    CaseMemoryError,
    CaseProcessError,
    OutputError,
    ProviderError,
    RccOnnxError,
    StudyChangedError,
    StudyUnreadableError,
    UnexpectedError,
)
from rcc_onnx.options import InferenceOptions
from rcc_onnx.output.document import Case as CaseDocument
from rcc_onnx.output.document import check_case_name
from rcc_onnx.output.exports import check_exports
from rcc_onnx.output.folder import OutputFolder
from rcc_onnx.output.run import RunRecord
from rcc_onnx.results import AnalysedCase, ErrorRecord, FailedCase, Fingerprint
from rcc_onnx.system.host import usable_cpus
from rcc_onnx.system.log_privacy import case_context, where_raised

_log = logging.getLogger(__name__)

CASE_BYTES = 600 << 20
"""Memory that a process wants: with networks of 32 base filters, 80 slices peak at 439 MB and a
thousand at 449 MB (benchmarks/RESULTS.md)."""


@dataclass(frozen=True)
class CaseOutcome:
    """A case that has ended; `kept`: an earlier run had finished it, and nothing has changed."""

    result: CaseDocument
    kept: bool = False


@dataclass(frozen=True)
class BatchConfig:
    """Everything that the cases of a run have in common. Picklable: it travels to the processes.

    Attributes:
        out: the folder of results.
        options: of the analysis.
        models: name or folder of a bundle; None: chosen by the kind of study.
        overwrite: analyse again what is finished and unchanged.
        keep_failed: do not analyse again what failed and is unchanged.
        workers: processes that analyse cases side by side; 0: none but this one, where a crash ends
            the run.
        limits: of one case, where there are processes.
        prepare: called in each process before anything else.
    """

    out: Path
    options: InferenceOptions = field(default_factory=InferenceOptions)
    models: str | None = None
    overwrite: bool = False
    keep_failed: bool = False
    workers: int = 0
    limits: Limits = field(default_factory=Limits)
    prepare: Callable[[], None] | None = None

    @cached_property
    def settings_sha256(self) -> str:
        """Hash of what determines a result beside its files and the models."""
        return settings_sha256(self.options)

    def engine(self) -> Engine:
        """Return an engine that is ready, with the networks open if the models were named.

        Raises:
            BundleError, ProviderError, OptionError: as `Engine.load`.
        """
        if self.prepare is not None:
            self.prepare()
        return Engine.load(self.models, self._shared_options())

    def handler(self) -> Handler[Case, CaseOutcome]:
        """Return what analyses cases in a process of its own. Raises as `engine` does."""
        return partial(_analyse_in_process, self.engine(), self)

    def limit_workers(self, cases: int | None, free_bytes: int | None) -> "BatchConfig":
        """Return the same with no more workers than there are cases and there is memory for.

        One case needs no process of its own: nothing else is lost with it.

        Args:
            cases: None: not known yet.
            free_bytes: memory; None: unknown, and it limits nothing.
        """
        workers = self.workers if cases is None else min(self.workers, cases)
        if free_bytes is not None and workers > 1:
            workers = max(min(workers, free_bytes // self.case_bytes), 1)
        return replace(self, workers=0 if cases is not None and cases < 2 else workers)

    @property
    def case_bytes(self) -> int:
        """Memory that each process may want."""
        return self.limits.memory_bytes or CASE_BYTES

    def _shared_options(self) -> InferenceOptions:
        """Return the options with each process's share of the CPUs."""
        if self.options.threads is not None or self.workers < 2:
            return self.options
        return replace(self.options, threads=max(usable_cpus() // self.workers, 1))


class Reporter:
    """Shows a run to a person; this one shows nothing."""

    def stage(self, case: Case, stage: str, done: float) -> None:
        """Show which stage a case is at, and how much of it is done."""

    def case(self, outcome: CaseOutcome, run: RunRecord) -> None:
        """Show a case that has ended, which is in the run already."""


def run_batch(
    cases: Sequence[Case], config: BatchConfig, reporter: Reporter | None = None
) -> RunRecord:
    """Analyse every case and write all results, those of cases and of the run.

    Returns:
        The results; its `error` is what ended the run early.

    Raises:
        InputFolderError: a case name cannot be a file name in `config.out`.
        MissingExtraError: packages for requested files are not installed.
        OutputError: results cannot be written to `config.out`.
        BundleError, ProviderError, OptionError: no case could be analysed.
    """
    reporter = reporter or Reporter()
    for case in cases:
        check_case_name(case.name, config.out)
    check_exports(config.options)
    with OutputFolder.open(config.out) as folder, log_run(config, len(cases)) as results:
        run = RunRecord(folder, config.options, [case.name for case in cases])
        try:
            with run:
                for outcome in run_cases(cases, config, reporter.stage):
                    run.add(outcome.result)
                    results.append(outcome.result)
                    reporter.case(outcome, run)
        except RccOnnxError as error:
            if not run.results:
                raise
            run.error = error
    return run


def run_cases(
    cases: Sequence[Case], config: BatchConfig, on_progress: Callable[[Case, str, float], None]
) -> Iterator[CaseOutcome]:
    """Yield every case as it ends, in processes of their own if the config has workers.

    Raises:
        BundleError, ProviderError, OptionError, OutputError: nothing can be analysed.
    """
    if config.workers:
        yield from _cases_by_processes(cases, config, on_progress)
        return
    engine = config.engine()
    for case in cases:
        yield analyse_case(engine, config, case, partial(on_progress, case))


def analyse_case(
    engine: Engine, config: BatchConfig, case: Case, on_progress: ProgressCallback
) -> CaseOutcome:
    """Analyse one case and write its files, unless an earlier run did; errors become results.

    Raises:
        ProviderError, OutputError: no other case could be analysed either.
        StudyChangedError, StudyUnreadableError: the study is not as its snapshot, or not all of it
            can be read yet. Nothing was written.
    """
    # Only `watch` takes snapshots, and it holds the folder itself.
    folder = OutputFolder(config.out, is_open=case.snapshot is not None)
    with case_context(case.name):
        log_case_start(case.name)
        started = time.perf_counter()
        fingerprint = _fingerprint(case, config)
        if fingerprint is not None and not config.overwrite:
            done = find_done(engine, folder, case.name, fingerprint, keep_failed=config.keep_failed)
            if done is not None:
                log_case_end(done, time.perf_counter() - started, kept=True)
                return CaseOutcome(done, kept=True)
        result = replace(_analyse(engine, case, on_progress), fingerprint=fingerprint)
        _check_snapshot(case)
        written = _write(folder, result)
        log_case_end(written, time.perf_counter() - started)
    return CaseOutcome(written)


def exit_code(results: Sequence[CaseDocument]) -> int:
    """Return 0: all analysed; 1: at least one failed; 2: all failed for lack of usable models."""
    failed = [result for result in results if isinstance(result, FailedCase)]
    if not failed:
        return 0
    lacks_models = all(result.error.code in _codes_of(BundleError) for result in failed)
    return 2 if lacks_models and len(failed) == len(results) else 1


def _codes_of(kind: type[RccOnnxError]) -> set[str]:
    own = {kind.code, *kind.codes}
    return own.union(*(_codes_of(leaf) for leaf in kind.__subclasses__()))


def _fingerprint(case: Case, config: BatchConfig) -> Fingerprint | None:
    try:
        return Fingerprint(inputs_sha256(case.folder), config.settings_sha256)
    except OSError as error:
        if case.snapshot is not None:
            raise StudyUnreadableError(f"files cannot be read ({error.strerror})") from error
        # Reading the study meets the same file, and knows better what it means.
        _log.info("case %s: no fingerprint: %s", case.name, error.strerror)
        return None


def _check_snapshot(case: Case) -> None:
    """Raise StudyChangedError if the study changed: the result would match neither state."""
    if case.snapshot is None:
        return
    found = take_snapshot(case.folder)
    if found is None or found.digest != case.snapshot:
        raise StudyChangedError("it changed while it was analysed")


def _analyse(
    engine: Engine, case: Case, on_progress: ProgressCallback
) -> AnalysedCase | FailedCase:
    if case.error is not None:
        return FailedCase(case=case.name, options=engine.options, error=case.error)
    try:
        return engine.analyse(case.folder, case.name, on_progress, hide_names=case.hide_names)
    except ProviderError:
        raise
    except Exception as error:
        return _failed(case.name, engine.options, error, "analysing this case")


def _write(folder: OutputFolder, result: AnalysedCase | FailedCase) -> CaseDocument:
    """Write a case's files. If that is not possible for this case only, it fails."""
    try:
        return folder.write_case(result)
    except OutputError:
        raise
    except Exception as error:
        failed = _failed(result.case, result.options, error, "writing the files of this case")
        return folder.write_case(replace(failed, fingerprint=result.fingerprint))


def _failed(case: str, options: InferenceOptions, error: Exception, doing: str) -> FailedCase:
    if isinstance(error, MemoryError):
        error = out_of_memory()
    elif not isinstance(error, RccOnnxError):
        # A defect of ours or of a library. Not its message, which may quote a patient's data: the
        # place where it was raised helps more.
        _log.error("case %s: unexpected error %s at %s", case, *where_raised(error))
        error = UnexpectedError(
            f"{type(error).__name__} while {doing}; this is a defect, please report it with the "
            "output of the same command and -v"
        )
    return FailedCase(case=case, options=options, error=ErrorRecord.of(error))


def _analyse_in_process(
    engine: Engine, config: BatchConfig, case: Case, on_progress: ProgressCallback
) -> CaseOutcome:
    """Analyse one case in a process, which ends with a case that lacked memory.

    Raises:
        CaseMemoryError: the case lacked memory.
        ProviderError, OutputError: as `analyse_case`.
    """
    outcome = analyse_case(engine, config, case, on_progress)
    result = outcome.result
    if isinstance(result, FailedCase) and result.error.code == CaseMemoryError.code:
        raise CaseMemoryError(result.error.message)
    return outcome


def _cases_by_processes(
    cases: Sequence[Case], config: BatchConfig, on_progress: Callable[[Case, str, float], None]
) -> Iterator[CaseOutcome]:
    """Yield every case as it ends. What kills a process fails its case and no other.

    A case with an earlier result is tried once more before a failure replaces that result: most
    likely nothing has changed, and the process was only comparing.
    """
    folder = OutputFolder(config.out)
    workers = [
        TaskProcess(config.handler, config.limits, folder.remove_stale_files)
        for _ in range(config.workers)
    ]
    # Wrong models or a wrong provider are reported before the first case.
    workers[0].start()
    again: list[Case] = []
    for case, ended in done_by_processes(cases, workers, on_progress):
        died_early = isinstance(ended, CaseCrashedError | CaseMemoryError)
        if died_early and folder.has_result(case.name):
            again.append(case)
        else:
            yield process_outcome(folder, config, case, ended)
    for case, ended in done_by_processes(again, workers, on_progress):
        yield process_outcome(folder, config, case, ended)


def process_outcome(
    folder: OutputFolder, config: BatchConfig, case: Case, ended: CaseOutcome | RccOnnxError
) -> CaseOutcome:
    """Return the outcome of a case whose process ended; what killed the process fails the case.

    Raises:
        RccOnnxError: any other error, after which nothing can be analysed.
    """
    if isinstance(ended, CaseOutcome):
        return ended
    if not isinstance(ended, CaseProcessError):
        raise ended
    failed = FailedCase(case=case.name, options=config.options, error=ErrorRecord.of(ended))
    with case_context(case.name):
        log_case_end(failed)
    return CaseOutcome(folder.write_case(failed))
