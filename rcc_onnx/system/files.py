"""Files that are whole or not there, their hashes, and a lock that ends with its holder."""

import errno
import hashlib
import os
import sys
from collections.abc import Callable, Iterator
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


_CHUNK = 1 << 20
_NO_SYNC = {errno.EINVAL, errno.ENOSYS, errno.ENOTSUP}
"""Answers of network shares that cannot synchronize a file."""


def write_whole(path: Path, write: Callable[[Path], object]) -> None:
    """Write under a temporary name in the same folder, then rename: whole or not at all.

    Args:
        path: of the file; what was there is replaced.
        write: into the path that it is given, which has the same suffix.

    Raises:
        OSError: it cannot be written.
    """
    # Not made from the file's name, which may be as long as names can be; writers go by suffixes.
    suffix = "".join(path.suffixes[-2:]) if path.name.endswith(".gz") else path.suffix
    temporary = path.with_name(f".rcc-onnx-{os.getpid()}.part{suffix}")
    try:
        write(temporary)
        _synchronize(temporary)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def stale_files(folder: Path, pid: int | None = None) -> Iterator[Path]:
    """Yield what processes that were killed left half written.

    Args:
        folder: it and the hidden folders in it are searched; other folders are not ours.
        pid: of the process; None: any.
    """
    pattern = f".rcc-onnx-{'*' if pid is None else pid}.part*"
    for place in [folder, *(path for path in folder.glob(".*") if path.is_dir())]:
        yield from (path for path in place.glob(pattern) if path.is_file())


def size_and_sha256(path: Path) -> tuple[int, str]:
    """Return the bytes of a file, and their hash in hex. Raises OSError."""
    digest, size = hashlib.sha256(), 0
    with path.open("rb", buffering=0) as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
            size += len(chunk)
    return size, digest.hexdigest()


def _synchronize(path: Path) -> None:
    """Put the bytes on the disk before the name: a power cut must leave no name without them."""
    # Windows wants a descriptor that may write.
    descriptor = os.open(path, os.O_RDWR)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _NO_SYNC:
            raise
    finally:
        os.close(descriptor)


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
