"""Python, the packages, and the one onnxruntime that there should be."""

import importlib.util
import os
import platform
import struct
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from rcc_onnx._version import __version__
from rcc_onnx.diagnostics.doctor.lines import Line, Verdict
from rcc_onnx.errors import RuntimeNotUsableError
from rcc_onnx.runtime.providers import installed_runtimes
from rcc_onnx.runtime.session import TELEMETRY_SWITCH, runtime_version

ROOM = "software"
OLDEST_PYTHON = (3, 11)

NEEDED = {
    "numpy": "numpy",
    "Pillow": "PIL",
    "pydicom": "pydicom",
    "pylibjpeg": "pylibjpeg",
    "pylibjpeg-openjpeg": "openjpeg",
    "python-gdcm": "gdcm",
    "Jinja2": "jinja2",
    "typer": "typer",
    "rich": "rich",
}
"""Packages that every installation has, and what each is imported as."""

EXTRAS = {
    "nifti": {"nibabel": "nibabel"},
    "dicom": {"highdicom": "highdicom"},
    "evaluate": {"matplotlib": "matplotlib", "scipy": "scipy"},
}
"""Extras of rcc-onnx, for those who want them."""

WHAT_FOR = {
    "nifti": "masks as NIfTI (--save nifti)",
    "dicom": "masks and measurements as DICOM (--save seg, sr)",
    "evaluate": "plots and masks of rcc-onnx evaluate",
}


def python_lines() -> Iterator[Line]:
    """Which Python this is."""
    bits = struct.calcsize("P") * 8
    said = f"{platform.python_version()}, {bits} bits, {platform.system()}"
    if bits < 64:
        yield Line(
            ROOM,
            "Python",
            Verdict.PROBLEM,
            said,
            "Install a 64-bit Python: others have no packages.",
        )
    elif sys.version_info[:2] < OLDEST_PYTHON:
        yield Line(ROOM, "Python", Verdict.PROBLEM, said, "Install Python 3.11 or newer.")
    else:
        yield Line(ROOM, "Python", Verdict.OK, said)


def package_lines() -> Iterator[Line]:
    """rcc-onnx and what it needs."""
    yield Line(ROOM, "rcc-onnx", Verdict.OK, __version__)
    found = {name: _version(name, module) for name, module in NEEDED.items()}
    there = ", ".join(f"{name} {number}" for name, number in found.items() if number is not None)
    yield Line(ROOM, "packages", Verdict.OK, there)
    for name, number in found.items():
        if number is None:
            yield Line(
                ROOM,
                name,
                Verdict.PROBLEM,
                "not installed, and rcc-onnx needs it",
                f"pip install {name}",
            )


def runtime_lines() -> Iterator[Line]:
    """onnxruntime: there must be one that can be imported, and only one."""
    packages = installed_runtimes()
    try:
        said = (
            f"{runtime_version()}, from {packages[0] if packages else 'a package without a name'}"
        )
    except RuntimeNotUsableError as error:
        yield Line(ROOM, "onnxruntime", Verdict.PROBLEM, error.problem, error.advice)
        return
    if len(packages) > 1:
        yield Line(
            ROOM,
            "onnxruntime",
            Verdict.PROBLEM,
            f"{' and '.join(packages)} are installed over one another",
            f"pip uninstall -y {' '.join(packages)}, then pip install the one that is wanted "
            "(docs/providers.md).",
        )
    else:
        yield Line(ROOM, "onnxruntime", Verdict.OK, said)


def extra_lines() -> Iterator[Line]:
    """Extras, which nobody must have."""
    for extra, packages in EXTRAS.items():
        found = {name: _version(name, module) for name, module in packages.items()}
        missing = [name for name, number in found.items() if number is None]
        if missing:
            said = f"{', '.join(missing)} missing, for {WHAT_FOR[extra]}"
            mend = f"pip install 'rcc-onnx[{extra}]' if you want that."
            yield Line("extras", extra, Verdict.ABSENT, said, mend)
        else:
            there = ", ".join(f"{name} {number}" for name, number in found.items())
            yield Line("extras", extra, Verdict.OK, f"{there}: {WHAT_FOR[extra]}")


# --- Telemetry -----------------------------------------------------------------------------------


def device_ids(home: Path | None = None) -> tuple[Path, ...]:
    """Where onnxruntime's telemetry has left an identifier of this machine."""
    try:
        home = home or Path.home()
    except RuntimeError:
        return ()
    cache = os.environ.get("XDG_CACHE_HOME", "")
    bases = [home / ".cache", home / "Library" / "Application Support"]
    if cache and Path(cache).is_absolute():
        bases.append(Path(cache))
    below = Path("Microsoft", "DeveloperTools", ".onnxruntime", "deviceid")
    places = [base / below for base in dict.fromkeys(bases)]
    return tuple(path for path in places if _is_there(path))


def telemetry_lines(before: tuple[Path, ...]) -> Iterator[Line]:
    """Whether onnxruntime's telemetry is off, and whether it left something.

    Args:
        before: what `device_ids` found before anything was run.
    """
    fresh = [path for path in device_ids() if path not in before]
    if fresh:
        yield Line(
            "telemetry",
            "onnxruntime",
            Verdict.PROBLEM,
            f"an identifier of this machine has just appeared in {fresh[0]}",
            "Delete it and please report this: rcc-onnx turns telemetry off.",
        )
    elif os.environ.get(TELEMETRY_SWITCH) != "1":
        yield Line(
            "telemetry",
            "onnxruntime",
            Verdict.PROBLEM,
            f"{TELEMETRY_SWITCH} is not 1 in this process",
            f"Set {TELEMETRY_SWITCH}=1 in the environment, and please report this.",
        )
    elif before:
        yield Line(
            "telemetry",
            "onnxruntime",
            Verdict.WARNING,
            f"off; but another program left an identifier of this machine in {before[0]}",
            f"Delete it, and set {TELEMETRY_SWITCH}=1 where onnxruntime is used without rcc-onnx.",
        )
    else:
        yield Line("telemetry", "onnxruntime", Verdict.OK, "off; it has left nothing here")


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:
        return False


def _version(name: str, module: str) -> str | None:
    """A package's version; "of unknown version" where only its module is there; None: not there."""
    try:
        return version(name)
    except PackageNotFoundError:
        pass
    try:
        found = importlib.util.find_spec(module)
    except (ImportError, ValueError):
        found = None
    return None if found is None else "of unknown version"
