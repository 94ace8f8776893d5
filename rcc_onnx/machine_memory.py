"""How much memory there is for this process, in a container or a batch system too."""

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


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
