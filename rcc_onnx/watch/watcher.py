"""The loop of `rcc-onnx watch`: has studies analysed that have arrived, and keeps what became of
them.

One thread decides everything, step by step; time, the inbox and the processes are given to it. What
it remembers is gone after a restart: then every study is read once, and the results in OUT tell
which are done.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from rcc_onnx.batch.arrivals import Arrivals, Backoff, Snapshot, take_snapshot
from rcc_onnx.batch.cases import Case
from rcc_onnx.batch.runner import BatchConfig, CaseOutcome, process_outcome
from rcc_onnx.batch.worker_pool import TaskPool
from rcc_onnx.errors import (
    CaseProcessError,
    InboxGoneError,
    MoveError,
    OutputError,
    RccOnnxError,
    StudyChangedError,
    StudyUnreadableError,
)
from rcc_onnx.output.document import Case as CaseDocument
from rcc_onnx.output.folder import OutputFolder
from rcc_onnx.output.run import RunRecord
from rcc_onnx.results import ErrorRecord, FailedCase
from rcc_onnx.types import counted
from rcc_onnx.watch.scanner import Scanner, move_study

WAIT_S = 0.25
"""At most, before a signal is seen."""
SIGNAL_S = 1.0
"""Where a service is stopped, its processes may get the signal before the watcher does."""
IDLE_S = 600.0
"""Without a study, after which processes end and give their memory back."""
PAUSE_SHARE = 4
"""A scan that takes long is followed by a pause so many times as long: others need the share."""
DONE_BUDGET_S = 0.5
"""Of a scan, to look for late files of studies that are done, in turn: there may be years of them
on a slow share."""
RUN_FILES_S = 60.0
"""Between two writings of report and tables while studies are analysed."""
RUN_FILES_SHARE = 20
"""They take no more than one in so many seconds, however many results there are."""
PROBE_BYTES = 1 << 20
"""What must fit on a disk that was full before a study is analysed for it: more than most results
take, and little enough to be tried every few minutes."""


@dataclass(frozen=True)
class WatchConfig:
    """What to watch, and how.

    Attributes:
        inbox: the folder of studies.
        batch: what the analyses have in common, the folder of results among it.
        interval_s: between two scans of the inbox.
        stable_s: a study that has not changed for so long is complete.
        move_done: where studies go that were analysed; None: they stay.
        move_failed: the same for those that failed.
        pseudonyms: a CSV file with names for the cases.
        once: analyse the complete studies that are there, then end.
    """

    inbox: Path
    batch: BatchConfig
    interval_s: float = 5.0
    stable_s: float = 60.0
    move_done: Path | None = None
    move_failed: Path | None = None
    pseudonyms: Path | None = None
    once: bool = False

    @property
    def targets(self) -> tuple[Path, ...]:
        """Where studies are moved."""
        return tuple(folder for folder in (self.move_done, self.move_failed) if folder is not None)


class WatchReporter(Protocol):
    """Shows a session to a person."""

    def message(self, text: str) -> None:
        """Show a line."""

    def case(self, outcome: CaseOutcome) -> None:
        """Show a study that was analysed."""


@dataclass
class Shutdown:
    """Set by a signal, at any moment. So there is no lock in it that the code which the signal
    interrupts may hold, as in `threading.Event`."""

    reason: str | None = None

    def set(self, reason: str) -> None:
        """Ask the watcher to stop; the first reason counts."""
        self.reason = self.reason or reason

    def is_set(self) -> bool:
        return self.reason is not None

    def wait(self, seconds: float) -> bool:
        """Sleep until it is set, or so long; return whether it is set."""
        until = time.monotonic() + seconds
        while not self.is_set() and (left := until - time.monotonic()) > 0:
            time.sleep(min(left, 0.05))  # on Windows a signal does not end a longer sleep
        return self.is_set()


@dataclass
class SessionOutput:
    """The folder of results of a session: its lock, and the files of the run.

    Attributes:
        record: of the run, with the results that were there at the start.
        held: what holds the folder; nothing else.
        clock: of the watcher.
        names: of cases that have a result.
    """

    record: RunRecord
    held: ExitStack
    clock: Callable[[], float] = time.monotonic
    names: set[str] = field(init=False)
    _has_news: bool = False
    _next_write: float = 0.0

    def __post_init__(self) -> None:
        self.names = {result.case for result in self.record.results}

    @property
    def folder(self) -> OutputFolder:
        return self.record.folder

    def add(self, outcome: CaseOutcome) -> None:
        """Take a result whose files are written. Raises OutputError if the folder is gone."""
        self.record.add(outcome.result)
        self.names.add(outcome.result.case)
        self._has_news |= not outcome.kept

    def reopen(self) -> None:
        """Hold the folder again, since its lock does not outlive a share that was away.

        Raises:
            OutputError: the folder is not there yet, another run uses it, or the disk is full.
        """
        path = self.folder.path
        if not (path / "results.json").is_file():
            # It may be an empty mount point, or be gone.
            self.folder.check()
        self.held.close()
        self.record.folder = self.held.enter_context(OutputFolder.open(path))
        self.folder.try_to_write(PROBE_BYTES)

    def is_due(self, *, idle: bool) -> bool:
        """Return whether the files of the run are to be written; without delay if nothing else is
        to do."""
        return self._has_news and self.clock() >= self._next_write - idle * RUN_FILES_S

    def write(self) -> None:
        """Write the files of the run. Raises OutputError."""
        begun = self.clock()
        self.record.write()
        self._has_news = False
        ended = self.clock()
        self._next_write = ended + max(RUN_FILES_S, RUN_FILES_SHARE * (ended - begun))


@dataclass
class Watcher:
    """The loop over an inbox, until a signal ends it. Studies are known by their entries' names.

    Attributes:
        results: of the studies that were analysed in this session.
        in_hand: studies that are being analysed, as they were when they had settled.
    """

    config: WatchConfig
    scanner: Scanner
    output: SessionOutput
    pool: TaskPool[Case, CaseOutcome]
    reporter: WatchReporter
    shutdown: Shutdown
    clock: Callable[[], float] = time.monotonic
    results: list[CaseDocument] = field(default_factory=list)
    in_hand: dict[str, Snapshot] = field(default_factory=dict)
    _cases: Mapping[str, Case] = field(default_factory=dict)
    """Of the last scan."""
    _ready: dict[str, Snapshot] = field(default_factory=dict)
    """Studies that have settled."""
    _done: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Name of the case, and digest of the study as it was analysed; that which was looked at last
    comes last."""
    _notices: dict[str, str] = field(default_factory=dict)
    """The last line that was shown about an entry, or something else."""
    _inbox_backoff: Backoff = field(default_factory=Backoff)
    _output_backoff: Backoff = field(default_factory=Backoff)
    _engine_backoff: Backoff = field(default_factory=Backoff)
    _next_scan: float = 0.0
    _first_scan_end: float | None = None
    _last_scan_begin: float = 0.0

    def __post_init__(self) -> None:
        self._arrivals = Arrivals(self.config.stable_s)
        self._busy_at = self.clock()

    @property
    def is_finished(self) -> bool:
        """`once` has come to its end: the complete studies that were there are done."""
        if self._first_scan_end is None or not self._is_idle:
            return False
        waited = self._last_scan_begin >= self._first_scan_end + self.config.stable_s
        return waited or not list(self._arrivals)

    def run(self) -> None:
        """Step until a signal comes, or with `once` until everything is done.

        Raises:
            RccOnnxError: with `once`, whatever else would be waited for.
        """
        while not self.shutdown.is_set() and not (self.config.once and self.is_finished):
            self.step(WAIT_S)

    def step(self, wait_s: float = 0.0) -> None:
        """Take what has ended, scan the inbox if it is time, start what can be started."""
        if self.in_hand:
            ended = self.pool.ended(wait_s)
            self._report_starts()
            for case, outcome in ended:
                self._take(case, outcome)
        else:
            self.shutdown.wait(wait_s)
        if self.shutdown.is_set():
            return
        if self.clock() >= self._next_scan:
            self._scan()
        self._start_ready()
        if self.output.is_due(idle=self._is_idle) and self._output_works():
            self._try_output(self.output.write)
        if self._is_idle and self.clock() - self._busy_at > IDLE_S:
            self._busy_at = float("inf")
            self.pool.stop_idle_workers()

    @property
    def _is_idle(self) -> bool:
        return not (self.in_hand or self._ready)

    # --- Scanning --------------------------------------------------------------------------------

    def _scan(self) -> None:
        begun = self.clock()
        try:
            scan = self.scanner.scan()
        except InboxGoneError as error:
            self._back_off(self._inbox_backoff, error)
            self._next_scan = self._inbox_backoff.next_try
            return
        if self._inbox_backoff.reset():
            self._arrivals.restart_all(begun)
            self.reporter.message("the inbox is back")
        self._cases = scan.cases
        present = scan.cases.keys() | self.in_hand.keys()
        gone = {*self._arrivals, *self._ready, *self._done} - present
        for entry in gone | (self._notices.keys() - present - scan.notices.keys()):
            self._forget(entry)
        for subject, line in scan.notices.items():
            self._notify(subject, line)
        for entry in self._due():
            if self.shutdown.is_set():
                return
            self._observe(entry)
        ended = self.clock()
        if self._first_scan_end is None:
            self._first_scan_end = ended
        self._last_scan_begin = begun
        self._next_scan = ended + max(self.config.interval_s, PAUSE_SHARE * (ended - begun))

    def _is_done(self, entry: str) -> bool:
        """Return whether a study was done, under the name that it has now, and has not changed."""
        name, _ = self._done.get(entry, (None, ""))
        return name == self._cases[entry].name and entry not in self._arrivals

    def _due(self) -> Iterator[str]:
        """Yield the studies to look at: all that are arriving, and those that are done in turn."""
        for entry in self._cases:
            if not (entry in self.in_hand or entry in self._ready or self._is_done(entry)):
                yield entry
        begun = self.clock()
        for entry in [entry for entry in self._done if entry in self._cases]:
            if self.clock() - begun > DONE_BUDGET_S:
                return
            self._done[entry] = self._done.pop(entry)
            if self._is_done(entry):
                yield entry

    def _observe(self, entry: str) -> None:
        """Look at a study that is arriving, or may have changed since it was done."""
        case, now = self._cases[entry], self.clock()
        found = take_snapshot(case.folder)
        if found is None or self._done.get(entry) == (case.name, found.digest):
            self._arrivals.forget(entry)
            return
        if entry not in self._arrivals:
            if entry in self._done:
                self._notify(entry, f"{case.name}: it has changed since it was analysed")
            elif case.name not in self.output.names:
                self._notify(entry, f"{case.name}: arriving")
        if not self._arrivals.has_settled(entry, found, now):
            return
        if found.temporary:
            files = counted(found.temporary, "file")
            self._wait(case, f"{files} in it with names of files that are still being copied")
            return
        self._ready[entry] = found

    def _wait(self, case: Case, reason: str | None = None) -> None:
        """Have a study settle again before it is analysed."""
        self._arrivals.restart(case.folder.name, self.clock())
        if reason is not None:
            self._notify(case.folder.name, f"{case.name}: waits: {reason}")

    def _forget(self, entry: str) -> None:
        """Drop a study that has left the inbox; its result stays."""
        self._arrivals.forget(entry)
        for known in (self._ready, self._done, self._notices):
            known.pop(entry, None)

    def _notify(self, subject: str, line: str) -> None:
        """Show a line unless it was the last one about this subject."""
        if self._notices.get(subject) != line:
            self._notices[subject] = line
            self.reporter.message(line)

    # --- Starting --------------------------------------------------------------------------------

    def _start_ready(self) -> None:
        """Submit studies as long as a process is free, first those of which there is no result."""
        engine = self._engine_backoff
        while self._ready and self.pool.free:
            if engine.should_wait(self.clock()) or not self._output_works():
                return
            if engine.active and self.in_hand:
                # One is enough to see whether it works again.
                return
            entry = min(self._ready, key=lambda entry: self._cases[entry].name in self.output.names)
            found, case = self._ready.pop(entry), self._cases[entry]
            # It may have been ready for hours.
            if take_snapshot(case.folder) != found:
                self._wait(case)
                continue
            self.in_hand[entry] = found
            self.pool.submit(replace(case, snapshot=found.digest))

    def _report_starts(self) -> None:
        """Show which studies are really analysed: those that were done are only read."""
        for case, _, _ in self.pool.progress_events():
            found = self.in_hand.get(case.folder.name)
            if found is not None:
                again = " again" if case.name in self.output.names else ""
                files = counted(found.files, "file")
                self._notify(case.folder.name, f"{case.name}: {files}, analysing{again}")

    # --- Ending ----------------------------------------------------------------------------------

    def _take(self, case: Case, ended: CaseOutcome | RccOnnxError) -> None:
        """Take what became of a study."""
        self._busy_at = self.clock()
        if isinstance(ended, CaseProcessError):
            if self.shutdown.wait(SIGNAL_S):
                return
            if case.error is None:
                # Another process reads its files: its failure is known again by their fingerprint.
                self.pool.submit(replace(case, error=ErrorRecord.of(ended)))
                return
        found = self.in_hand.pop(case.folder.name)
        try:
            outcome = process_outcome(self.output.folder, self.config.batch, case, ended)
            self.output.add(outcome)
        except (StudyChangedError, StudyUnreadableError) as error:
            self._wait(case, str(error))
        except RccOnnxError as error:
            is_output = isinstance(error, OutputError)
            self._back_off(self._output_backoff if is_output else self._engine_backoff, error)
            self._wait(case)
        else:
            self._finish(case, found, outcome)

    def _finish(self, case: Case, found: Snapshot, outcome: CaseOutcome) -> None:
        """Remember a study whose result is written, show it and move the study."""
        entry = case.folder.name
        if not outcome.kept:
            if self._engine_backoff.reset():
                self.reporter.message("studies can be analysed again")
            self.results.append(outcome.result)
            self.reporter.case(outcome)
        self._done[entry] = (case.name, found.digest)
        self._arrivals.forget(entry)
        self._notices.pop(entry, None)
        failed = isinstance(outcome.result, FailedCase)
        to = self.config.move_failed if failed else self.config.move_done
        if to is not None and take_snapshot(case.folder) == found:
            self._move(case, to)

    def _move(self, case: Case, to: Path) -> None:
        """Move a study that is done; one that cannot be moved stays, and is done all the same."""
        try:
            target = move_study(case.folder, to)
        except MoveError as error:
            self.reporter.message(f"{case.name}: [{error.code}] {error}")
            return
        self.reporter.message(f"{case.name}: moved to {to if case.hide_names else target}")
        self._forget(case.folder.name)

    # --- The folder of results -------------------------------------------------------------------

    def _output_works(self) -> bool:
        """Return whether results can be written, as far as can be seen before one is."""
        backoff = self._output_backoff
        if not backoff.active:
            return self._try_output(self.output.folder.check)
        # Opening removes what is half written, so nothing may be in hand.
        if self.in_hand or backoff.should_wait(self.clock()):
            return False
        if self._try_output(self.output.reopen):
            backoff.reset()
            self.reporter.message("results can be written again")
        return not backoff.active

    def _try_output(self, action: Callable[[], None]) -> bool:
        try:
            action()
        except OutputError as error:
            self._back_off(self._output_backoff, error)
            return False
        return True

    def _back_off(self, backoff: Backoff, error: RccOnnxError) -> None:
        """Try again later what fails for all studies. Raises the error with `once`."""
        if self.config.once:
            raise error
        if backoff.record_failure(self.clock()):
            self.reporter.message(f"waiting [{error.code}]: {error}")
