"""How many CPUs this process may use, which can be fewer than the machine has."""

import math
import os
from pathlib import Path


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
    for line in _text(root / "proc/self/cgroup").splitlines():
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
    quota, _, period = _text(group / "cpu.max").partition(" ")
    return _ratio(quota, period)


def _quota_v1(group: Path) -> float:
    return _ratio(_text(group / "cpu.cfs_quota_us"), _text(group / "cpu.cfs_period_us"))


def _ratio(quota: str, period: str) -> float:
    """Quota over period; infinite for "max", -1, or what cannot be read."""
    try:
        granted, of = int(quota), int(period)
    except ValueError:
        return math.inf
    return granted / of if granted > 0 and of > 0 else math.inf


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""
