"""How many processes a run starts."""

import pytest

from rcc_onnx.batch.runner import CASE_BYTES, workers_for
from rcc_onnx.cli.infer import MB, work_of, workers_of
from rcc_onnx.cli.options import InferOptions
from rcc_onnx.system import host as machine_memory
from rcc_onnx.system.host import Memory

GIB = 1 << 30


@pytest.mark.parametrize(
    ("asked", "free", "each", "started"),
    [
        (0, 0, CASE_BYTES, 0),
        (1, 0, CASE_BYTES, 1),
        (4, None, CASE_BYTES, 4),
        (4, 4 * CASE_BYTES, CASE_BYTES, 4),
        (4, 4 * CASE_BYTES - 1, CASE_BYTES, 3),
        (4, 0, CASE_BYTES, 1),
        (4, GIB, GIB // 2, 2),
    ],
)
def test_workers_for(asked: int, free: int | None, each: int, started: int) -> None:
    assert workers_for(asked, free, each) == started


@pytest.fixture
def free(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with 2 GiB to spare."""
    monkeypatch.setattr(machine_memory, "memory", lambda: Memory(8 * GIB, 2 * GIB))


@pytest.mark.usefixtures("free")
def test_fewer_workers_for_want_of_memory_are_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert workers_of(InferOptions(workers=8), 100) == 3
    assert capsys.readouterr().err == (
        "3 workers in place of 8: each may want 600 MB, and 2048 MB are free\n"
    )
    assert workers_of(InferOptions(workers=8, case_memory=2048), 100) == 1
    assert "1 worker in place of 8: each may want 2048 MB" in capsys.readouterr().err
    assert workers_of(InferOptions(workers=8, case_memory=256), 100) == 8
    assert capsys.readouterr().err == ""


@pytest.mark.usefixtures("free")
def test_no_more_workers_than_cases(capsys: pytest.CaptureFixture[str]) -> None:
    assert workers_of(InferOptions(workers=3), 2) == 2
    assert workers_of(InferOptions(workers=8), 1) == 1
    assert workers_of(InferOptions(workers=0), 5) == 0
    assert workers_of(InferOptions(workers=2)) == 2, "nobody knows how many will come"
    assert capsys.readouterr().err == ""
    assert CASE_BYTES % MB == 0


def test_one_case_has_all_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rcc_onnx.batch.runner.usable_cpus", lambda: 16)
    asked = InferOptions(workers=4, models="phantom")
    work = work_of(asked)
    assert work.shared_by(workers_of(asked, 1)).options.threads is None
    shared = work.shared_by(workers_of(asked, 4))
    assert shared.options.threads == 4
    assert shared.settings_sha256 == work.settings_sha256
