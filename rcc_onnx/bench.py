"""How fast a machine analyses studies: setups side by side, each in a process of its own.

A round gives every study to every setup in turn, so that whatever else the machine does meanwhile
falls on all of them alike.
"""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median, quantiles
from typing import IO, Any

from rcc_onnx.bench_worker import Answer, Setup
from rcc_onnx.errors import BenchError
from rcc_onnx.forms import runs
from rcc_onnx.providers import AUTO_ORDER, ProviderName
from rcc_onnx.sessions import listed_providers
from rcc_onnx.values import Precision

STAGE_ORDER = ("reading_headers", "preprocessing", "kidney_network", "lesion_network")

Reply = dict[str, Any]


@dataclass
class Worker:
    """A running worker process. Made by `started_worker`."""

    _process: "subprocess.Popen[str]"
    _said: IO[str]
    started: float

    def ask(self, text: str) -> Reply:
        """Send it a text, such as a study's path; its answer, or `error` and `code`."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            # As JSON: a file name may hold a line break, or bytes that are no text.
            self._process.stdin.write(f"{json.dumps(text)}\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except OSError:
            line = ""
        if not line:
            return {"error": self._how_it_ended(), "code": "ended"}
        return dict(json.loads(line))

    def _how_it_ended(self) -> str:
        code = self._process.wait()
        self._said.seek(0)
        lines = [line.strip() for line in self._said.readlines() if line.strip()]
        return f"the process ended with code {code}: {lines[-1] if lines else 'it said nothing'}"


@contextmanager
def started_worker(command: Sequence[str]) -> Iterator[Worker]:
    """A process that answers study paths line by line, ended with the block."""
    started = time.perf_counter()
    with (
        tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as said,
        subprocess.Popen(
            list(command),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=said,
            text=True,
            encoding="utf-8",
        ) as process,
    ):
        try:
            yield Worker(process, said, started)
        finally:
            # Its input ends here, and so does it.
            if process.stdin is not None:
                process.stdin.close()
            try:
                process.wait(timeout=30)
            except subprocess.TimeoutExpired:
                process.kill()


def worker_command(setup: Setup, python: str = sys.executable) -> list[str]:
    """The command of a worker that runs this package."""
    return [python, "-m", "rcc_onnx.bench_worker", json.dumps(asdict(setup))]


@dataclass
class Measurement:
    """What one setup did.

    Attributes:
        refused: why it could not run; None if it did.
        cold_s: from the start of the process to the first study's result.
        cold: the first study's answer, with the networks loaded in it or before it.
        warm: answers by study's number, all after the first answer of the process.
    """

    setup: Setup
    refused: str | None = None
    cold_s: float | None = None
    cold: Answer | None = None
    warm: dict[int, list[Answer]] = field(default_factory=dict)

    @property
    def answers(self) -> list[Answer]:
        return [one for answers in self.warm.values() for one in answers]

    @property
    def p50_s(self) -> float:
        """Median warm seconds of a case."""
        return median(one.seconds for one in self.answers)

    @property
    def p95_s(self) -> float:
        seconds = [one.seconds for one in self.answers]
        return quantiles(seconds, n=20, method="inclusive")[-1] if len(seconds) > 1 else seconds[0]

    @property
    def slices_per_s(self) -> float:
        return sum(one.slices for one in self.answers) / sum(one.seconds for one in self.answers)

    @property
    def peak_memory_bytes(self) -> int | None:
        peaks = [one.peak_memory_bytes for one in self.answers]
        return None if None in peaks else max(one for one in peaks if one is not None)

    def stage_s(self, stage: str) -> float:
        """Median warm seconds of a stage; 0 where it did not run."""
        return median(one.stages_s.get(stage, 0.0) for one in self.answers)

    @property
    def rest_s(self) -> float:
        """Median warm seconds in no stage."""
        return median(
            max(one.seconds - sum(one.stages_s.get(stage, 0.0) for stage in self.stages), 0.0)
            for one in self.answers
        )

    def case_p50_s(self, study: int) -> float:
        """Median warm seconds of a study."""
        return median(one.seconds for one in self.warm[study])

    @property
    def stages(self) -> tuple[str, ...]:
        """Stages that took part in a warm case, in the order of the computation."""
        found = {stage for one in self.answers for stage in one.stages_s} - {"total"}
        found -= {"loading_networks"}
        return (
            *(stage for stage in STAGE_ORDER if stage in found),
            *sorted(found - set(STAGE_ORDER)),
        )


def default_setups(
    models: str | None,
    threads: int | None,
    providers: Sequence[ProviderName] | None = None,
    precisions: Sequence[Precision] | None = None,
) -> tuple[Setup, ...]:
    """The setups to compare: what is named, or what makes sense with this onnxruntime.

    Unless precisions are named, a provider is tried with those that it runs.
    """
    listed = listed_providers()
    chosen = providers or [name for name in AUTO_ORDER[::-1] if name in listed]
    return tuple(
        Setup(str(provider), str(precision), threads, models)
        for provider in chosen
        for precision in precisions or Precision
        if precisions
        or precision is Precision.FLOAT32
        or (provider is not ProviderName.AUTO and runs(provider, precision))
    )


def measure(
    setups: Sequence[Setup],
    studies: Sequence[Path],
    repeats: int,
    tell: Callable[[str], None] = lambda text: None,
) -> tuple[Measurement, ...]:
    """Run every study `repeats` times warm under every setup, in turn.

    There must be at least one study; `tell` is told in words what is being done.

    Raises:
        BenchError: nothing could be measured.
    """
    measurements = [Measurement(setup) for setup in setups]
    with ExitStack() as stack:
        running: list[tuple[Worker, Measurement]] = []
        for one in measurements:
            tell(f"{one.setup.label}: starting")
            worker = stack.enter_context(started_worker(worker_command(one.setup)))
            _first(worker, one, studies[0])
            if one.refused is None:
                running.append((worker, one))
        for number in range(repeats):
            for index, study in enumerate(studies):
                for worker, one in running:
                    tell(f"round {number + 1} of {repeats}, {study.name}, {one.setup.label}")
                    _again(worker, one, index, study)
    if not any(one.answers for one in measurements):
        reasons = "; ".join(f"{one.setup.label}: {one.refused}" for one in measurements)
        raise BenchError(f"nothing could be measured: {reasons}")
    return tuple(measurements)


def _first(worker: Worker, one: Measurement, study: Path) -> None:
    reply = worker.ask(str(study))
    if "error" in reply:
        one.refused = reply["error"]
        return
    one.cold_s = time.perf_counter() - worker.started
    one.cold = Answer(**reply)


def _again(worker: Worker, one: Measurement, index: int, study: Path) -> None:
    if one.refused is not None:
        return
    reply = worker.ask(str(study))
    if "error" in reply:
        one.refused = f"{study.name}: {reply['error']}"
        return
    one.warm.setdefault(index, []).append(Answer(**reply))
