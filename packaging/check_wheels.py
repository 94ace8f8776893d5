"""Resolve the dependencies of a wheel for other systems: `python packaging/check_wheels.py WHEEL`.

For the oldest and the newest Python, on Linux, Windows and macOS, pip must find wheels for all that
the base install and the extras below need; nothing may have to be compiled. Nothing is downloaded
but metadata. The Python that runs it needs pip and the package `packaging`, which `build` brings.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from wheelhouse import TARGETS, Wheel, flags_for, markers_for, missing

CLAIMS = {"3.11": "convert,evaluate", "3.14": "nifti"}
"""Extras by Python. TensorFlow (convert) and pyjpegls, which highdicom needs (dicom, evaluate),
have no wheels for 3.14."""


def resolve(wheel: Path, target: str, python: str) -> str:
    """Return what pip resolved, or why it did not, in one line."""
    extras = CLAIMS[python]
    title = f"Python {python}, {target}, [{extras}]"
    lacking = [f"{wheel}[{extras}]"]
    wanted: list[str] = []
    while lacking:
        wanted += lacking
        found = _dry_run(wanted, target, python)
        if isinstance(found, str):
            return f"{title}: FAILED\n{found}"
        lacking = missing(found, {"rcc-onnx": set(extras.split(","))}, markers_for(target, python))
    return f"{title}: {len(found)} wheels"


def _dry_run(wanted: list[str], target: str, python: str) -> list[Wheel] | str:
    with tempfile.TemporaryDirectory() as scratch:
        report = Path(scratch, "report.json")
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--dry-run"]
        command += ["--ignore-installed", "--only-binary=:all:", *flags_for(target, python)]
        command += ["--target", scratch, "--report", str(report), *wanted]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            return done.stderr
        installed = json.loads(report.read_text(encoding="utf-8"))["install"]
    return [_wheel(entry["metadata"]) for entry in installed]


def _wheel(metadata: Mapping[str, object]) -> Wheel:
    requires = metadata.get("requires_dist") or []
    assert isinstance(requires, list)
    return Wheel(
        file=Path(),
        name=canonicalize_name(str(metadata["name"])),
        version=str(metadata["version"]),
        requires=tuple(map(Requirement, requires)),
    )


def main() -> None:
    wheel = Path(sys.argv[1]).resolve()
    combinations = [(wheel, target, python) for python in CLAIMS for target in TARGETS]
    with ThreadPoolExecutor(2) as pool:
        lines = list(pool.map(lambda combination: resolve(*combination), combinations))
    print("\n".join(lines))
    sys.exit(any("FAILED" in line for line in lines))


if __name__ == "__main__":
    main()
