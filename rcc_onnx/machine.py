"""What a run's figures and answers depend on beside its options: the software and the machine."""

import platform
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from rcc_onnx._version import __version__
from rcc_onnx.cpus import usable_cpus

PACKAGES = (
    "numpy",
    "Pillow",
    "pydicom",
    "pylibjpeg",
    "pylibjpeg-openjpeg",
    "pylibjpeg-rle",
    "pyjpegls",
    "python-gdcm",
)
"""That compute with pixels, or decode them."""


def machine() -> dict[str, Any]:
    """What the figures depend on, without a name of the machine or of its user."""
    return {
        "rcc_onnx": __version__,
        "python": platform.python_version(),
        "system": platform.system(),
        "architecture": platform.machine(),
        "processor": processor(),
        "usable_cpus": usable_cpus(),
    }


def environment() -> dict[str, Any]:
    """Both, as results name them."""
    return {**machine(), "packages": packages()}


def packages() -> dict[str, str | None]:
    """Versions of the packages that an answer may hang on; None where one is not installed."""
    return dict(_versions())


@cache
def processor() -> str:
    """The processor's model, as the system names it."""
    return _cpuinfo("model name") or platform.processor() or platform.machine()


def processor_flags() -> tuple[str, ...]:
    """What the processor can do, sorted, as Linux names it; empty where nobody says."""
    return tuple(sorted((_cpuinfo("flags") or _cpuinfo("Features")).split()))


def _cpuinfo(field: str) -> str:
    """A field of the first processor in /proc/cpuinfo; "" where there is none."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            name, _, value = line.partition(":")
            if name.strip() == field:
                return value.strip()
    except (OSError, ValueError):
        pass
    return ""


@cache
def _versions() -> tuple[tuple[str, str | None], ...]:
    """Looked up once: every case's document names them."""
    return tuple((name, _version(name)) for name in PACKAGES)


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
