"""One session of `rcc-onnx watch`, from its start to its end: lock, processes, signals, files."""

import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from types import FrameType

from rcc_onnx.batch.cases import Case
from rcc_onnx.batch.events import log_run
from rcc_onnx.batch.runner import BatchConfig, CaseOutcome
from rcc_onnx.batch.worker_pool import TaskPool, TaskProcess
from rcc_onnx.output.document import Case as CaseDocument
from rcc_onnx.output.folder import OutputFolder
from rcc_onnx.output.run import RunRecord
from rcc_onnx.types import counted
from rcc_onnx.watch.scanner import Scanner, finish_moves
from rcc_onnx.watch.watcher import SessionOutput, Shutdown, WatchConfig, Watcher, WatchReporter


def watch(
    config: WatchConfig, reporter: WatchReporter
) -> tuple[Sequence[CaseDocument], str | None]:
    """Watch until a signal comes, or with `once` until everything is done.

    Returns:
        Results of the studies that were analysed, and the name of the signal; None: none came.

    Raises:
        RccOnnxError: nothing could be started, or the files of the run cannot be written; with
            `once`, it could not go on.
    """
    batch = config.batch
    scanner = Scanner(config.inbox, batch.out, config.targets, config.pseudonyms)
    with stop_on_signals() as shutdown, ExitStack() as held, log_run(batch, None) as logged:
        folder = held.enter_context(OutputFolder.open(batch.out))
        if config.targets:
            finish_moves(config.inbox, config.targets)
        # Processes end first: what they were doing is dropped before the last files are written.
        with RunRecord(folder, batch.options, None) as record, _open_pool(batch) as pool:
            earlier = folder.results()
            for result in earlier:
                record.add(result)
            record.write()
            _report_start(config, reporter, earlier)
            output = SessionOutput(record, held)
            watcher = Watcher(config, scanner, output, pool, reporter, shutdown)
            try:
                watcher.run()
            finally:
                logged.extend(watcher.results)
            if watcher.in_hand:
                studies = counted(len(watcher.in_hand), "study", "studies")
                reporter.message(f"{studies} dropped, to be analysed after the next start")
    return watcher.results, shutdown.reason


@contextmanager
def stop_on_signals() -> Iterator[Shutdown]:
    """Yield what the first signal that asks to stop sets.

    SIGTERM comes from service managers, SIGINT from Ctrl-C, SIGBREAK from Windows consoles.
    """
    shutdown = Shutdown()

    def handle(number: int, frame: FrameType | None) -> None:
        shutdown.set(signal.Signals(number).name)

    numbers = [signal.SIGTERM, signal.SIGINT]
    if sys.platform == "win32":
        numbers.append(signal.SIGBREAK)
    before = {number: signal.signal(number, handle) for number in numbers}
    try:
        yield shutdown
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _open_pool(batch: BatchConfig) -> Iterator[TaskPool[Case, CaseOutcome]]:
    """Yield processes that analyse studies; the first is ready.

    Raises:
        BundleError, ProviderError: nothing can be analysed.
    """

    def remove_stale_files(pid: int) -> None:
        with suppress(OSError):  # the folder may be away, which costs no other study
            OutputFolder(batch.out).remove_stale_files(pid)

    workers: list[TaskProcess[Case, CaseOutcome]] = [
        TaskProcess(batch.handler, batch.limits, remove_stale_files) for _ in range(batch.workers)
    ]
    with TaskPool(workers) as pool:
        workers[0].start()
        yield pool


def _report_start(
    config: WatchConfig, reporter: WatchReporter, earlier: Sequence[CaseDocument]
) -> None:
    batch = config.batch
    reporter.message(
        f"watching {config.inbox}, results go to {batch.out}; a study is analysed when nothing in "
        f"it has changed for {config.stable_s:g} s"
    )
    if not earlier:
        return
    current = batch.settings_sha256
    other = sum(
        result.fingerprint is None or result.fingerprint.settings_sha256 != current
        for result in earlier
    )
    more = f", {other} of them of other options or another version: analysed again if in the inbox"
    count = counted(len(earlier), "earlier result")
    reporter.message(f"{count} in {batch.out}{more if other else ''}")
