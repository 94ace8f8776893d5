"""Kills runs at random moments and looks at what is left: `python -m tests.kill_runs --kills 100`.

Every run is `rcc-onnx infer` over the same phantoms, into the same folder, and ends as in a power
cut. When all cases are done, the folder must hold what an undisturbed run leaves, apart from times.
"""

import argparse
import csv
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from rcc_onnx.phantom import make_study
from rcc_onnx.sums import read_sums

CASES = 5
TIMES = ("timings_s", "started", "ended", "seconds", "written")
"""What may differ between two runs, by name."""


def main() -> None:
    """Run as a program: the answer is the exit code and one line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--models", default="phantom")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        runs = kill_runs(Path(folder), options.models, options.kills, options.seed)
    print(f"{options.kills} kills, {runs} runs came to their end, all results are whole")


def kill_runs(folder: Path, models: str, kills: int, seed: int) -> int:
    """Kill so many runs; how many others came to their end.

    Raises:
        AssertionError: something is not whole, or not what an undisturbed run leaves.
    """
    rng = random.Random(seed)
    studies = folder / "studies"
    for number in range(CASES):
        make_study(number, studies / f"case{number}", quick=True)
    started = time.monotonic()
    whole = folder / "undisturbed"
    assert infer(studies, whole, models).wait() == 0
    longest = time.monotonic() - started
    expected = contents(whole)
    out, killed, ended = folder / "out", 0, 0
    while killed < kills:
        process = infer(studies, out, models, *rng.choice([(), ("--workers", "2")]))
        try:
            assert process.wait(timeout=rng.uniform(0.2, 1.0) * longest) == 0
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            killed += 1
            check_whole(out)
            continue
        ended += 1
        assert contents(out) == expected
        start_over(out)
    assert infer(studies, out, models).wait() == 0
    assert contents(out) == expected
    return ended + 1


def infer(studies: Path, out: Path, models: str, *more: str) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "rcc_onnx", "infer", str(studies), "--out", str(out)]
    return subprocess.Popen(
        [*command, "--models", models, "--input-is", "studies", "--threads", "1", *more],
        stdout=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )


def check_whole(out: Path) -> None:
    """What a killed run left: every file that has its name is whole, a JSON has its pictures."""
    for path in out.glob("*.json"):
        document = json.loads(path.read_text())
        for side in document.get("sides", {}).values():
            picture = (side["lesion"] or {}).get("picture")
            assert picture is None or (out / picture).is_file(), f"{path}: no {picture}"
    for path in out.glob("[!.]*.png"):  # half written ones have a temporary name
        assert path.read_bytes().endswith(b"IEND\xaeB`\x82"), path


def contents(out: Path) -> dict[str, Any]:
    """Every file of a folder of results, without times."""
    found: dict[str, Any] = {}
    for path in sorted(out.rglob("*")):
        if not path.is_file():
            continue
        name = path.relative_to(out).as_posix()
        if path.suffix == ".json":
            found[name] = without_times(json.loads(path.read_text()))
        elif path.suffix == ".csv":
            with path.open(newline="", encoding="utf-8") as file:
                rows = list(csv.DictReader(file))
            found[name] = without_times(rows)
        elif path.name == "SHA256SUMS":
            # The hashes are of files that tell times.
            found[name] = sorted(read_sums(path.read_bytes()))
        elif path.suffix != ".html":  # it shows times in many places
            found[name] = path.read_bytes()
    return found


def without_times(value: Any) -> Any:
    if isinstance(value, list):
        return [without_times(one) for one in value]
    if isinstance(value, dict):
        return {name: without_times(one) for name, one in value.items() if name not in TIMES}
    return value


def start_over(out: Path) -> None:
    for path in sorted(out.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()


if __name__ == "__main__":
    main()
