"""Measuring: workers that answer, refuse and die, and setups that take turns."""

import sys
from pathlib import Path

import pytest

from rcc_onnx.diagnostics import bench
from rcc_onnx.diagnostics.bench import default_setups, measure, started_worker
from rcc_onnx.diagnostics.bench_worker import Setup
from rcc_onnx.errors import BenchError
from rcc_onnx.phantom import make_study
from rcc_onnx.types import Precision, ProviderName
from tests.support.measurements import measurement


@pytest.fixture(scope="module")
def phantom(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_study(1, tmp_path_factory.mktemp("phantoms") / "a study", quick=True).folder


def script(code: str) -> list[str]:
    return [sys.executable, "-c", f"import sys, json\nfor line in sys.stdin:\n    {code}"]


def test_a_worker_answers_line_by_line() -> None:
    with started_worker(
        script("print(json.dumps({'got': json.loads(line)}), flush=True)")
    ) as worker:
        assert worker.ask("one") == {"got": "one"}
        for name in ("two words", "line\nbreak", "no text \udcff", "\u00e4"):
            assert worker.ask(name) == {"got": name}


def test_a_worker_that_dies_says_its_last_words() -> None:
    code = "import sys; print('loading', file=sys.stderr); sys.exit('no memory left')"
    with started_worker([sys.executable, "-c", code]) as worker:
        reply = worker.ask("study")
    assert reply["code"] == "ended"
    assert "code 1: no memory left" in reply["error"]


def test_a_real_setup_is_measured_cold_and_warm(phantom: Path, tiny_bundle: Path) -> None:
    setups = (Setup("cpu", threads=1, models=str(tiny_bundle)), Setup("coreml"))
    said: list[str] = []
    ran, not_here = measure(setups, [phantom], 2, said.append)
    assert ran.refused is None
    assert [len(answers) for answers in ran.warm.values()] == [2]
    assert ran.cold is not None
    assert ran.cold_s is not None
    assert ran.cold_s > ran.cold.seconds + ran.cold.loading_s
    assert ran.cold.loading_s > 0
    assert {one.loading_s < ran.cold.loading_s / 2 for one in ran.answers} == {True}
    last = ran.answers[-1]
    assert (last.ran, last.threads, last.slices) == ("cpu", 1, ran.cold.slices)
    assert set(ran.stages) >= {"reading_headers", "kidney_network"}
    assert 0 <= ran.rest_s < ran.p50_s
    assert "coreml" in (not_here.refused or "")
    assert any("round 2 of 2, a study, cpu float32" in one for one in said)


def test_setups_take_turns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = tmp_path / "log"
    answer = measurement().answers[0].__dict__

    def command(setup: Setup) -> list[str]:
        entry = f"{setup.provider} "
        return script(
            f"open({str(log)!r}, 'a').write({entry!r} + json.loads(line) + '\\n'); "
            f"print(json.dumps({answer!r}), flush=True)"
        )

    monkeypatch.setattr(bench, "worker_command", command)
    measure([Setup("a"), Setup("b")], [Path("x"), Path("y")], 2)
    one_round = ["a x", "b x", "a y", "b y"]
    assert log.read_text().splitlines() == ["a x", "b x", *one_round, *one_round]


def test_nothing_to_measure_is_an_error_with_the_reasons(phantom: Path) -> None:
    with pytest.raises(BenchError, match="coreml float32: coreml is not in this onnxruntime"):
        measure([Setup("coreml")], [phantom], 1)


def test_a_setup_that_fails_later_is_left_out_from_then_on(monkeypatch: pytest.MonkeyPatch) -> None:
    answer = measurement().answers[0].__dict__
    code = (
        f"print(json.dumps({answer!r} if json.loads(line) != 'bad' else "
        "{'error': 'broken', 'code': 'x'}), flush=True)"
    )
    monkeypatch.setattr(bench, "worker_command", lambda setup: script(code))
    (one,) = measure([Setup("a")], [Path("good"), Path("bad")], 3)
    assert one.refused == "bad: broken"
    assert {index: len(answers) for index, answers in one.warm.items()} == {0: 1}


def test_medians_and_percentiles() -> None:
    one = measurement(seconds=2.0)
    assert one.p50_s == 2.0
    assert one.p95_s == pytest.approx(2.9)
    assert one.slices_per_s == pytest.approx(3 * 80 / (1.8 + 2.0 + 3.0))
    assert one.peak_memory_bytes == 400_000_000
    assert measurement(peak_memory_bytes=None).peak_memory_bytes is None
    assert one.stages == ("reading_headers", "kidney_network", "lesion_network")
    assert one.rest_s == pytest.approx(0.1)


def test_default_setups(monkeypatch: pytest.MonkeyPatch) -> None:
    listed = (ProviderName.CPU, ProviderName.OPENVINO, ProviderName.COREML)
    monkeypatch.setattr(bench, "listed_providers", lambda: listed)
    labels = [one.label for one in default_setups("m", 3)]
    assert labels == ["cpu float32", "cpu int8", "openvino float32"]
    assert default_setups("m", 3)[0] == Setup("cpu", "float32", 3, "m")
    monkeypatch.setattr(bench, "listed_providers", lambda: (ProviderName.CUDA, ProviderName.CPU))
    labels = [one.label for one in default_setups("m", 3)]
    assert labels == ["cpu float32", "cpu int8", "cuda float32", "cuda float16"]
    labels = [one.label for one in default_setups("m", 3, [ProviderName.AUTO])]
    assert labels == ["auto float32"]
    named = default_setups(None, None, [ProviderName.OPENVINO], [Precision.INT8])
    assert [one.label for one in named] == ["openvino int8"]
