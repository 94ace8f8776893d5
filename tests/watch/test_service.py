"""A session from start to end; with processes and signals: tests/cli/test_watch.py."""

import json
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from rcc_onnx.batch.runner import BatchConfig, CaseOutcome
from rcc_onnx.errors import IntakeError, OutputError, ProviderError
from rcc_onnx.options import InferenceOptions
from rcc_onnx.output.folder import OutputFolder
from rcc_onnx.results import FailedCase
from rcc_onnx.watch import service
from rcc_onnx.watch.scanner import COPYING, MOVED
from rcc_onnx.watch.watcher import WatchConfig
from tests.support.watch_bench import FakePool


class Lines:
    def __init__(self) -> None:
        self.said: list[str] = []

    def message(self, text: str) -> None:
        self.said.append(text)

    def case(self, outcome: CaseOutcome) -> None:
        self.said.append(f"result of {outcome.result.case}")


@pytest.fixture
def pool(monkeypatch: pytest.MonkeyPatch) -> FakePool:
    fake = FakePool(1)

    @contextmanager
    def opened(batch: BatchConfig) -> Iterator[FakePool]:
        fake.config = batch
        yield fake

    monkeypatch.setattr(service, "_open_pool", opened)
    return fake


@pytest.fixture
def config(tmp_path: Path) -> Callable[..., WatchConfig]:
    for name in ("a", "b"):
        (tmp_path / "in" / name).mkdir(parents=True)
        (tmp_path / "in" / name / "1.dcm").write_text(name)

    def make(batch: BatchConfig | None = None, **changes: object) -> WatchConfig:
        batch = batch or BatchConfig(tmp_path / "out", keep_failed=True)
        times = {"interval_s": 0.01, "stable_s": 0.0}
        return WatchConfig(tmp_path / "in", batch, **(times | {"once": True} | changes))

    return make


def test_a_session_analyses_what_is_there_and_counts_earlier_results(
    pool: FakePool, config: Callable[..., WatchConfig], tmp_path: Path
) -> None:
    pool.wrong["b"] = IntakeError("no DICOM file in it", code="no-dicom")
    lines = Lines()
    results, stopped_by = service.watch(config(), lines)
    assert [type(result) is FailedCase for result in results] == [False, True]
    assert stopped_by is None
    assert lines.said[0].startswith(f"watching {tmp_path / 'in'}, results go to {tmp_path / 'out'}")
    document = json.loads((tmp_path / "out" / "results.json").read_text())
    assert document["counts"]["failed"] == 1
    again = Lines()
    assert service.watch(config(), again) == ([], None)
    assert again.said[1:] == [f"2 earlier results in {tmp_path / 'out'}"]
    other = BatchConfig(tmp_path / "out", InferenceOptions(mask_cutoff=0.4))
    service.watch(config(other), again)
    assert "2 of them of other options" in again.said[-5]
    assert pool.analysed == ["a", "a", "b"]


def test_a_signal_ends_a_session_and_drops_what_is_in_hand(
    pool: FakePool,
    config: Callable[..., WatchConfig],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = signal.getsignal(signal.SIGTERM)

    def ended(timeout: float) -> list[object]:
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGINT)
        return []

    monkeypatch.setattr(pool, "ended", ended)
    lines = Lines()
    assert service.watch(config(once=False), lines) == ([], "SIGTERM")
    assert "1 study dropped, to be analysed after the next start" in lines.said
    assert signal.getsignal(signal.SIGTERM) is before
    assert (tmp_path / "out" / "results.json").is_file()


@pytest.mark.usefixtures("pool")
def test_moves_that_were_interrupted_are_finished_only_where_studies_are_moved(
    config: Callable[..., WatchConfig], tmp_path: Path
) -> None:
    left = [tmp_path / "in" / f"{MOVED}x", tmp_path / "done" / f"{COPYING}x"]
    for folder in left:
        folder.mkdir(parents=True)
    service.watch(config(), Lines())
    assert all(folder.is_dir() for folder in left)
    service.watch(config(move_done=tmp_path / "done"), Lines())
    assert sorted(path.name for path in (tmp_path / "done").iterdir()) == ["a", "b"]
    assert list((tmp_path / "in").iterdir()) == []


def test_another_run_in_the_folder_of_results_or_a_lost_engine_is_an_error(
    pool: FakePool, config: Callable[..., WatchConfig], tmp_path: Path
) -> None:
    with (
        OutputFolder.open(tmp_path / "out"),
        pytest.raises(OutputError, match="another run") as busy,
    ):
        service.watch(config(), Lines())
    assert busy.value.code == "output-busy"
    pool.wrong["a"] = ProviderError("the GPU is gone")
    with pytest.raises(ProviderError):
        service.watch(config(), Lines())
    assert json.loads((tmp_path / "out" / "results.json").read_text())["stopped_by"] == "provider"
