"""The watcher: has studies analysed that have arrived, and keeps what became of them.

One thread decides everything, step by step; time, the inbox and the processes are given to it, so
that tests can be all three.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

from rcc_onnx.batch.runner import BatchConfig, log_end
from rcc_onnx.errors import (
    CaseProcessError,
    InboxGoneError,
    OutputError,
    OutputGoneError,
    RccOnnxError,
    StudyChangedError,
    StudyUnreadableError,
)
from rcc_onnx.results import CaseResult, FailedCase
from rcc_onnx.system.log_privacy import case_context
from rcc_onnx.types import counted
from rcc_onnx.watch.inbox import Snapshot
from rcc_onnx.watch.leaving import Leaving
from rcc_onnx.watch.look import Looks, Study
from rcc_onnx.watch.naming import result_name, taken_up
from rcc_onnx.watch.output import Output
from rcc_onnx.watch.rules import Pool, Rules
from rcc_onnx.watch.state import Record
from rcc_onnx.watch.stop import Stop
from rcc_onnx.watch.trouble import Trouble
from rcc_onnx.watch.voice import Voice
from rcc_onnx.watch.work import Analyse, Answer, Hash, Task, fingerprint_of

WAIT_S = 0.25
"""At most, before it is seen that the watcher is to stop."""
STOP_NEWS_S = 1.0
"""Where a service is stopped, its processes may hear of it before the watcher does."""
REST_S = 600.0
"""Without a study, after which processes end and give their memory back."""
LOOK_SHARE = 4
"""A look that takes long is followed by a pause so many times as long: others use the share too."""


@dataclass(frozen=True)
class _InHand:
    study: Study
    snapshot: Snapshot
    inputs: str = ""


class Watcher:
    """Watches an inbox until it is told to stop."""

    def __init__(  # noqa: PLR0913, PLR0917  its parts, put together by `session`
        self,
        rules: Rules,
        work: BatchConfig,
        looks: Looks,
        output: Output,
        pool: Pool,
        voice: Voice,
        stop: Stop,
        tell: Callable[[CaseResult | FailedCase], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._rules = rules
        self._work = work
        self._looks = looks
        self._output = output
        self._pool = pool
        self._voice = voice
        self._stop = stop
        self._tell = tell
        self._clock = clock
        self._in_hand: dict[str, _InHand] = {}
        self._to_analyse: list[_InHand] = []
        self._hashes: dict[str, tuple[str, str]] = {}
        self._leaving = Leaving(rules, looks, voice)
        self._inbox, self._out, self._engine = Trouble(), Trouble(), Trouble()
        self._busy_at = self._next_look = clock()
        self._first_look: float | None = None
        """When it had ended."""
        self._looked_at = 0.0
        self._resting = False
        self.session: list[CaseResult | FailedCase] = []

    @property
    def is_done(self) -> bool:
        """Whether `once` has come to its end: what was there and has arrived is done."""
        if self._first_look is None or not (self._looks.all_looked_at and self._is_idle):
            return False
        waited = self._looked_at >= self._first_look + self._rules.stable_s
        return waited or not self._looks.arrivals.names

    @property
    def in_hand(self) -> tuple[str, ...]:
        """Names of the cases that are being worked on."""
        return tuple(one.study.case.name for one in self._in_hand.values())

    def run(self) -> None:
        """Step until told to stop, or until `once` is done.

        Raises:
            RccOnnxError: with `once`, whatever else would be waited for.
        """
        while not self._stop.is_set() and not (self._rules.once and self.is_done):
            self.step(WAIT_S)

    def step(self, wait_s: float = 0.0) -> None:
        """Take what has ended, look at the inbox if it is time, start what can be."""
        if self._in_hand:
            for task, answer in self._pool.ended(wait_s):
                self._take(task, answer)
            for _ in self._pool.news():
                pass  # of stages: a journal wants none
        else:
            self._stop.wait(wait_s)
        if self._stop.is_set():
            return
        if self._clock() >= self._next_look:
            self._look()
        self._start_all()
        self._save()
        self._rest()

    @property
    def _is_idle(self) -> bool:
        return not (self._in_hand or self._to_analyse or self._looks.arrived)

    # --- Looking ---------------------------------------------------------------------------------

    def _look(self) -> None:
        begun = self._clock()
        busy = {*self._in_hand, *(one.study.key for one in self._to_analyse)}
        try:
            unchanged = self._looks.look(busy, self._stop.is_set)
        except InboxGoneError as error:
            self._in_trouble(self._inbox, error)
            self._next_look = self._inbox.next_try
            return
        if self._inbox.end():
            self._looks.arrivals.all_wait_again(self._clock())
            self._voice.say("the inbox is back")
        for study in unchanged:
            if not self._stop.is_set():
                self._leaving.move(study)
        self._hashes = {key: one for key, one in self._hashes.items() if key in self._looks.studies}
        ended = self._clock()
        if self._first_look is None:
            self._first_look = ended
        self._looked_at = begun
        self._next_look = ended + max(self._rules.interval_s, LOOK_SHARE * (ended - begun))

    # --- Starting --------------------------------------------------------------------------------

    def _start_all(self) -> None:
        now = self._clock()
        while self._pool.free and (self._to_analyse or self._looks.arrived):
            if self._engine.must_wait(now) or not self._output_is_well():
                return
            if self._to_analyse:
                self._analyse(self._to_analyse.pop(0))
            else:
                self._begin()
            if self._engine.is_on:
                # One is enough to see whether it works again.
                return

    def _output_is_well(self) -> bool:
        """Whether results can be written, as far as can be told before one is."""
        if self._out.must_wait(self._clock()):
            return False
        try:
            self._output.check()
            if self._out.is_on:
                self._output.take_back()
                self._output.probe()
        except (OutputError, OutputGoneError) as error:
            self._in_trouble(self._out, error)
            return False
        if self._out.end():
            self._voice.say("results can be written again")
        return True

    def _begin(self) -> None:
        """Take up the next study that has arrived: hash it, unless that was done."""
        arrived = next(iter(self._looks.arrived.values()))
        study, snapshot = arrived
        if not self._looks.again(arrived):
            return
        looked, inputs = self._hashes.get(study.key, ("", ""))
        if looked == snapshot.digest:
            self._decide(_InHand(study, snapshot, inputs))
            return
        unreadable = self._looks.inbox.unreadable(study.entry)
        if unreadable:
            self._not_yet(study, f"{counted(unreadable, 'file')} in it cannot be opened")
            return
        self._in_hand[study.key] = _InHand(study, snapshot)
        task = Hash(study.key, study.case, snapshot.digest, self._looks.inbox.skip)
        self._pool.submit(task)

    def _decide(self, one: _InHand) -> None:
        """What to do with a study whose hash is known."""
        study, state = one.study, self._looks.state
        record = state.records.get(study.key)
        if record is not None and record.inputs == one.inputs:
            self._voice.say(f"{study.case.name}: its files are as before; not analysed again")
            self._keep(one, record.case, record.failed)
            return
        found = state.result_of(one.inputs)
        if found is not None:
            case, failed = found
            same = "done before" if case == study.case.name else f"the same files as {case}"
            how = ", which failed" if failed else ""
            self._voice.say(f"{study.case.name}: {same}{how}; not analysed again")
            self._keep(one, case, failed)
            return
        others = (*self._in_hand.values(), *self._to_analyse)
        if any(other.inputs == one.inputs for other in others):
            # A copy of one that is being analysed: when that is done, so is this.
            self._looks.wait(study.key)
            return
        self._to_analyse.append(one)

    def _analyse(self, one: _InHand) -> None:
        study = one.study
        record = self._looks.state.records.get(study.key)
        self._voice.say(f"{study.case.name}: {taken_up(one.snapshot, record)}")
        name = result_name(study.case.name, record, self._output)
        if name != study.case.name:
            self._voice.say(
                f"{study.case.name}: its result is called {name}, as OUT holds one of another study"
            )
        self._in_hand[study.key] = one
        self._busy_at, self._resting = self._clock(), False
        case = study.case.named(name)
        look, skip = one.snapshot.digest, self._looks.inbox.skip
        self._pool.submit(Analyse(study.key, case, look, one.inputs, skip))

    # --- Ending ----------------------------------------------------------------------------------

    def _take(self, task: Task, answer: Answer | RccOnnxError) -> None:
        """What became of a task."""
        one = self._in_hand.pop(task.key)
        self._busy_at = self._clock()
        if isinstance(answer, CaseProcessError) and self._stop.wait(STOP_NEWS_S):
            return
        if isinstance(answer, str):
            self._hashes[task.key] = (task.look, answer)
            self._decide(_InHand(one.study, one.snapshot, answer))
        elif isinstance(answer, CaseResult | FailedCase):
            self._finish(one, answer)
        elif isinstance(answer, StudyChangedError):
            self._not_yet(one.study, "it changed while it was analysed")
        elif isinstance(answer, StudyUnreadableError) or (
            isinstance(answer, CaseProcessError) and isinstance(task, Hash)
        ):
            self._not_yet(one.study, str(answer))
        elif isinstance(answer, CaseProcessError):
            self._fail(one, task.case.name, answer)
        else:
            self._in_trouble(self._out if isinstance(answer, OutputError) else self._engine, answer)
            self._looks.wait(one.study.key)

    def _fail(self, one: _InHand, name: str, error: CaseProcessError) -> None:
        """A study that cost its process its life."""
        fingerprint = fingerprint_of(self._work, one.inputs)
        failed = FailedCase(name, self._work.options.profile, error, fingerprint)
        with case_context(name):
            log_end(failed)
        try:
            self._output.check()
            self._output.write_failed(failed)
        except (OutputError, OutputGoneError) as unwritten:
            self._in_trouble(self._out, unwritten)
            self._looks.wait(one.study.key)
            return
        self._finish(one, failed)

    def _finish(self, one: _InHand, result: CaseResult | FailedCase) -> None:
        """A result was written."""
        try:
            self._output.check()
        except OutputGoneError as error:
            self._in_trouble(self._out, error)
            self._looks.wait(one.study.key)
            return
        if self._engine.end():
            self._voice.say("studies can be analysed again")
        self._output.add(result)
        self.session.append(result)
        self._tell(result)
        self._keep(one, result.case, isinstance(result, FailedCase))

    def _keep(self, one: _InHand, case: str, failed: bool) -> None:
        study, snapshot = one.study, one.snapshot
        record = Record(snapshot.digest, snapshot.files, one.inputs, case, failed)
        self._looks.state.keep(study.key, record)
        self._looks.done(study.key)
        self._hashes.pop(study.key, None)
        self._leaving.move(study)

    def _not_yet(self, study: Study, why: str) -> None:
        self._looks.wait(study.key)
        self._voice.once(study.key, f"{study.case.name}: {why}; waits")

    # --- Keeping ---------------------------------------------------------------------------------

    def _save(self) -> None:
        if self._out.must_wait(self._clock()):
            return
        try:
            self._output.save(idle=self._is_idle)
        except (OutputError, OutputGoneError) as error:
            self._in_trouble(self._out, error)

    def _rest(self) -> None:
        if self._is_idle and not self._resting and self._clock() - self._busy_at > REST_S:
            self._pool.rest()
            self._resting = True

    def _in_trouble(self, trouble: Trouble, error: RccOnnxError) -> None:
        if self._rules.once:
            raise error
        if trouble.begin(str(error), self._clock()):
            self._voice.say(f"waiting [{error.code}]: {error}")
