"""How fast this machine analyses studies: setups side by side, each in its own process.

A round gives every study to every setup in turn, so that whatever else the machine does meanwhile
slows all of them alike.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, ClassVar, Literal

import numpy as np

from rcc_onnx._version import __version__
from rcc_onnx.batch.worker_pool import Handler, Limits, TaskProcess
from rcc_onnx.engine import Engine
from rcc_onnx.errors import BenchError, RccOnnxError
from rcc_onnx.runtime.providers import AUTO_ORDER, ProviderRecord, supports_precision
from rcc_onnx.runtime.session import listed_providers
from rcc_onnx.system.documents import STRICT
from rcc_onnx.system.host import Environment, environment
from rcc_onnx.system.memory import memory_bytes, peak_memory_bytes
from rcc_onnx.types import RESEARCH_ONLY, Outcome, Precision, ProviderName, Side

STAGES = ("reading_headers", "preprocessing", "kidney_network", "lesion_network", "measuring")
"""That a case is made of, in order; loading the networks is measured apart."""
NEARLY_EQUAL = 1.05
"""Setups whose medians differ by less are as fast as one another: repeated runs differ as much."""


@dataclass(frozen=True)
class BenchSetup:
    """What runs the networks.

    Attributes:
        threads: None: the CPUs that the process may use.
        models: name or folder of a bundle; None: chosen by the kind of study.
    """

    provider: ProviderName = ProviderName.CPU
    precision: Precision = Precision.FLOAT32
    threads: int | None = None
    models: str | None = None

    @property
    def label(self) -> str:
        return f"{self.provider} {self.precision}"


@dataclass(frozen=True)
class CaseTiming:
    """One analysis of a study. Travels between processes.

    Attributes:
        seconds: wall clock of the analysis.
        stages_s: seconds by stage.
        loading_s: seconds in which the process loaded the networks, before or in this analysis.
        bundle: its name and version.
        memory_bytes, peak_memory_bytes: of the process after the study; None: unknown.
    """

    seconds: float
    stages_s: Mapping[str, float]
    loading_s: float
    slices: int
    outcomes: Mapping[Side, Outcome]
    bundle: str
    provider: ProviderRecord
    memory_bytes: int | None
    peak_memory_bytes: int | None


@dataclass(frozen=True)
class CaseFigures:
    """A study under one setup; `warm_s`: seconds of every warm analysis."""

    study: str
    slices: int
    outcomes: Mapping[Side, Outcome]
    warm_s: tuple[float, ...]


@dataclass(frozen=True)
class SetupFigures:
    """What a setup took.

    Attributes:
        cold_s: from the start of the process to the first study's result.
        loading_networks_s: of that, seconds for loading the networks.
        warm_p50_s, warm_p95_s: of a case after the first one.
        stages_p50_s: medians of the stages that took part; `other_p50_s`: what no stage covers.
        peak_memory_bytes: of the process; None: unknown.
    """

    bundle: str
    provider: ProviderRecord
    cold_s: float
    loading_networks_s: float
    warm_p50_s: float
    warm_p95_s: float
    slices_per_s: float
    stages_p50_s: Mapping[str, float]
    other_p50_s: float
    peak_memory_bytes: int | None
    cases: tuple[CaseFigures, ...]

    @property
    def outcomes(self) -> dict[str, Mapping[Side, Outcome]]:
        return {case.study: case.outcomes for case in self.cases}


@dataclass(frozen=True)
class SetupResult:
    """One setup; `refused`: why it did not run, or not to the end."""

    setup: BenchSetup
    refused: str | None
    figures: SetupFigures | None


@dataclass(frozen=True)
class Recommendation:
    """The setup to use, and why."""

    setup: BenchSetup
    reason: str


@dataclass(frozen=True)
class BenchReport:
    """The document of `rcc-onnx bench --json` (docs/benchmarks.md)."""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT

    schema_version: Literal[1]
    rcc_onnx_version: str
    notice: str
    environment: Environment
    setups: tuple[SetupResult, ...]
    recommended: Recommendation


def default_setups(
    models: str | None,
    threads: int | None,
    providers: Sequence[ProviderName] | None = None,
    precisions: Sequence[Precision] | None = None,
) -> tuple[BenchSetup, ...]:
    """Return the setups to compare: what is named, or what makes sense with this onnxruntime.

    Unless precisions are named, a provider is tried with those that it runs.
    """
    listed = listed_providers()
    chosen = providers or [name for name in reversed(AUTO_ORDER) if name in listed]
    return tuple(
        BenchSetup(provider, precision, threads, models)
        for provider in chosen
        for precision in precisions or Precision
        if precisions
        or precision is Precision.FLOAT32
        or (provider is not ProviderName.AUTO and supports_precision(provider, precision))
    )


def load_engine(setup: BenchSetup) -> Handler[Path, CaseTiming]:
    """Return what analyses studies under a setup, to be called in the process that is measured."""
    started = time.perf_counter()
    engine = Engine.load(
        setup.models, provider=setup.provider, precision=setup.precision, threads=setup.threads
    )
    return partial(_time_case, engine, time.perf_counter() - started)


def _time_case(engine: Engine, loading_s: float, study: Path, _: object) -> CaseTiming:
    started = time.perf_counter()
    result = engine.analyse(study)
    seconds = time.perf_counter() - started
    stages = {stage: result.timings_s[stage] for stage in STAGES if stage in result.timings_s}
    return CaseTiming(
        seconds=seconds,
        stages_s=stages,
        # A named bundle is loaded before the first study, another one in it.
        loading_s=loading_s + result.timings_s.get("loading_networks", 0.0),
        slices=result.study.slices_analysed,
        outcomes={side: finding.outcome for side, finding in result.sides.items()},
        bundle=f"{result.models.name} {result.models.version}",
        provider=result.provider,
        memory_bytes=memory_bytes(),
        peak_memory_bytes=peak_memory_bytes(),
    )


@dataclass
class _Trial:
    """A setup while it is measured."""

    setup: BenchSetup
    worker: TaskProcess[Path, CaseTiming]
    refused: str | None = None
    cold_s: float = 0.0
    cold: CaseTiming | None = None
    warm: dict[str, list[CaseTiming]] = field(default_factory=dict)

    def analyse(self, study: Path) -> CaseTiming | None:
        """Analyse a study, unless this setup could not analyse another."""
        if self.refused is None:
            try:
                return self.worker.do(study, lambda stage, done: None)
            except RccOnnxError as error:
                self.refused = str(error)
        return None


def measure(
    setups: Sequence[BenchSetup],
    studies: Mapping[str, Path],
    repeats: int,
    on_progress: Callable[[str], None] = lambda text: None,
) -> BenchReport:
    """Analyse every study `repeats` times warm under every setup, in turn.

    Args:
        setups: at least one.
        studies: by name; at least one.
        repeats: at least 1.
        on_progress: called with what is being done, in words.

    Raises:
        BenchError: nothing could be measured.
    """
    with ExitStack() as stack:
        trials = []
        for setup in setups:
            on_progress(f"{setup.label}: starting")
            trial = _Trial(setup, TaskProcess(partial(load_engine, setup), Limits()))
            stack.callback(trial.worker.close)
            started = time.perf_counter()
            trial.cold = trial.analyse(next(iter(studies.values())))
            trial.cold_s = time.perf_counter() - started
            trials.append(trial)
        for number in range(repeats):
            for name, study in studies.items():
                for trial in trials:
                    on_progress(f"round {number + 1} of {repeats}, {name}, {trial.setup.label}")
                    timing = trial.analyse(study)
                    if timing is not None:
                        trial.warm.setdefault(name, []).append(timing)
    results = tuple(SetupResult(trial.setup, trial.refused, _figures(trial)) for trial in trials)
    if not any(result.figures for result in results):
        reasons = "; ".join(f"{result.setup.label}: {result.refused}" for result in results)
        raise BenchError(f"nothing could be measured: {reasons}")
    return BenchReport(1, __version__, RESEARCH_ONLY, environment(), results, recommend(results))


def _figures(trial: _Trial) -> SetupFigures | None:
    timings = [timing for of_study in trial.warm.values() for timing in of_study]
    if trial.cold is None or not timings:
        return None
    seconds = [timing.seconds for timing in timings]
    peaks = [timing.peak_memory_bytes for timing in timings]
    return SetupFigures(
        bundle=timings[-1].bundle,
        provider=timings[-1].provider,
        cold_s=trial.cold_s,
        loading_networks_s=trial.cold.loading_s,
        warm_p50_s=median(seconds),
        warm_p95_s=float(np.percentile(seconds, 95)),
        slices_per_s=sum(timing.slices for timing in timings) / sum(seconds),
        stages_p50_s={
            stage: median(timing.stages_s.get(stage, 0.0) for timing in timings)
            for stage in STAGES
            if any(stage in timing.stages_s for timing in timings)
        },
        other_p50_s=median(
            max(timing.seconds - sum(timing.stages_s.values()), 0.0) for timing in timings
        ),
        peak_memory_bytes=None if None in peaks else max(peak for peak in peaks if peak),
        cases=tuple(
            CaseFigures(
                name,
                of_study[-1].slices,
                of_study[-1].outcomes,
                tuple(timing.seconds for timing in of_study),
            )
            for name, of_study in trial.warm.items()
        ),
    )


def recommend(results: Sequence[SetupResult]) -> Recommendation:
    """Return the fastest setup with the reference's outcomes; of nearly equal ones the leanest.

    The reference is the first setup in float32 that ran, or else the first that ran. At least one
    must have; those that ran to the end are preferred.
    """
    whole = [result for result in results if result.refused is None]
    ran = [(found.setup, found.figures) for found in whole or results if found.figures is not None]
    exact = [pair for pair in ran if pair[0].precision is Precision.FLOAT32]
    reference = (exact or ran)[0]
    agreeing = [pair for pair in ran if pair[1].outcomes == reference[1].outcomes]
    fastest = min(figures.warm_p50_s for _, figures in agreeing)
    close = [pair for pair in agreeing if pair[1].warm_p50_s <= fastest * NEARLY_EQUAL]
    setup, figures = min(
        close, key=lambda pair: (pair[1].peak_memory_bytes or 0, pair[1].warm_p50_s)
    )
    exactness = f"the same outcomes as {reference[0].label}" if setup != reference[0] else "exact"
    reason = f"{figures.warm_p50_s:.2f} s a case, {exactness}"
    if len(ran) == 1:
        reason = "the only one that ran"
    different = [pair[0].label for pair in ran if pair not in agreeing]
    if different:
        reason += f"; not considered because of different outcomes: {', '.join(different)}"
    return Recommendation(setup, reason)
