"""Files that are whole or not there, and a lock that is released however its holder ends."""

import hashlib
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from rcc_onnx.system.files import size_and_sha256, stale_files, try_lock, write_whole

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


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "a.nii.gz"
    path.write_bytes(b"old")

    def fail(to: Path) -> None:
        assert to.name.endswith(".part.nii.gz"), "writers choose a format by the suffix"
        to.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        write_whole(path, fail)
    assert [(file.name, file.read_bytes()) for file in tmp_path.iterdir()] == [(path.name, b"old")]
    write_whole(path, lambda to: to.write_bytes(b"new"))
    assert path.read_bytes() == b"new"
    assert size_and_sha256(path) == (3, hashlib.sha256(b"new").hexdigest())


def test_stale_files_are_those_of_a_process_or_of_any(tmp_path: Path) -> None:
    hidden, other = tmp_path / ".hidden", tmp_path / "other"
    for folder in (hidden, other):
        folder.mkdir()
    for name in (".rcc-onnx-12.part.json", ".hidden/.rcc-onnx-13.part", "other/.rcc-onnx-12.part"):
        (tmp_path / name).touch()
    (tmp_path / "a.json").touch()
    assert [path.name for path in stale_files(tmp_path, 12)] == [".rcc-onnx-12.part.json"]
    assert {path.name for path in stale_files(tmp_path)} == {
        ".rcc-onnx-12.part.json",
        ".rcc-onnx-13.part",
    }
