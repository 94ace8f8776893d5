"""Ctrl-C at moments from the first to the last: nothing half done is left, and no traceback."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from rcc_onnx.output.run import RUN_FILES
from tests.failure_modes.outputs import LOCK, check_left, contents
from tests.failure_modes.test_table import infer
from tests.kill_runs import children_of, wait_for_ends

PROGRAM = (sys.executable, "-m", "rcc_onnx")
ENVIRONMENT = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "RCC_ONNX_THREADS": "1"}
LIMIT_S = 120.0
INTERRUPTED = 130

pytestmark = pytest.mark.skipif(
    sys.platform == "win32", reason="NOT TESTED HERE: Ctrl-C is no signal on Windows"
)

Moment = Callable[[Path], bool]
"""Whether it has come, by what lies in the folder of results."""

STARTING = "while it starts"
LOCKING = "as it may write"
LAST = "while the report is written"
MOMENTS: dict[str, Moment] = {
    STARTING: lambda out: True,
    LOCKING: lambda out: (out / LOCK).exists(),
    "while a case's files are written": lambda out: (out / "case0_overview.png").exists(),
    "between two cases": lambda out: (out / "case0.json").exists(),
    LAST: lambda out: (out / "results.csv").exists(),
}


@pytest.fixture(scope="module")
def expected(
    quick_studies: Path, quick_bundle: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, bytes]:
    out = tmp_path_factory.mktemp("undisturbed") / "out"
    assert infer((quick_studies, out), quick_bundle)[0] == 0
    return contents(out)


@contextmanager
def heard_ctrl_c() -> Iterator[None]:
    """Where tests run in the background, Ctrl-C is ignored, and would be in what they start."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("moment", MOMENTS)
def test_ctrl_c_at_any_moment(
    moment: str,
    quick_studies: Path,
    quick_bundle: Path,
    tmp_path: Path,
    expected: dict[str, bytes],
) -> None:
    out = tmp_path / "out"
    words = ("infer", quick_studies, "--out", out, "--models", quick_bundle)
    with (
        heard_ctrl_c(),
        subprocess.Popen(
            [*PROGRAM, *map(str, words)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=ENVIRONMENT,
            start_new_session=True,
        ) as process,
    ):
        deadline = time.monotonic() + LIMIT_S
        time.sleep(0.3)  # Python itself is there
        while not MOMENTS[moment](out) and process.poll() is None:
            assert time.monotonic() < deadline
            time.sleep(0.002)
        children = children_of(process.pid)
        # A terminal tells every process of its foreground.
        os.killpg(process.pid, signal.SIGINT)
        said, _ = process.communicate(timeout=LIMIT_S)
    wait_for_ends(children)
    if moment == STARTING:  # Python may still be reading its own modules, and say so itself
        assert process.returncode in (INTERRUPTED, -signal.SIGINT), said
    else:
        assert process.returncode == INTERRUPTED or (moment == LAST and process.returncode == 0)
        assert "Traceback" not in said
        assert ("interrupted" in said) == (process.returncode == INTERRUPTED)
    if out.exists():
        assert check_left(out, expected, RUN_FILES) == set()
        # Between its creation and its acquisition, a lock stays behind; the next run takes it.
        unlocked = {LOCK} if moment == LOCKING else set()
        assert {path.name for path in out.rglob(".rcc-onnx*")} <= unlocked
    code, _ = infer((quick_studies, out), quick_bundle)
    assert (code, contents(out)) == (0, expected)


@pytest.mark.skipif(
    not Path("/dev/full").exists(), reason="NOT TESTED HERE: no device that is full"
)
@pytest.mark.parametrize("output", ["full", "closed"])
def test_output_that_cannot_be_written(
    output: str, quick_studies: Path, quick_bundle: Path, tmp_path: Path, expected: dict[str, bytes]
) -> None:
    words = ("infer", quick_studies, "--out", tmp_path / "out", "--models", quick_bundle)
    with Path("/dev/full").open("wb") as full:
        process = subprocess.Popen(
            [*PROGRAM, *map(str, words), "--workers", "0"],
            stdout=full if output == "full" else subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=ENVIRONMENT,
        )
    if process.stdout is not None:
        process.stdout.close()
    assert process.stderr is not None
    said = process.stderr.read().decode()
    process.stderr.close()
    assert process.wait() == 0, said
    assert "nothing can be shown any more" in said
    assert "Traceback" not in said
    assert contents(tmp_path / "out") == expected
