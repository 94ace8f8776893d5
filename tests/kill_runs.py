"""Kills runs at random moments and looks at what is left: `python -m tests.kill_runs --kills 100`.

Every run is `rcc-onnx infer` over the same phantoms, into the same folder. Killed are, by SIGKILL,
the program, one of the processes that analyse its cases, or all of them at once as in a power cut.
After each kill, what has its name must be whole; when all cases are done, every file must be what
an undisturbed run leaves, byte for byte apart from times, and no case done twice.
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from rcc_onnx.output.run import RUN_FILES
from tests.failure_modes.outputs import LOCK, check_left, check_same, contents
from tests.failure_modes.small_studies import small_bundle, small_studies

CASES = 4
IN_STARTING = 0.1
"""Kills before anything was written are rarer than the time that starting takes."""
ORPHANS_S = 10.0
"""For processes to see that their parent is gone, on a busy machine."""


def main() -> None:
    """Run as a program: the answer is the exit code and a line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--models", help="default: networks of one convolution")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        models = options.models or str(small_bundle(Path(folder) / "bundle"))
        counted = kill_runs(Path(folder), models, options.kills, options.seed)
    print(f"{dict(counted)}; all results are whole")


@dataclass
class Killer:
    """Runs one after another into one folder, and what was seen of them.

    Attributes:
        expected: what an undisturbed run leaves.
        length: seconds of such a run, before its lock is there and after.
        done: the JSON files that are whole, as the file system knows them.
        counted: what was killed, and how many runs came to their end.
    """

    studies: Path
    out: Path
    models: str
    rng: random.Random
    expected: dict[str, bytes]
    length: tuple[float, float]
    done: dict[Path, tuple[int, int]] = field(default_factory=dict)
    counted: "Counter[str]" = field(default_factory=Counter)

    def one_run(self) -> None:
        """Start a run, kill something of it at some moment, and look at what is left."""
        rng = self.rng
        workers = rng.choice(["1", "1", "2", "0"])
        process = infer(self.studies, self.out, self.models, "--workers", workers)
        if rng.random() < IN_STARTING:
            moment = rng.uniform(0, self.length[0])
        else:
            wait_for_lock(self.out, process)
            moment = rng.uniform(0, self.length[1])
        try:
            process.wait(moment)
        except subprocess.TimeoutExpired:
            self._kill(process, rng.choice(["program", "worker", "all"]))
        else:
            self._ended(process.returncode)

    def start_over(self) -> None:
        for path in sorted(self.out.rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
        self.done.clear()

    def _kill(self, process: "subprocess.Popen[bytes]", what: str) -> None:
        children = children_of(process.pid)
        if what == "worker" and children:
            os.kill(self.rng.choice(children), signal.SIGKILL)
            # It costs the case in hand, if there was one; the others are done.
            process.wait()
            assert process.returncode in (0, 1, 2), process.returncode
        elif what == "all":
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        else:
            what = "program"
            process.kill()
            process.wait()
        wait_for_ends(children)
        self.counted[what] += 1
        self._look()

    def _ended(self, code: int) -> None:
        assert code == 0, code
        self.counted["came to the end"] += 1
        check_same(self.out, self.expected)
        self._look()
        self.start_over()

    def _look(self) -> None:
        """What is left is whole, and what was done before was not done again."""
        failed = check_left(self.out, self.expected, RUN_FILES)
        whole = {
            path: (path.stat().st_ino, path.stat().st_mtime_ns)
            for path in self.out.glob("[!.]*.json")  # half written ones have hidden names
            if path.name not in RUN_FILES and path.stem not in failed
        }
        for path, known in self.done.items():
            assert whole.get(path) == known, f"{path.name} was done again"
        self.done = whole


def kill_runs(
    folder: Path, models: str, kills: int, seed: int, cases: int = CASES
) -> "Counter[str]":
    """Kill so many runs; what was killed how often, and how many others came to their end.

    Raises:
        AssertionError: something is not whole, or not what an undisturbed run leaves.
    """
    studies = small_studies(folder / "studies", cases)
    whole = folder / "undisturbed"
    started = time.monotonic()
    process = infer(studies, whole, models)
    wait_for_lock(whole, process)
    locked = time.monotonic()
    assert process.wait() == 0
    length = locked - started, time.monotonic() - locked
    killer = Killer(studies, folder / "out", models, random.Random(seed), contents(whole), length)
    while killer.counted.total() - killer.counted["came to the end"] < kills:
        killer.one_run()
    assert infer(studies, killer.out, models).wait() == 0
    check_same(killer.out, killer.expected)
    return killer.counted


def infer(studies: Path, out: Path, models: str, *more: str) -> "subprocess.Popen[bytes]":
    """A run in a process group of its own."""
    command = [sys.executable, "-m", "rcc_onnx", "infer", str(studies), "--out", str(out)]
    return subprocess.Popen(
        [*command, "--models", models, "--input-is", "studies", "--threads", "1", *more],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        start_new_session=True,
    )


def wait_for_lock(out: Path, process: "subprocess.Popen[bytes]") -> None:
    """Until the run may write, or is over."""
    while process.poll() is None and not (out / LOCK).exists():
        time.sleep(0.002)


def children_of(pid: int) -> list[int]:
    """The processes that analyse cases for this one. Linux; elsewhere none are known."""
    found = []
    for thread in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            children = thread.read_text().split()
            found += [
                int(child)
                for child in children
                if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes()
            ]
        except OSError:  # it has ended meanwhile
            continue
    return found


def wait_for_ends(pids: list[int]) -> None:
    """Processes whose parent is gone must end by themselves, before they write any more."""
    deadline = time.monotonic() + ORPHANS_S
    while left := [pid for pid in pids if is_running(pid)]:
        assert time.monotonic() < deadline, f"processes {left} outlive their parent"
        time.sleep(0.005)


def is_running(pid: int) -> bool:
    """Whether there is such a process, which is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


if __name__ == "__main__":
    main()
