"""A watcher whose time, processes and engine are the test's: minutes pass in no time."""

from collections.abc import Callable, Iterator
from pathlib import Path

from rcc_onnx.output.read import read_results

from rcc_onnx.batch.resume import inputs_sha256
from rcc_onnx.batch.runner import BatchConfig
from rcc_onnx.engine import Options
from rcc_onnx.errors import RccOnnxError, StudyChangedError
from rcc_onnx.options import Saving
from rcc_onnx.output.run import RunFiles
from rcc_onnx.results import CaseResult, FailedCase, Fingerprint
from rcc_onnx.types import Profile
from rcc_onnx.watch.arrivals import Arrivals
from rcc_onnx.watch.inbox import Inbox, snapshot
from rcc_onnx.watch.look import Looks
from rcc_onnx.watch.loop import Watcher
from rcc_onnx.watch.names import Names
from rcc_onnx.watch.output import Output
from rcc_onnx.watch.rules import Rules
from rcc_onnx.watch.state import load_state
from rcc_onnx.watch.stop import Stop
from rcc_onnx.watch.voice import Voice
from rcc_onnx.watch.work import Answer, Hash, Task
from tests.support.results import case_result
from tests.support.runs import write_case

SETTINGS = "b" * 64


class FakePool:
    """Does a task when it is asked what has ended. `analysed`: what was, by case and hash.

    Attributes:
        wrong: by case, what comes of analysing it in place of a result, once each.
        meanwhile: called while a study is analysed.
    """

    def __init__(self, out: Path, size: int) -> None:
        self.out, self.size = out, size
        self.tasks: list[Task] = []
        self.analysed: list[tuple[str, str]] = []
        self.hashed: list[str] = []
        self.wrong: dict[str, RccOnnxError] = {}
        self.meanwhile: Callable[[], object] = lambda: None
        self.holds = False
        self.rested = 0

    @property
    def free(self) -> int:
        return self.size - len(self.tasks)

    def submit(self, task: Task) -> None:
        assert self.free > 0
        self.tasks.append(task)

    def ended(self, timeout: float) -> list[tuple[Task, Answer | RccOnnxError]]:
        if self.holds:
            return []
        tasks, self.tasks = self.tasks, []
        return [(task, self._do(task)) for task in tasks]

    def news(self) -> Iterator[tuple[Task, str, float]]:
        return iter(())

    def rest(self) -> None:
        self.rested += 1

    def _do(self, task: Task) -> Answer | RccOnnxError:
        if isinstance(task, Hash):
            self.hashed.append(task.case.name)
            return inputs_sha256(task.case.folder)
        self.meanwhile()
        now = snapshot(task.case.folder, task.skip)
        if now is None or now.digest != task.look:
            return StudyChangedError("it changed")
        error = self.wrong.pop(task.case.name, None)
        if error is not None and error.code != "no-dicom":
            return error
        fingerprint = Fingerprint(task.inputs, SETTINGS)
        result: CaseResult | FailedCase = (
            case_result(task.case.name, fingerprint=fingerprint)
            if error is None
            else FailedCase(task.case.name, Profile.STANDARD, error, fingerprint)
        )
        write_case(result, self.out)
        self.analysed.append((task.case.name, task.inputs))
        return result.without_images() if isinstance(result, CaseResult) else result


class Bench:
    """A folder with an inbox, and sessions over it. `said` are the lines of all of them."""

    def __init__(self, folder: Path, workers: int = 1) -> None:
        self.inbox, self.out = folder / "in", folder / "out"
        self.inbox.mkdir()
        self.out.mkdir()
        self.now = 1000.0
        self.said: list[str] = []
        self.pool = FakePool(self.out, workers)
        self.stop = Stop()
        self.pseudonyms: Path | None = None
        self.watcher: Watcher

    def start(self, rules: Rules | None = None, *, retry_failed: bool = False) -> None:
        """A new session, as after a restart."""
        rules = rules or Rules()
        skip = {one.absolute() for one in (self.out, rules.move_done, rules.move_failed) if one}
        work = BatchConfig("none", Options(), self.out, Saving(), SETTINGS)
        results = read_results(self.out)
        state = load_state(self.out, results)
        if retry_failed:
            state.forget_failures()
        files = RunFiles(work.options, None, self.out, pseudonyms=self.pseudonyms is not None)
        files.start()
        for result in results:
            files.add(result)
        self.output = Output(self.out, state, files)
        self.output.clock = self.clock
        self.output.begin()
        inbox = Inbox(self.inbox, frozenset(skip))
        names = Names(inbox, self.pseudonyms, self.out)
        names.refresh()
        voice = Voice(self.said.append)
        looks = Looks(inbox, names, state, Arrivals(rules.stable_s), voice, clock=self.clock)
        self.pool.tasks = []
        self.watcher = Watcher(
            rules,
            work,
            looks,
            self.output,
            self.pool,
            voice,
            self.stop,
            lambda result: self.said.append(f"result of {result.case}"),
            self.clock,
        )

    def clock(self) -> float:
        return self.now

    def run(self, seconds: float) -> None:
        """Let time pass, a second a step."""
        until = self.now + seconds
        while self.now < until:
            self.watcher.step()
            self.now += 1

    def end(self) -> None:
        self.output.close()

    def study(self, name: str, *files: str) -> Path:
        """Put files into an entry."""
        folder = self.inbox / name
        folder.mkdir(parents=True, exist_ok=True)
        for one in files or ("1.dcm", "2.dcm"):
            (folder / one).write_text(f"{name} {one}")
        return folder

    @property
    def cases(self) -> list[str]:
        """Names of what was analysed, in order."""
        return [case for case, _ in self.pool.analysed]

    def results(self) -> list[str]:
        return sorted(path.stem for path in self.out.glob("[!.]*.json") if path.stem != "results")
