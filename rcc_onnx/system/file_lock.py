"""A lock that the system gives back by itself when its holder ends, however it ends."""

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
"""What the systems say when somebody else holds the lock."""
NO_LOCKS = {errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS}
"""What they say of a file system that has none, as some network shares."""


@contextmanager
def try_lock(path: Path, *, remove: bool = False) -> Iterator[bool]:
    """Hold the lock file at `path`, which is made if missing. False: somebody else holds it.

    Args:
        path: of the lock file.
        remove: take the file away afterwards, where the system lets an open file be removed.

    Raises:
        OSError: the file cannot be made, or the file system has no locks.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        # Who opened the file before it was removed holds a lock that nobody else sees.
        is_ours = _lock(descriptor) and _is_still(descriptor, path)
        try:
            yield is_ours
        finally:
            # Another folder may have been mounted there meanwhile, with somebody else's lock.
            if remove and is_ours and _is_still(descriptor, path):
                with suppress(OSError):
                    path.unlink()
    finally:
        # Closing gives the lock back.
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
