"""The memory of a process: what it holds, its peak, and what is given back."""

import platform
import subprocess
import sys

import numpy as np
import pytest

from rcc_onnx.system import memory

MB = 1_000_000
SLACK = 4 * MB
"""Linux counts a process's pages in batches for each CPU, so that two reads differ by some."""
READABLE = memory.peak_memory_bytes() is not None
ASK = "from rcc_onnx.system.memory import peak_memory_bytes; print(peak_memory_bytes())"


@pytest.mark.skipif(not READABLE, reason="NOT TESTED HERE: not known on this system")
def test_the_peak_stays_when_memory_goes() -> None:
    code = (
        "import numpy as np; from rcc_onnx.system.memory import memory_bytes, peak_memory_bytes\n"
        "before = peak_memory_bytes()\n"
        "filled = np.ones(100_000_000, np.uint8); held = memory_bytes(); del filled\n"
        "print(before, held, memory_bytes(), peak_memory_bytes())\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    before, held, after, peak = (int(value) for value in done.stdout.split())
    assert peak >= before + 90 * MB
    assert peak >= held - SLACK
    assert after < peak - 90 * MB


@pytest.mark.skipif(sys.platform != "linux", reason="NOT TESTED HERE: getrusage's fault on Linux")
def test_the_peak_is_not_that_of_the_program_that_started_this_one() -> None:
    filled = np.ones(400 * MB, np.uint8)
    done = subprocess.run([sys.executable, "-c", ASK], capture_output=True, text=True, check=True)
    assert 1 * MB < int(done.stdout) < filled.nbytes / 2


def test_systems_without_proc(monkeypatch: pytest.MonkeyPatch) -> None:
    held = memory.memory_bytes()
    monkeypatch.setattr("sys.platform", "darwin")
    assert memory.memory_bytes() == pytest.approx(held, abs=20 * MB)
    assert memory.peak_memory_bytes() is not None
    monkeypatch.setitem(sys.modules, "psutil", None)
    assert memory.memory_bytes() is None


@pytest.mark.skipif(
    platform.libc_ver()[0] != "glibc", reason="NOT TESTED HERE: the C library is not glibc"
)
@pytest.mark.parametrize("first", ["faults()", "in_a_thread()"])
def test_a_large_block_that_was_freed_is_handed_out_again(first: str) -> None:
    """In a process of its own: what is set holds for the whole process."""
    program = f"""
import resource
from threading import Thread
from rcc_onnx.system.memory import keep_freed_memory
assert keep_freed_memory()
def faults():
    b"x" * size
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
def in_a_thread():
    thread = Thread(target=faults)
    thread.start()
    thread.join()
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
size = 20_000_000
first = {first}
print(faults() - first)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    # 20 MB are 4,883 pages. (numpy asks for huge pages, which are few in any case.)
    assert int(done.stdout) < 1000


@pytest.mark.skipif(
    platform.libc_ver()[0] != "glibc", reason="NOT TESTED HERE: the C library is not glibc"
)
def test_freed_memory_goes_back_when_asked() -> None:
    program = """
from rcc_onnx.system.memory import give_back_freed_memory, keep_freed_memory, memory_bytes
assert keep_freed_memory()
blocks = [bytearray(1_000_000) for _ in range(200)]
last = bytearray(1_000_000)
full = memory_bytes()
del blocks
kept = memory_bytes()
assert give_back_freed_memory()
print(full, kept, memory_bytes())
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    full, kept, given_back = (int(text) for text in done.stdout.split())
    assert kept > full - 50 * MB
    assert given_back < full - 150 * MB


def test_memory_is_given_back_when_more_than_usual_is_held(monkeypatch: pytest.MonkeyPatch) -> None:
    # After each study; and where that is too much, once more when free memory was given back.
    held = iter([400, 404, 420, 250, 405, 411, 250, 600, 430, 580, 590, 430])
    monkeypatch.setattr(memory, "memory_bytes", lambda: next(held) * MB)
    monkeypatch.setattr(memory, "give_back_freed_memory", lambda: True)
    trimmer = memory.MemoryTrimmer()
    given_back = [trimmer.after_a_study() for _ in range(8)]
    # Before the sixth study networks of 180 MB came to stay.
    assert given_back == [False, False, True, False, True, True, False, True]
    assert trimmer.usual == 580 * MB


def test_nothing_is_given_back_where_memory_is_not_known(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(memory, "memory_bytes", lambda: None)
    trimmer = memory.MemoryTrimmer()
    assert not any(trimmer.after_a_study() for _ in range(3))
