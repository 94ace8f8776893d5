"""The machine and the software of this process: CPUs, memory, processor, package versions.

Containers and batch systems grant less than the machine has; on Linux, its cgroups say how much.
"""

import math
import os
import platform
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = ("numpy", "Pillow", "pydicom", "pylibjpeg", "pylibjpeg-openjpeg", "python-gdcm")
"""Packages that compute with pixels, or decode them."""

ROOT = Path("/")
"""Folder of /proc and /sys."""


# --- Reading /proc and /sys ----------------------------------------------------------------------


def read_text(path: Path) -> str:
    """Return the text of a file of the system; "" if it cannot be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def read_field(path: Path, field: str) -> str:
    """Return the value in the first line `field: value` or `field value`; "" without it."""
    for line in read_text(path).splitlines():
        if line.startswith(field) and line[len(field) :][:1] in set(": \t"):
            return line[len(field) :].lstrip(": \t").rstrip()
    return ""


def read_kilobytes(path: Path, field: str) -> int | None:
    """Return a field such as `VmRSS: 12 kB` in bytes; None without it."""
    value = read_field(path, field).split()
    return int(value[0]) * 1024 if value and value[0].isdigit() else None


def _cgroups(root: Path, controller: str) -> Iterator[tuple[Path, bool]]:
    """Yield the folders of the cgroups that limit this process, and whether they are of version 2.

    A limit of any group further up holds too. In a container the path may be the host's, and then
    only the mount itself is there.
    """
    for line in read_text(root / "proc/self/cgroup").splitlines():
        # hierarchy:controllers:path, without controllers for version 2.
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        mount = root / "sys/fs/cgroup"
        if controllers:
            if controller not in controllers.split(","):
                continue
            mount /= controller
        group = Path(path.lstrip("/"))
        for folder in (group, *group.parents):
            yield mount / folder, not controllers


# --- Memory --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Memory:
    """Bytes.

    Attributes:
        total: what the machine has, or the container or batch system grants; None: not known.
        free: what of that can be used without pushing anything else out; None: not known.
        limited: whether `total` is less than the machine has.
    """

    total: int | None
    free: int | None
    limited: bool = False


def memory(root: Path = ROOT) -> Memory:
    """Return the memory available to this process."""
    if sys.platform != "linux":
        import psutil  # noqa: PLC0415  where there is no /proc

        found = psutil.virtual_memory()
        return Memory(found.total, found.available)
    total, free = (
        read_kilobytes(root / "proc/meminfo", field) for field in ("MemTotal", "MemAvailable")
    )
    limited = False
    for limit, used in _memory_limits(root):
        if total is None or limit < total:
            total, limited = limit, True
        left = max(limit - used, 0)
        free = left if free is None else min(free, left)
    return Memory(total, free, limited)


def _memory_limits(root: Path) -> Iterator[tuple[int, int]]:
    """Yield (limit, used) in bytes of every cgroup that limits the memory of this process."""
    names = {
        True: ("memory.max", "memory.current"),
        False: ("memory.limit_in_bytes", "memory.usage_in_bytes"),
    }
    for folder, is_version_2 in _cgroups(root, "memory"):
        limit, used = (read_text(folder / name).strip() for name in names[is_version_2])
        if limit.isdigit() and used.isdigit():
            # Pages of files that were read count as used, and are given back when asked for.
            cached = read_field(folder / "memory.stat", "inactive_file")
            yield int(limit), max(int(used) - int(cached if cached.isdigit() else 0), 0)


# --- CPUs ----------------------------------------------------------------------------------------


def usable_cpus(root: Path = ROOT) -> int:
    """Return the number of CPUs that affinity and cgroup quotas leave to this process, at least 1.

    onnxruntime by itself starts one thread per CPU of the machine, which is slow or fails where a
    container or a batch system grants a few of many.
    """
    quotas = [_quota(folder, is_version_2) for folder, is_version_2 in _cgroups(root, "cpu")]
    return max(1, math.ceil(min(_scheduled_cpus(), *quotas, math.inf)))


def _scheduled_cpus() -> int:
    # Python 3.13 has process_cpu_count everywhere; sched_getaffinity is Linux's.
    count = getattr(os, "process_cpu_count", None)
    if count is not None:
        return int(count() or 1)
    affinity = getattr(os, "sched_getaffinity", None)
    if affinity is not None:
        return len(affinity(0))
    return os.cpu_count() or 1


def _quota(group: Path, is_version_2: bool) -> float:
    """Return CPU time per time; infinite for "max", -1, or what cannot be read."""
    if is_version_2:
        quota, _, period = read_text(group / "cpu.max").partition(" ")
    else:
        quota, period = (read_text(group / f"cpu.cfs_{name}_us") for name in ("quota", "period"))
    try:
        granted, of = int(quota), int(period)
    except ValueError:
        return math.inf
    return granted / of if granted > 0 and of > 0 else math.inf


@cache
def processor() -> str:
    """Return the processor's model, as the system names it."""
    cpuinfo = read_field(ROOT / "proc/cpuinfo", "model name")
    return cpuinfo or platform.processor() or platform.machine()


def processor_flags() -> tuple[str, ...]:
    """Return the processor's features, sorted, as Linux names them; empty on other systems."""
    cpuinfo = ROOT / "proc/cpuinfo"
    return tuple(sorted((read_field(cpuinfo, "flags") or read_field(cpuinfo, "Features")).split()))


# --- Software ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Environment:
    """The software and the machine, without a name of the machine or of its user.

    Attributes:
        packages: versions of those that compute with pixels or decode them; None: not installed.
    """

    python: str
    system: str
    architecture: str
    processor: str
    usable_cpus: int
    packages: Mapping[str, str | None]


def environment() -> Environment:
    """Return where this process runs, as results state it."""
    return Environment(
        python=platform.python_version(),
        system=platform.system(),
        architecture=platform.machine(),
        processor=processor(),
        usable_cpus=usable_cpus(),
        packages=packages(),
    )


@cache  # every case's document names them
def packages() -> Mapping[str, str | None]:
    """Return the versions of `PACKAGES`; None for one that is not installed."""
    found: dict[str, str | None] = dict.fromkeys(PACKAGES)
    for name in PACKAGES:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found
