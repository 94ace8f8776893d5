"""The processor, its CPUs and the memory, as far as this process may use them."""

import os
import platform
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rcc_onnx.cpus import usable_cpus
from rcc_onnx.doctor.lines import Line, Verdict
from rcc_onnx.machine import processor, processor_flags

ROOM = "machine"

FEATURES = {
    "avx2": "AVX2",
    "avx512f": "AVX-512",
    "avx512_vnni": "AVX-512 VNNI",
    "avx_vnni": "AVX-VNNI",
    "asimd": "NEON",
    "asimddp": "NEON dot products",
}
"""What of a processor's abilities makes networks faster, by Linux's name."""

ENOUGH_FREE = 1 << 30
"""Bytes. An analysis with networks of the published size holds 300 to 500 MB, and files besides."""


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


def processor_lines() -> Iterator[Line]:
    """Which processor it is, and what it can do."""
    yield Line(ROOM, "processor", Verdict.OK, processor() or "unknown")
    flags = processor_flags()
    if not flags:
        said = f"unknown on {platform.system() or 'this system'}: nobody says what it can do"
        yield Line(ROOM, "features", Verdict.OK, said)
        return
    there = [words for flag, words in FEATURES.items() if flag in flags]
    absent = [words for flag, words in FEATURES.items() if flag not in flags]
    if "avx2" in flags or "asimd" in flags:
        said = f"has {', '.join(there)}"
        x86 = [words for words in absent if "NEON" not in words]
        if "asimd" not in flags and x86:
            said += f"; not {', '.join(x86)}"
        yield Line(ROOM, "features", Verdict.OK, said)
    else:
        mend = "Networks run, but slowly: a processor from 2014 or later is several times faster."
        yield Line(ROOM, "features", Verdict.WARNING, "no AVX2", mend)


def cpu_lines() -> Iterator[Line]:
    """How many CPUs there are, and how many this process may use."""
    there, allowed = os.cpu_count() or 1, usable_cpus()
    said = f"{allowed} of {there} may be used" if allowed != there else f"{there}, all may be used"
    yield Line(ROOM, "CPUs", Verdict.OK, said)


def memory_lines(root: Path = Path("/")) -> Iterator[Line]:
    """How much memory there is, and free."""
    found = memory(root)
    if found.total is None or found.free is None:
        yield Line(ROOM, "memory", Verdict.OK, "unknown: this system does not say")
        return
    limit = ", all that this process is granted" if found.limited else ""
    said = f"{_gib(found.free)} free of {_gib(found.total)}{limit}"
    if found.free < ENOUGH_FREE:
        mend = "Close other programs, or raise the limit: an analysis takes up to 1 GiB."
        yield Line(ROOM, "memory", Verdict.WARNING, said, mend)
    else:
        yield Line(ROOM, "memory", Verdict.OK, said)


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


def _gib(value: int) -> str:
    return f"{value / (1 << 30):.1f} GiB"


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""
