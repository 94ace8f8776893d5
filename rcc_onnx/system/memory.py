"""How much memory this process holds, the most it ever held, and how it keeps what is freed."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

_KIB = 1024
_STATUS = Path("/proc/self/status")
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8
"""Parameters of mallopt(3)."""
_GROWTH_BYTES = 6_000_000
"""Held memory moves by a few MB by itself."""
_KEPT_BYTES, _KEPT_BYTES_OF_OLD = 1 << 30, 32 << 20
"""Older versions of glibc refuse a threshold for mapped blocks above 32 MiB."""


def memory_bytes() -> int | None:
    """Physical memory that the process holds now; None where it cannot be asked."""
    if sys.platform == "win32":
        return _windows("WorkingSetSize")
    return _from_proc("VmRSS")


def peak_memory_bytes() -> int | None:
    """The most physical memory the process has held so far; None where it cannot be asked.

    On Linux from /proc: getrusage there may report the peak of the program that started this one.
    """
    if sys.platform == "win32":
        return _windows("PeakWorkingSetSize")
    peak, now = _from_proc("VmHWM"), _from_proc("VmRSS")
    if peak is None or now is None:
        return _from_getrusage()
    # Linux counts in batches, and not both at the same moment.
    return max(peak, now)


def keep_freed_memory() -> bool:
    """Let the C library hand out large blocks again instead of giving them back to the system.

    glibc maps a large block afresh for every use, and the system clears it page by page: a tenth of
    the time of a 3D network, whose arrays are 20 MB each. And it keeps a heap for each thread, so
    that what one frees is of no use to the others; from now on all share one. For the whole
    process; False where the C library is another, which is left as it is.
    """
    if not sys.platform.startswith("linux"):
        return False
    import ctypes  # noqa: PLC0415  not for a mere --version

    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    kept = any(mallopt(_M_MMAP_THRESHOLD, size) for size in (_KEPT_BYTES, _KEPT_BYTES_OF_OLD))
    one_heap = bool(mallopt(_M_ARENA_MAX, 1))
    return bool(mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES)) and kept and one_heap


def give_back_freed_memory() -> bool:
    """Hand free memory back to the system; False where the C library is not glibc.

    The next study pays for it, some hundredths of a second for a few hundred MB.
    """
    if not sys.platform.startswith("linux"):
        return False
    import ctypes  # noqa: PLC0415  not for a mere --version

    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    return trim is not None and bool(trim(0))


@dataclass
class MemoryTrimmer:
    """Keeps what a process holds between two studies from growing.

    Blocks that are kept for the next study come to lie between others, and now and then one fits no
    more: with large networks 434 MB after the first study were 493 after the eighth.

    Attributes:
        usual: bytes held after the first study, and more as networks come to stay; None: not known.
        rest: bytes held when free memory was last given back; None: it never was.
    """

    usual: int | None = None
    rest: int | None = None

    def after_a_study(self) -> bool:
        """Give free memory back if there is more than usual; whether that was done."""
        held = memory_bytes()
        if held is None or self.usual is None:
            self.usual = held
            return False
        if held <= self.usual + _GROWTH_BYTES:
            return False
        if not give_back_freed_memory():
            return False
        rest = memory_bytes() or 0
        if self.rest is not None:
            self.usual += max(0, rest - self.rest)
        self.rest = rest
        return True


def _from_proc(field: str, status: Path = _STATUS) -> int | None:
    try:
        lines = status.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return None
    for line in lines:
        name, _, value = line.partition(":")
        if name == field:
            return int(value.split()[0]) * _KIB
    return None


def _from_getrusage() -> int | None:
    try:
        import resource  # noqa: PLC0415  not on Windows
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # macOS counts bytes, the other systems kibibytes.
    return peak if sys.platform == "darwin" else peak * _KIB


def _windows(field: str) -> int | None:
    """A field of PROCESS_MEMORY_COUNTERS of this process."""
    import ctypes  # noqa: PLC0415  only here
    from ctypes import wintypes  # noqa: PLC0415

    names = (
        "PeakWorkingSetSize WorkingSetSize QuotaPeakPagedPoolUsage QuotaPagedPoolUsage "
        "QuotaPeakNonPagedPoolUsage QuotaNonPagedPoolUsage PagefileUsage PeakPagefileUsage"
    )

    class Counters(ctypes.Structure):
        _fields_ = [
            ("cb", wintypes.DWORD),
            ("PageFaultCount", wintypes.DWORD),
            *((name, ctypes.c_size_t) for name in names.split()),
        ]

    counters = Counters(cb=ctypes.sizeof(Counters))
    kernel = ctypes.WinDLL("kernel32")  # type: ignore[attr-defined]
    # A handle is a pointer: without these, 64-bit Windows would cut it to 32 bits.
    kernel.GetCurrentProcess.restype = wintypes.HANDLE
    ask: Callable[..., int] = kernel.K32GetProcessMemoryInfo
    ask.argtypes = [  # type: ignore[attr-defined]
        wintypes.HANDLE,
        ctypes.POINTER(Counters),
        wintypes.DWORD,
    ]
    asked = ask(kernel.GetCurrentProcess(), ctypes.byref(counters), counters.cb)
    return int(getattr(counters, field)) if asked else None
