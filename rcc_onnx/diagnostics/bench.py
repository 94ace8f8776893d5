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

from rcc_onnx.diagnostics.bench_worker import Answer, Setup
from rcc_onnx.errors import BenchError, OutputError
from rcc_onnx.runtime.providers import AUTO_ORDER, supports_precision
from rcc_onnx.runtime.session import listed_providers
from rcc_onnx.system.host import machine
from rcc_onnx.types import RESEARCH_ONLY, Precision, ProviderName

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
    return [python, "-m", "rcc_onnx.diagnostics.bench_worker", json.dumps(asdict(setup))]


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
        or (provider is not ProviderName.AUTO and supports_precision(provider, precision))
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


# What measurements come to: a recommendation, and the document of `rcc-onnx bench --json`.

SCHEMA_VERSION = 1
NEARLY_EQUAL = 1.05
"""Setups whose medians differ by less are as fast as one another: repeated runs differ as much."""


@dataclass(frozen=True)
class Recommendation:
    setup: Setup
    reason: str


def recommend(measurements: Sequence[Measurement]) -> Recommendation:
    """The fastest setup that answered as the reference did; of nearly equal ones the leanest.

    The reference is the first setup in float32 that ran, or else the first that ran.
    """
    ran = [one for one in measurements if one.refused is None and one.answers]
    exact = [one for one in ran if one.setup.precision == "float32"]
    reference = (exact or ran)[0]
    agreeing = [one for one in ran if outcomes(one) == outcomes(reference)]
    fastest = min(one.p50_s for one in agreeing)
    close = [one for one in agreeing if one.p50_s <= fastest * NEARLY_EQUAL]
    best = min(close, key=lambda one: (one.peak_memory_bytes or 0, one.p50_s))
    reason = (
        "the only one that ran"
        if len(ran) == 1
        else f"{best.p50_s:.2f} s a case; the same outcomes as {reference.setup.label}"
        if best is not reference
        else f"{best.p50_s:.2f} s a case, and exact"
    )
    different = [one.setup.label for one in ran if one not in agreeing]
    if different:
        reason += f"; passed over for different outcomes: {', '.join(different)}"
    return Recommendation(best.setup, reason)


def outcomes(one: Measurement) -> dict[int, dict[str, str]]:
    """Outcomes by study's number and side."""
    return {index: answers[-1].outcomes for index, answers in one.warm.items()}


def bench_json(measurements: Sequence[Measurement], studies: Sequence[str]) -> dict[str, Any]:
    """The document of `rcc-onnx bench --json`; every field is in docs/benchmarks.md."""
    choice = recommend(measurements)
    return {
        "schema_version": SCHEMA_VERSION,
        "notice": RESEARCH_ONLY,
        "environment": machine(),
        "studies": list(studies),
        "setups": [_setup_json(one) for one in measurements],
        "recommended": {**asdict(choice.setup), "reason": choice.reason},
    }


def write_bench_json(
    measurements: Sequence[Measurement], studies: Sequence[str], path: Path
) -> None:
    """Write `bench_json` to a file. Raises OutputError if that cannot be done."""
    text = json.dumps(bench_json(measurements, studies), indent=2, ensure_ascii=False)
    try:
        path.write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror or error}") from error


def _setup_json(one: Measurement) -> dict[str, Any]:
    document: dict[str, Any] = {**asdict(one.setup), "refused": one.refused}
    if not one.answers or one.cold is None:
        return document
    last = one.answers[-1]
    return document | {
        "ran": last.ran,
        "runtime": last.runtime,
        "threads": last.threads,
        "bundle": last.bundle,
        "variants": last.variants,
        "cold_s": one.cold_s,
        "loading_networks_s": one.cold.loading_s,
        "warm_p50_s": one.p50_s,
        "warm_p95_s": one.p95_s,
        "slices_per_s": one.slices_per_s,
        "stages_p50_s": {stage: one.stage_s(stage) for stage in one.stages},
        "peak_memory_bytes": one.peak_memory_bytes,
        "cases": [
            {
                "slices": answers[-1].slices,
                "outcomes": answers[-1].outcomes,
                "warm_s": [answer.seconds for answer in answers],
            }
            for answers in one.warm.values()
        ],
    }
