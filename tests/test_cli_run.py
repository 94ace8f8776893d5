"""How many processes a run starts."""

from dataclasses import replace

import pytest

from rcc_onnx import machine_memory
from rcc_onnx.case_tasks import CASE_BYTES, workers_for
from rcc_onnx.cli_options import InferOptions
from rcc_onnx.cli_run import MB, fitted, work_of
from rcc_onnx.machine_memory import Memory

GIB = 1 << 30


@pytest.mark.parametrize(
    ("asked", "free", "each", "started"),
    [
        (0, 0, None, 0),
        (1, 0, None, 1),
        (4, None, None, 4),
        (4, 4 * CASE_BYTES, None, 4),
        (4, 4 * CASE_BYTES - 1, None, 3),
        (4, 0, None, 1),
        (4, GIB, GIB // 2, 2),
    ],
)
def test_workers_for(asked: int, free: int | None, each: int | None, started: int) -> None:
    assert workers_for(asked, free, each) == started


@pytest.fixture
def free(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with 2 GiB to spare."""
    monkeypatch.setattr(machine_memory, "memory", lambda: Memory(8 * GIB, 2 * GIB))


@pytest.mark.usefixtures("free")
def test_fewer_workers_for_want_of_memory_are_said(capsys: pytest.CaptureFixture[str]) -> None:
    asked = InferOptions(workers=8)
    assert fitted(asked, 100) == replace(asked, workers=3)
    assert capsys.readouterr().err == (
        "3 workers in place of 8: each may want 600 MB, and 2048 MB are free\n"
    )
    assert fitted(replace(asked, case_memory=2048), 100).workers == 1
    assert "1 worker in place of 8: each may want 2048 MB" in capsys.readouterr().err
    assert fitted(replace(asked, case_memory=256), 100).workers == 8
    assert capsys.readouterr().err == ""


@pytest.mark.usefixtures("free")
def test_no_more_workers_than_cases(capsys: pytest.CaptureFixture[str]) -> None:
    assert fitted(InferOptions(workers=3), 2).workers == 2
    assert fitted(InferOptions(workers=8), 1).workers == 1
    assert fitted(InferOptions(workers=0), 5).workers == 0
    assert fitted(InferOptions(workers=2)).workers == 2, "nobody knows how many will come"
    assert capsys.readouterr().err == ""
    assert CASE_BYTES % MB == 0


def test_one_case_has_all_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rcc_onnx.case_tasks.usable_cpus", lambda: 16)
    asked = InferOptions(workers=4, models="phantom")
    assert work_of(fitted(asked, 1)).options.threads is None
    assert work_of(fitted(asked, 4)).options.threads == 4
