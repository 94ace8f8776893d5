"""The lock: one holder, released however the holder ends."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from rcc_onnx.system.files import try_lock

HOLD = """
import sys, time
from pathlib import Path
from rcc_onnx.system.files import try_lock
with try_lock(Path(sys.argv[1])) as free:
    print(free, flush=True)
    time.sleep(60)
"""


def test_one_holder_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with try_lock(path) as first:
        with try_lock(path) as second:
            assert (first, second) == (True, False)
        with try_lock(path) as third:
            assert not third, "a refused attempt must not release what another holds"
    with try_lock(path) as again:
        assert again
    assert path.exists()


def test_the_lock_is_released_when_the_holder_is_killed(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    command = [sys.executable, "-c", HOLD, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "True\n"
        with try_lock(path) as free:
            assert not free
        holder.send_signal(signal.SIGTERM if sys.platform == "win32" else signal.SIGKILL)
        holder.wait()
    with try_lock(path) as free:
        assert free


def test_a_lock_in_a_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"), try_lock(tmp_path / "none" / "lock"):
        pass
