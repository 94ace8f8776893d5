"""One run at a time in a folder of results."""

import contextlib
import logging
import os
import sys
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from rcc_onnx.errors import OutputBusyError, OutputError

_log = logging.getLogger(__name__)

LOCK_NAME = ".rcc-onnx.lock"


class OutputLock:
    """Holds a folder of results for this process; the system lets go of it however that ends.

    Raises, when entered:
        OutputBusyError: another run writes there.
        OutputError: the lock's file cannot be written.
    """

    def __init__(self, out: Path) -> None:
        self._path = out / LOCK_NAME
        self._out = out
        self._file: IO[str] | None = None

    def __enter__(self) -> Self:
        try:
            self._out.mkdir(parents=True, exist_ok=True)
            self._file = self._path.open("a+", encoding="ascii")
        except OSError as error:
            raise OutputError(
                f"cannot write results to {self._out}: {error.strerror or error}; choose another "
                "--out"
            ) from error
        # A file that another run has removed meanwhile is locked for nobody else to see.
        if not (_locked(self._file) and _is_still(self._file, self._path)):
            self._file.close()
            raise OutputBusyError(
                f"another run of rcc-onnx writes to {self._out}; wait until it has ended, or "
                "choose another --out"
            )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._file is not None:
            with contextlib.suppress(OSError):  # Windows removes no open file
                self._path.unlink()
            self._file.close()
            self._file = None


def _locked(file: IO[str]) -> bool:
    """Take the file's lock, without waiting for it."""
    try:
        if sys.platform == "win32":
            import msvcrt  # noqa: PLC0415  Windows only

            file.seek(0)
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl  # noqa: PLC0415  there is none on Windows

            fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    except OSError as error:
        # Some network shares know no locks. A run there is better than none.
        _log.warning("%s cannot be locked (%s): start no second run there", file.name, error)
    return True


def _is_still(file: IO[str], path: Path) -> bool:
    try:
        return sys.platform == "win32" or os.path.samestat(os.fstat(file.fileno()), path.stat())
    except OSError:
        return False


def remove_leavings_of(out: Path, pid: int) -> None:
    """Remove what a process that died left half written."""
    for path in _leavings(out, f".rcc-onnx-{pid}.part*"):
        path.unlink(missing_ok=True)


def remove_leavings(out: Path) -> int:
    """Remove what killed runs left half written; how many files. To be called under the lock."""
    leavings = _leavings(out, ".rcc-onnx-*.part*")
    for path in leavings:
        path.unlink(missing_ok=True)
    return len(leavings)


def _leavings(out: Path, pattern: str) -> list[Path]:
    """Of the folder and of the hidden ones in it; other folders are not ours."""
    folders = [out, *(path for path in out.glob(".*") if path.is_dir())]
    return [path for folder in folders for path in folder.glob(pattern) if path.is_file()]
