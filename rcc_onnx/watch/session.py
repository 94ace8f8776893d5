"""One session of watching, from its start to its end: locks, processes, signals, files."""

import contextlib
import logging
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from rcc_onnx.batch.runner import BatchConfig
from rcc_onnx.batch.worker_pool import Limits, TaskPool, TaskProcess
from rcc_onnx.errors import RccOnnxError
from rcc_onnx.output.lock import output_lock, remove_stale_files, remove_stale_files_of
from rcc_onnx.output.read import read_results
from rcc_onnx.output.run import RunFiles
from rcc_onnx.results import CaseResult, FailedCase
from rcc_onnx.types import counted
from rcc_onnx.watch import moving
from rcc_onnx.watch.arrivals import Arrivals
from rcc_onnx.watch.inbox import Inbox
from rcc_onnx.watch.look import Looks
from rcc_onnx.watch.loop import Watcher
from rcc_onnx.watch.names import Names
from rcc_onnx.watch.output import Output
from rcc_onnx.watch.rules import Rules
from rcc_onnx.watch.state import load_state
from rcc_onnx.watch.stop import Stop
from rcc_onnx.watch.voice import Voice
from rcc_onnx.watch.work import Answer, Task, WatchWork

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Plan:
    """What to watch, and how.

    Attributes:
        work: what the analyses have in common, OUT among it.
        retry_failed: try again at the start what failed before.
        processes: how many studies are analysed side by side.
        limits: of one study.
    """

    inbox: Path
    work: BatchConfig
    rules: Rules
    pseudonyms: Path | None = None
    retry_failed: bool = False
    processes: int = 1
    limits: Limits = field(default_factory=Limits)

    @property
    def skip(self) -> frozenset[Path]:
        """What may lie in the inbox and is no study."""
        folders = (self.work.out, self.rules.move_done, self.rules.move_failed)
        # As the inbox's own path is written, and as it really is.
        absolute = [one.absolute() for one in folders if one is not None]
        inside = [
            self.inbox.absolute() / one.resolve().relative_to(self.inbox.resolve())
            for one in absolute
            if one.resolve().is_relative_to(self.inbox.resolve())
        ]
        return frozenset((*absolute, *inside))


@dataclass(frozen=True)
class Session:
    """How a session went.

    Attributes:
        results: of the studies that were analysed in it.
        signal: the name of the signal that ended it; None with `once`.
    """

    results: tuple[CaseResult | FailedCase, ...]
    signal: str | None


def watch(
    plan: Plan, say: Callable[[str], None], tell: Callable[[CaseResult | FailedCase], None]
) -> Session:
    """Watch until a signal comes, or with `once` until everything is done.

    Args:
        plan: what and how.
        say: takes lines for a person.
        tell: takes each result whose files are written.

    Raises:
        RccOnnxError: nothing could be started; with `once`, it could not go on.
    """
    voice = Voice(say)
    inbox = Inbox(plan.inbox.absolute(), plan.skip)
    inbox.listing()
    names = Names(inbox, plan.pseudonyms, plan.work.out)
    names.refresh()
    with stopped_by_signals() as stop, contextlib.ExitStack() as held:
        held.enter_context(output_lock(plan.work.out))
        remove_stale_files(plan.work.out)
        _clear_moves(plan)
        try:
            watcher = _run(plan, inbox, names, voice, stop, tell, held)
        finally:
            # A process that was ended may have been writing.
            remove_stale_files(plan.work.out)
    return Session(tuple(watcher.session), stop.reason)


def _run(  # noqa: PLR0913, PLR0917  what `watch` made
    plan: Plan,
    inbox: Inbox,
    names: Names,
    voice: Voice,
    stop: Stop,
    tell: Callable[[CaseResult | FailedCase], None],
    held: contextlib.ExitStack,
) -> Watcher:
    work, out, rules = plan.work, plan.work.out, plan.rules

    def lock_again() -> None:
        held.close()
        held.enter_context(output_lock(out))

    # Processes end first: what they were doing is dropped before everything is written.
    with contextlib.ExitStack() as last, contextlib.ExitStack() as processes:
        pool = processes.enter_context(_processes(plan))
        results = read_results(out)
        state = load_state(out, results)
        if plan.retry_failed:
            state.forget_failures()
        files = RunFiles(work.options, None, out, work.saving, pseudonyms=names.hidden)
        files.start()
        for result in results:
            files.add(result)
        output = Output(out, state, files, lock_again)
        output.begin()
        last.callback(_close, output, voice)
        _say_start(plan, voice, results)
        looks = Looks(inbox, names, state, Arrivals(rules.stable_s), voice, rules.interval_s)
        watcher = Watcher(rules, work, looks, output, pool, voice, stop, tell)
        watcher.run()
        if watcher.in_hand:
            studies = counted(len(watcher.in_hand), "study", "studies")
            voice.say(f"{studies} dropped, to be analysed at the next start")
    return watcher


def _close(output: Output, voice: Voice) -> None:
    """Write everything for the last time; that the folder is gone must not hide how it ended."""
    try:
        output.close()
    except RccOnnxError as error:
        voice.say(f"the files of the run are missing [{error.code}]: {error}")


@contextlib.contextmanager
def _processes(plan: Plan) -> Iterator[TaskPool[Task, Answer]]:
    """Processes for the tasks; the first is ready.

    Raises:
        BundleError, ProviderError: nothing can be analysed.
    """

    def died(pid: int) -> None:
        with contextlib.suppress(OSError):
            remove_stale_files_of(plan.work.out, pid)

    make = WatchWork(plan.work).handler
    workers: list[TaskProcess[Task, Answer]] = [
        TaskProcess(make, plan.limits, died) for _ in range(plan.processes)
    ]
    with TaskPool(workers) as pool:
        # What is wrong with models or provider is told before the first study.
        workers[0].start()
        yield pool


def _say_start(plan: Plan, voice: Voice, results: list[CaseResult | FailedCase]) -> None:
    rules, work = plan.rules, plan.work
    voice.say(
        f"watching {plan.inbox}, results go to {work.out}; a study is taken when nothing in it "
        f"has changed for {rules.stable_s:g} s"
    )
    if not results:
        return
    voice.say(f"{counted(len(results), 'result')} of before in {work.out}")
    other = sum(
        one.fingerprint is None or one.fingerprint.settings_sha256 != work.settings_sha256
        for one in results
    )
    if other:
        voice.say(
            f"{other} of them were made with other options or another version, and stay; "
            "`rcc-onnx infer` with the same folders does them again while nothing watches"
        )


def _clear_moves(plan: Plan) -> None:
    """Finish what a watcher that was killed had begun to move."""
    folders = [one for one in (plan.rules.move_done, plan.rules.move_failed) if one is not None]
    for folder in folders:
        moving.remove_stale_files(folder)
    if folders:
        moving.remove_moved(plan.inbox)


@contextlib.contextmanager
def stopped_by_signals() -> Iterator[Stop]:
    """What the first signal that asks to stop is remembered by.

    SIGTERM comes from service managers, SIGINT from Ctrl-C, SIGBREAK from Windows consoles.
    """
    stop = Stop()

    def handle(number: int, frame: FrameType | None) -> None:
        stop.set(signal.Signals(number).name)

    numbers = [signal.SIGTERM, signal.SIGINT]
    if sys.platform == "win32":
        numbers.append(signal.SIGBREAK)
    before = {number: signal.signal(number, handle) for number in numbers}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
