"""Whether a run writes to a folder just now, found out without a lock of our own.

Whoever tried the lock, were it for a moment, could be what a run that starts then is refused for.
"""

import os
from enum import StrEnum
from pathlib import Path

from rcc_onnx.system.files import LOCK_NAME

_LINUX_LOCKS = Path("/proc/locks")


class UnderWay(StrEnum):
    """`maybe`: there is a lock, and who holds it cannot be seen: a run, or one that was killed."""

    YES = "yes"
    MAYBE = "maybe"
    NO = "no"


def run_under_way(out: Path) -> UnderWay:
    """Whether a run writes to a folder of results."""
    try:
        lock = (out / LOCK_NAME).stat()
    except OSError:
        return UnderWay.NO
    # On Linux the kernel lists locks by device and inode; not those of other machines, though.
    mark = (
        f"{os.major(lock.st_dev):02x}:{os.minor(lock.st_dev):02x}:{lock.st_ino}" if _has() else ""
    )
    try:
        if mark and mark in _LINUX_LOCKS.read_text().split():
            return UnderWay.YES
    except OSError:
        pass
    return UnderWay.MAYBE


def _has() -> bool:
    return hasattr(os, "major")
