"""Processes whose death costs one task only."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from rcc_onnx.batch.worker_pool import Limits, TaskPool, TaskProcess, done_by_processes
from rcc_onnx.errors import (
    BundleError,
    CaseTimeoutError,
    RccOnnxError,
)
from tests.support.errors import raises_code
from tests.support.isolated_tasks import make, refuse

linux_only = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="NOT TESTED HERE: memory is limited on Linux only"
)


def silent(*_: object) -> None:
    pass


@pytest.fixture
def process():
    worker = TaskProcess(make, Limits(seconds=20, memory_bytes=2 << 30))
    yield worker
    worker.close()


def test_tasks_are_done_in_one_process_that_is_not_this_one(process) -> None:
    pids = {process.do("pid", silent) for _ in range(3)}
    assert len(pids) == 1
    assert pids != {str(os.getpid())}


def test_stages_are_reported(process) -> None:
    events = []
    assert process.do("hello", lambda *event: events.append(event)) == "HELLO"
    assert events == [("stage", 0.5)]


@pytest.mark.parametrize(
    ("task", "code", "message"),
    [
        ("crash", "case-crashed", "SIGSEGV"),
        ("exit", "case-crashed", "exit code 3"),
        ("killed", "case-memory", "killed"),
        ("refuse", "missing-slices", "a slice is missing"),
        ("choose", "several-series", "which?"),
        ("defect", "case-crashed", "KeyError"),
        pytest.param("eat", "case-memory", "more memory", marks=linux_only),
    ],
)
def test_a_failure_is_reported_and_the_next_task_is_done(process, task, code, message) -> None:
    with raises_code(code, match=message) as caught:
        process.do(task, silent)
    assert "DOE" not in str(caught.value)
    assert process.do("after", silent) == "AFTER"


def test_what_never_ends_is_ended() -> None:
    process = TaskProcess(make, Limits(seconds=0.5))
    process.start()
    started = time.monotonic()
    with pytest.raises(CaseTimeoutError, match="--case-timeout"):
        process.do("sleep", silent)
    assert time.monotonic() - started < 10
    assert process.do("after", silent) == "AFTER"
    process.close()


def test_a_process_that_cannot_start_reports_why() -> None:
    process = TaskProcess(refuse, Limits())
    with pytest.raises(BundleError, match="no such bundle"):
        process.start()
    process.close()


def test_closing_ends_a_task_that_is_being_done(tmp_path: Path) -> None:
    process = TaskProcess(make, Limits())
    process.start()
    results = done_by_processes(["hello", f"touch {tmp_path / 'late'}"], [process], silent)
    assert next(results) == ("hello", "HELLO")
    results.close()
    time.sleep(1)
    assert not (tmp_path / "late").exists()


def test_many_tasks_by_few_processes() -> None:
    workers = [TaskProcess(make, Limits(seconds=20)) for _ in range(2)]
    tasks = ["a", "crash", "b", "refuse", "c", "exit", "d"]
    events = []
    found = dict(done_by_processes(tasks, workers, lambda *event: events.append(event)))
    assert set(found) == set(tasks)
    for task in "abcd":
        assert found[task] == task.upper()
        assert (task, "stage", 0.5) in events
    codes = {t: e.code for t, e in found.items() if isinstance(e, RccOnnxError)}
    assert codes == {"crash": "case-crashed", "refuse": "missing-slices", "exit": "case-crashed"}
    assert all(worker._process is None or not worker._process.is_alive() for worker in workers)


@linux_only
def test_a_process_ends_with_its_parent(tmp_path: Path) -> None:
    """Nothing goes on writing results after the program that would know of them was killed."""
    script = tmp_path / "program.py"
    script.write_text(
        "from rcc_onnx.batch.worker_pool import Limits, TaskProcess\n"
        "from tests.support.isolated_tasks import make\n"
        "if __name__ == '__main__':\n"
        "    process = TaskProcess(make, Limits())\n"
        "    print(process.do('pid', lambda *_: None), flush=True)\n"
        "    process.do('sleep', lambda *_: None)\n"
    )
    parent = subprocess.Popen(
        [sys.executable, str(script)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    for _ in range(50):
        if not Path(f"/proc/{child}").exists():
            break
        time.sleep(0.1)
    assert not Path(f"/proc/{child}").exists()
    parent.stdout.close()


def test_a_pool_that_is_left_waits_for_nothing(tmp_path: Path) -> None:
    processes = [TaskProcess(make, Limits()) for _ in range(2)]
    begun = time.monotonic()
    for seconds in (0, 0, 0.001, 0.1, 1):
        with TaskPool(processes) as pool:
            # More than there are processes: the last ones are not begun.
            for _ in range(4):
                pool.submit("sleep")
            time.sleep(seconds)
    assert time.monotonic() - begun < 60
