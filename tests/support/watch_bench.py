"""A watcher whose time, processes and engine are the test's: minutes pass in no time."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from rcc_onnx.batch.cases import Case
from rcc_onnx.batch.runner import BatchConfig, CaseOutcome, analyse_case
from rcc_onnx.errors import IntakeError, RccOnnxError
from rcc_onnx.options import InferenceOptions
from rcc_onnx.output.folder import OutputFolder
from rcc_onnx.output.run import RunRecord
from rcc_onnx.results import AnalysedCase, ModelsUsed
from rcc_onnx.watch.scanner import Scanner
from rcc_onnx.watch.watcher import SessionOutput, Shutdown, WatchConfig, Watcher
from tests.support.results import case_result


def bundle_of(models: ModelsUsed) -> Any:
    """A bundle with nothing but what tells that results came from it."""
    networks = {
        name: SimpleNamespace(
            variant_names=("float32",),
            variant=lambda _, sha256=sha256: SimpleNamespace(sha256=sha256),
        )
        for name, sha256 in models.sha256.items()
    }
    manifest = SimpleNamespace(name=models.name, version=models.version, networks=networks)
    return SimpleNamespace(manifest=manifest)


class FakePool:
    """Does a task when it is asked what has ended, with an engine that computes nothing.

    Attributes:
        read: names of the cases that a process was given, in order.
        analysed: of those that were analysed.
        wrong: by case, what comes of it in place of a result, once each.
        meanwhile: called while a study is analysed.
    """

    options = InferenceOptions()

    def __init__(self, size: int) -> None:
        self.size = size
        self.config: BatchConfig
        self.tasks: list[Case] = []
        self.read: list[str] = []
        self.analysed: list[str] = []
        self.wrong: dict[str, RccOnnxError] = {}
        self.meanwhile: Callable[[], object] = lambda: None
        self.idle_stops = 0
        self._stages: list[tuple[Case, str, float]] = []

    @property
    def free(self) -> int:
        return self.size - len(self.tasks)

    def submit(self, task: Case) -> None:
        assert self.free > 0
        self.tasks.append(task)

    def ended(self, timeout: float) -> list[tuple[Case, CaseOutcome | RccOnnxError]]:
        tasks, self.tasks = self.tasks, []
        return [(task, self._do(task)) for task in tasks]

    def progress_events(self) -> Iterator[tuple[Case, str, float]]:
        while self._stages:
            yield self._stages.pop(0)

    def stop_idle_workers(self) -> None:
        self.idle_stops += 1

    def _do(self, case: Case) -> CaseOutcome | RccOnnxError:
        self.read.append(case.name)
        error = self.wrong.get(case.name)
        if error is not None and not isinstance(error, IntakeError) and case.error is None:
            self.meanwhile()
            return self.wrong.pop(case.name)
        try:
            return analyse_case(
                self, self.config, case, lambda *stage: self._stages.append((case, *stage))
            )
        except RccOnnxError as refusal:
            return refusal

    # What an engine does.

    def bundle_for(self, _: str) -> Any:
        return bundle_of(case_result().models)

    def analyse(self, folder: Path, case: str, on_progress: Any, **_: object) -> AnalysedCase:
        on_progress("reading_headers", 0.0)
        self.meanwhile()
        if case in self.wrong:
            raise self.wrong.pop(case)
        self.analysed.append(case)
        return case_result(case)


class Bench:
    """A folder with an inbox, and sessions over it. `said` are the lines of all of them."""

    def __init__(self, folder: Path, workers: int = 1) -> None:
        self.inbox, self.out = folder / "in", folder / "out"
        self.inbox.mkdir()
        self.now = 1000.0
        self.said: list[str] = []
        self.pool = FakePool(workers)
        self.shutdown = Shutdown()
        self.held = ExitStack()
        self.watcher: Watcher

    def start(self, *, retry_failed: bool = False, **changes: Any) -> None:
        """Begin a session, as after a restart."""
        self.held.close()
        batch = BatchConfig(self.out, keep_failed=not retry_failed)
        self.pool.tasks, self.pool.config = [], batch
        config = WatchConfig(self.inbox, batch, **changes)
        scanner = Scanner(self.inbox, self.out, config.targets, config.pseudonyms)
        self.record = RunRecord(
            self.held.enter_context(OutputFolder.open(self.out)), batch.options, None
        )
        for result in self.record.folder.results():
            self.record.add(result)
        self.record.write()
        output = SessionOutput(self.record, self.held, self.clock)
        self.watcher = Watcher(config, scanner, output, self.pool, self, self.shutdown, self.clock)

    def message(self, text: str) -> None:
        self.said.append(text)

    def case(self, outcome: CaseOutcome) -> None:
        self.said.append(f"result of {outcome.result.case}")

    def clock(self) -> float:
        return self.now

    def run(self, seconds: float) -> None:
        """Let time pass, a second a step."""
        until = self.now + seconds
        while self.now < until:
            self.watcher.step()
            self.now += 1

    def run_once(self) -> None:
        """Let time pass until a session with `once` ends."""
        while not self.watcher.is_finished:
            self.run(1)

    def study(self, name: str, *files: str) -> Path:
        """Put files into an entry."""
        folder = self.inbox / name
        folder.mkdir(parents=True, exist_ok=True)
        for file in files or ("1.dcm", "2.dcm"):
            (folder / file).write_text(f"{name} {file}")
        return folder

    def count(self, part: str) -> int:
        """How many lines were said that hold these words."""
        return sum(part in line for line in self.said)

    @property
    def cases(self) -> list[str]:
        """Names of what was analysed, in order."""
        return self.pool.analysed

    def results(self) -> list[str]:
        return sorted(path.stem for path in self.out.glob("[!.]*.json") if path.stem != "results")
