"""How much memory there is for this process, in a container or a batch system too."""

import math
import os
import platform
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from rcc_onnx._version import __version__


@dataclass(frozen=True)
class Memory:
    """Bytes; None where nobody says.

    Attributes:
        total: what the machine has, or this process's container or batch system grants.
        free: what of that can be taken without pushing anything else out.
        limited: whether `total` is less than the machine has.
    """

    total: int | None
    free: int | None
    limited: bool = False


def memory(root: Path = Path("/")) -> Memory:
    """What there is for this process. `root`: where /proc and /sys are looked for."""
    if sys.platform == "win32":
        return _of_windows()
    if not sys.platform.startswith("linux"):
        return Memory(_physical(), None)
    total, free = (_meminfo(root, field) for field in ("MemTotal", "MemAvailable"))
    limited = False
    for limit, used in _cgroup_limits(root):
        if total is None or limit < total:
            total, limited = limit, True
        left = max(limit - used, 0)
        free = left if free is None else min(free, left)
    return Memory(total, free, limited)


def _meminfo(root: Path, field: str) -> int | None:
    for line in _text(root / "proc/meminfo").splitlines():
        name, _, value = line.partition(":")
        if name == field:
            return int(value.split()[0]) * 1024
    return None


def _cgroup_limits(root: Path) -> Iterator[tuple[int, int]]:
    """(limit, used) of every group that limits this process, bytes."""
    for line in _text(root / "proc/self/cgroup").splitlines():
        # hierarchy:controllers:path, with no controllers for version 2.
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if controllers == "":
            mount, files = root / "sys/fs/cgroup", ("memory.max", "memory.current")
        elif "memory" in controllers.split(","):
            mount = root / "sys/fs/cgroup/memory"
            files = ("memory.limit_in_bytes", "memory.usage_in_bytes")
        else:
            continue
        group = Path(path.lstrip("/"))
        # A limit on any group further up holds too; in a container only the mount may be there.
        for parent in dict.fromkeys((group, *group.parents)):
            limit, used = (_number(mount / parent / file) for file in files)
            if limit is not None and used is not None:
                # Pages of files that were read count as used, and are given back when asked for.
                kept = _statistic(mount / parent / "memory.stat", "inactive_file")
                yield limit, max(used - kept, 0)


def _statistic(path: Path, field: str) -> int:
    for line in _text(path).splitlines():
        name, _, value = line.partition(" ")
        if name == field and value.strip().isdigit():
            return int(value)
    return 0


def _number(path: Path) -> int | None:
    """None for `max`, and where nothing can be read."""
    text = _text(path).strip()
    return int(text) if text.isdigit() else None


def _physical() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return None


def _of_windows() -> Memory:
    import ctypes  # noqa: PLC0415  only here

    class Status(ctypes.Structure):
        _fields_ = [
            ("length", ctypes.c_ulong),
            ("load", ctypes.c_ulong),
            ("total", ctypes.c_ulonglong),
            ("free", ctypes.c_ulonglong),
            *((name, ctypes.c_ulonglong) for name in ("a", "b", "c", "d", "e")),
        ]

    status = Status(length=ctypes.sizeof(Status))
    kernel = ctypes.WinDLL("kernel32")  # type: ignore[attr-defined]
    if not kernel.GlobalMemoryStatusEx(ctypes.byref(status)):
        return Memory(None, None)
    return Memory(int(status.total), int(status.free))


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""


# How many CPUs this process may use, which can be fewer than the machine has.


def usable_cpus(root: Path = Path("/")) -> int:
    """CPUs left after the process's affinity and its cgroup's quota; at least 1.

    onnxruntime by itself starts one thread per CPU of the machine, which crawls or fails in a
    container or under a batch system that grants a few of many.

    Args:
        root: where /proc and /sys are looked for.
    """
    return max(1, math.ceil(min(_scheduled_cpus(), _cgroup_cpus(root))))


def _scheduled_cpus() -> int:
    # Python 3.13 has process_cpu_count everywhere; sched_getaffinity is Linux's.
    count = getattr(os, "process_cpu_count", None)
    if count is not None:
        return int(count() or 1)
    affinity = getattr(os, "sched_getaffinity", None)
    if affinity is not None:
        return len(affinity(0))
    return os.cpu_count() or 1


def _cgroup_cpus(root: Path) -> float:
    """CPU time per time that the process's cgroups grant it; infinite without a limit."""
    limit = math.inf
    for line in _text_cpus(root / "proc/self/cgroup").splitlines():
        # hierarchy:controllers:path, with no controllers for version 2.
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if controllers == "":
            mount, read = root / "sys/fs/cgroup", _quota_v2
        elif "cpu" in controllers.split(","):
            mount, read = root / "sys/fs/cgroup/cpu", _quota_v1
        else:
            continue
        # A limit on any group further up holds too. In a container the path may be the host's,
        # and then only the mount itself is there.
        group = Path(path.lstrip("/"))
        for parent in (group, *group.parents):
            limit = min(limit, read(mount / parent))
    return limit


def _quota_v2(group: Path) -> float:
    quota, _, period = _text_cpus(group / "cpu.max").partition(" ")
    return _ratio(quota, period)


def _quota_v1(group: Path) -> float:
    return _ratio(_text_cpus(group / "cpu.cfs_quota_us"), _text_cpus(group / "cpu.cfs_period_us"))


def _ratio(quota: str, period: str) -> float:
    """Quota over period; infinite for "max", -1, or what cannot be read."""
    try:
        granted, of = int(quota), int(period)
    except ValueError:
        return math.inf
    return granted / of if granted > 0 and of > 0 else math.inf


def _text_cpus(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""


# What a run's figures and answers depend on beside its options: the software and the machine.

PACKAGES = (
    "numpy",
    "Pillow",
    "pydicom",
    "pylibjpeg",
    "pylibjpeg-openjpeg",
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
