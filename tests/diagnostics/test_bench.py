"""Measuring: setups that run, refuse and fail, in turns; which one is recommended."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from rcc_onnx.diagnostics import bench
from rcc_onnx.diagnostics.bench import (
    BenchReport,
    BenchSetup,
    CaseTiming,
    SetupResult,
    default_setups,
    measure,
    recommend,
)
from rcc_onnx.errors import BenchError, RccOnnxError
from rcc_onnx.phantom import make_study
from rcc_onnx.runtime.providers import ProviderRecord
from rcc_onnx.system.documents import document_bytes, read_document
from rcc_onnx.types import Outcome, Precision, ProviderName
from tests.support.measurements import OUTCOMES, measured, refused

CPU, CUDA, OPENVINO = ProviderName.CPU, ProviderName.CUDA, ProviderName.OPENVINO
STAGES = {"reading_headers": 0.1, "kidney_network": 1.2, "lesion_network": 0.6}
TIMING = CaseTiming(
    seconds=2.0,
    stages_s=STAGES,
    loading_s=0.5,
    slices=80,
    outcomes=OUTCOMES,
    bundle="tiny 1.0.0",
    provider=ProviderRecord(CPU, CPU, "", 2, "1.32.0"),
    memory_bytes=300_000_000,
    peak_memory_bytes=400_000_000,
)


def test_a_real_setup_is_measured_cold_and_warm(tmp_path: Path, tiny_bundle: Path) -> None:
    study = make_study(1, tmp_path / "a study", quick=True).folder
    setups = (BenchSetup(threads=1, models=str(tiny_bundle)), BenchSetup(ProviderName.COREML))
    said: list[str] = []
    report = measure(setups, {"a study": study}, 2, said.append)
    ran, not_here = report.setups
    figures = ran.figures
    assert figures is not None
    assert ran.refused is None
    assert [len(case.warm_s) for case in figures.cases] == [2]
    assert figures.cold_s > figures.loading_networks_s > 0
    assert (figures.provider.ran, figures.provider.threads) == (CPU, 1)
    assert set(figures.stages_p50_s) >= {"reading_headers", "kidney_network"}
    assert 0 <= figures.other_p50_s < figures.warm_p50_s <= figures.warm_p95_s
    assert "coreml" in str(not_here.refused)
    assert not_here.figures is None
    assert any("round 2 of 2, a study, cpu float32" in text for text in said)
    assert report.recommended.setup == setups[0]
    assert read_document(BenchReport, document_bytes(report)) == report


# --- With made-up answers ------------------------------------------------------------------------


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """Have every setup answer by a function of its provider and the study; return the order."""

    def install(answer: Callable[[str, str], CaseTiming]) -> list[str]:
        order: list[str] = []

        class FakeProcess:
            def __init__(self, make: Any, limits: object) -> None:
                (setup,) = make.args
                self.provider = setup.provider

            def do(self, study: Path, on_progress: object) -> CaseTiming:
                order.append(f"{self.provider} {study}")
                return answer(self.provider, str(study))

            def close(self) -> None:
                order.append("closed")

        monkeypatch.setattr(bench, "TaskProcess", FakeProcess)
        return order

    return install


def test_setups_take_turns(answers: Callable[..., list[str]]) -> None:
    order = answers(lambda provider, study: TIMING)
    measure([BenchSetup(CPU), BenchSetup(CUDA)], {"x": Path("x"), "y": Path("y")}, 2)
    one_round = ["cpu x", "cuda x", "cpu y", "cuda y"]
    assert order == ["cpu x", "cuda x", *one_round, *one_round, "closed", "closed"]


def test_a_setup_that_fails_later_is_left_out_from_then_on(
    answers: Callable[..., list[str]],
) -> None:
    def answer(provider: str, study: str) -> CaseTiming:
        if study == "bad":
            raise RccOnnxError("broken", code="x")
        return TIMING

    order = answers(answer)
    studies = {"good": Path("good"), "bad": Path("bad")}
    report = measure([BenchSetup(CPU)], studies, 3)
    (result,) = report.setups
    assert result.refused == "broken"
    assert result.figures is not None
    assert [(case.study, len(case.warm_s)) for case in result.figures.cases] == [("good", 1)]
    assert order == ["cpu good", "cpu good", "cpu bad", "closed"]
    assert report.recommended.setup.provider is CPU, "nothing else ran"


def test_nothing_to_measure_is_an_error_with_the_reasons(
    answers: Callable[..., list[str]],
) -> None:
    def answer(provider: str, study: str) -> CaseTiming:
        raise RccOnnxError(f"{provider} is not here", code="x")

    answers(answer)
    with pytest.raises(BenchError, match="cuda float32: cuda is not here"):
        measure([BenchSetup(CUDA)], {"x": Path("x")}, 1)


def test_medians_percentiles_and_the_peak(answers: Callable[..., list[str]]) -> None:
    seconds = iter((9.0, 1.8, 2.0, 3.0))
    peaks = iter((1, 300, 400, 100, None, None))
    answers(lambda *_: replace(TIMING, seconds=next(seconds, 1), peak_memory_bytes=next(peaks)))
    figures = measure([BenchSetup(CPU)], {"x": Path("x")}, 3).setups[0].figures
    assert figures is not None
    assert figures.warm_p50_s == 2.0
    assert figures.warm_p95_s == pytest.approx(2.9)
    assert figures.slices_per_s == pytest.approx(3 * 80 / (1.8 + 2.0 + 3.0))
    assert figures.peak_memory_bytes == 400
    assert figures.stages_p50_s == STAGES
    assert figures.other_p50_s == pytest.approx(0.1)
    assert figures.loading_networks_s == 0.5
    figures = measure([BenchSetup(CPU)], {"x": Path("x")}, 1).setups[0].figures
    assert figures is not None
    assert figures.peak_memory_bytes is None, "unknown once, unknown"


# --- Which setups, and which of them -------------------------------------------------------------


def test_default_setups(monkeypatch: pytest.MonkeyPatch) -> None:
    def labels(*named: Any) -> list[str]:
        return [setup.label for setup in default_setups("m", 3, *named)]

    monkeypatch.setattr(bench, "listed_providers", lambda: (CPU, OPENVINO, ProviderName.COREML))
    assert labels() == ["cpu float32", "cpu int8", "openvino float32"]
    assert default_setups("m", 3)[0] == BenchSetup(CPU, Precision.FLOAT32, 3, "m")
    monkeypatch.setattr(bench, "listed_providers", lambda: (CUDA, CPU))
    assert labels() == ["cpu float32", "cpu int8", "cuda float32", "cuda float16"]
    assert labels([ProviderName.AUTO]) == ["auto float32"]
    assert labels([OPENVINO], [Precision.INT8]) == ["openvino int8"]


OTHER: Any = {"right": Outcome.NO_LESION, "left": Outcome.NO_LESION}
SAME = "the same outcomes as cpu float32"
ONLY = "the only one that ran"
int8 = partial(measured, precision="int8")
large = partial(measured, "openvino", peak_memory_bytes=600_000_000)


@pytest.mark.parametrize(
    ("results", "label", "reason"),
    [
        ([measured(), int8(seconds=1.0)], "cpu int8", f"1.00 s a case, {SAME}"),
        (
            [int8(seconds=0.5, outcomes=OTHER), measured()],
            "cpu float32",
            "2.00 s a case, exact; not considered because of different outcomes: cpu int8",
        ),
        # Of nearly equal ones the leanest.
        ([measured(), large(seconds=1.95)], "cpu float32", "2.00 s a case, exact"),
        ([measured(), large(seconds=1.5)], "openvino float32", f"1.50 s a case, {SAME}"),
        ([refused("cpu"), measured("openvino")], "openvino float32", ONLY),
        ([replace(measured(), refused="x"), measured("openvino")], "openvino float32", ONLY),
    ],
)
def test_the_fastest_with_the_outcomes_of_the_reference_is_recommended(
    results: list[SetupResult], label: str, reason: str
) -> None:
    choice = recommend(results)
    assert (choice.setup.label, choice.reason) == (label, reason)
