"""The memory that this process holds, its peak, and how freed memory is kept or given back."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rcc_onnx.system.host import read_kilobytes

_STATUS = Path("/proc/self/status")
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8
"""Parameters of mallopt(3)."""
_GROWTH_BYTES = 6_000_000
"""Held memory moves by a few MB by itself."""
_KEPT_BYTES, _KEPT_BYTES_OF_OLD = 1 << 30, 32 << 20
"""Older versions of glibc refuse a threshold for mapped blocks above 32 MiB."""


def memory_bytes() -> int | None:
    """Return the physical memory that the process holds now; None where it is not known."""
    if sys.platform == "linux":
        return read_kilobytes(_STATUS, "VmRSS")
    try:
        import psutil  # noqa: PLC0415  where there is no /proc
    except ImportError:  # in a browser
        return None
    return int(psutil.Process().memory_info().rss)


def peak_memory_bytes() -> int | None:
    """Return the most physical memory the process has held so far; None where it is not known.

    On Linux from /proc: getrusage there may report the peak of the program that started this one.
    """
    if sys.platform == "linux":
        peak, now = read_kilobytes(_STATUS, "VmHWM"), memory_bytes()
        # Linux counts in batches, and not both at the same moment.
        if peak is not None and now is not None:
            return max(peak, now)
    if sys.platform == "win32":
        import psutil  # noqa: PLC0415  only here

        return int(psutil.Process().memory_info().peak_wset)
    import resource  # noqa: PLC0415  not on Windows

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # macOS counts bytes, the other systems kibibytes.
    return peak if sys.platform == "darwin" else peak * 1024


def keep_freed_memory() -> bool:
    """Let the C library reuse freed large blocks instead of giving them back to the system.

    glibc maps a large block afresh for every use, and the system clears it page by page: a tenth of
    the time of a 3D network, whose arrays are 20 MB each. And it keeps a heap for each thread, so
    that what one frees is of no use to the others; from now on all share one. Holds for the whole
    process. Return False, and change nothing, where the C library is not glibc.
    """
    mallopt = _glibc_function("mallopt")
    if mallopt is None:
        return False
    kept = any(mallopt(_M_MMAP_THRESHOLD, size) for size in (_KEPT_BYTES, _KEPT_BYTES_OF_OLD))
    one_heap = bool(mallopt(_M_ARENA_MAX, 1))
    return bool(mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES)) and kept and one_heap


def give_back_freed_memory() -> bool:
    """Give freed memory back to the system; return False where the C library is not glibc.

    The next study pays for it, some hundredths of a second for a few hundred MB.
    """
    trim = _glibc_function("malloc_trim")
    return trim is not None and bool(trim(0))


def _glibc_function(name: str) -> Any:
    """Return a function of the C library; None where the library is not glibc."""
    if sys.platform != "linux":
        return None
    import ctypes  # noqa: PLC0415  not for --version

    return getattr(ctypes.CDLL(None), name, None)


@dataclass
class MemoryTrimmer:
    """A guard against growth of the memory that a process holds between two studies.

    Freed blocks that are kept for the next study fragment, so that now and then a new one is
    needed: with large networks, 434 MB after the first study became 493 MB after the eighth.

    Attributes:
        usual: bytes held after the first study, and after networks were loaded; None: not known.
        rest: bytes held when freed memory was last given back; None: it never was.
    """

    usual: int | None = None
    rest: int | None = None

    def after_a_study(self) -> bool:
        """Give freed memory back if more than usual is held; return whether that was done."""
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
