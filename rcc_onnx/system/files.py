"""Files that several processes may want at once: a lock that ends with its holder."""

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

LOCK_NAME = ".rcc-onnx.lock"
"""In a folder of results, while a run writes there."""
_BUSY = {errno.EACCES, errno.EAGAIN, errno.EDEADLK}
"""Error numbers for a lock that another process holds."""
NO_LOCKS = {errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS}
"""Error numbers for a file system without locks, as some network shares are."""


@contextmanager
def try_lock(path: Path, *, remove: bool = False) -> Iterator[bool]:
    """Hold the lock file at `path`, which is created if missing, and yield whether it was acquired.

    The system releases the lock when its holder ends, however it ends.

    Args:
        path: the lock file.
        remove: delete the file afterwards, where the system lets an open file be deleted.

    Raises:
        OSError: the file cannot be created, or the file system has no locks.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        # Who opened the file before it was deleted holds a lock that no other process sees.
        acquired = _lock(descriptor) and _is_still(descriptor, path)
        try:
            yield acquired
        finally:
            # Another folder may have been mounted there meanwhile, with another process's lock.
            if remove and acquired and _is_still(descriptor, path):
                with suppress(OSError):
                    path.unlink()
    finally:
        # Closing releases the lock.
        os.close(descriptor)


def _is_still(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except OSError:
        return False


def _lock(descriptor: int) -> bool:
    try:
        if sys.platform == "win32":
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in _BUSY:
            return False
        raise
    return True
