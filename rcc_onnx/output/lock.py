"""One run at a time in a folder of results."""

import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path

from rcc_onnx.errors import OutputError
from rcc_onnx.system.files import LOCK_NAME, NO_LOCKS, try_lock

_log = logging.getLogger(__name__)


@contextlib.contextmanager
def output_lock(out: Path) -> Iterator[None]:
    """Hold a folder of results, which is made if missing; the system lets go however that ends.

    Raises:
        OutputError (output-busy): another run writes there.
        OutputError: nothing can be written there.
    """
    with contextlib.ExitStack() as held:
        try:
            out.mkdir(parents=True, exist_ok=True)
            is_ours = held.enter_context(try_lock(out / LOCK_NAME, remove=True))
        except OSError as error:
            if error.errno not in NO_LOCKS:
                raise OutputError(
                    f"cannot write results to {out}: {error.strerror or error}; choose another "
                    "--out"
                ) from error
            # Some network shares know no locks. A run there is better than none.
            _log.warning("%s cannot be locked: start no second run there", out)
            is_ours = True
        if not is_ours:
            raise OutputError(
                f"another run of rcc-onnx writes to {out}; wait until it has ended, or choose "
                "another --out",
                code="output-busy",
            )
        yield


def is_held(out: Path) -> bool:
    """Whether the lock of a run lies in the folder. Not there any more: the folder was removed, or
    the drive that it was on."""
    return (out / LOCK_NAME).exists()


def vanished(out: Path) -> OutputError:
    return OutputError(
        f"{out} is not the folder any more in which this run began: it was removed, or its drive "
        "was disconnected; nothing more is written. When it is back, start again: what was done "
        "there stays"
    )


def remove_stale_files_of(out: Path, pid: int) -> None:
    """Remove what a process that died left half written."""
    for path in _leavings(out, f".rcc-onnx-{pid}.part*"):
        path.unlink(missing_ok=True)


def remove_stale_files(out: Path) -> int:
    """Remove what killed runs left half written; how many files. To be called under the lock."""
    leavings = _leavings(out, ".rcc-onnx-*.part*")
    for path in leavings:
        path.unlink(missing_ok=True)
    return len(leavings)


def _leavings(out: Path, pattern: str) -> list[Path]:
    """Of the folder and of the hidden ones in it; other folders are not ours."""
    folders = [out, *(path for path in out.glob(".*") if path.is_dir())]
    return [path for folder in folders for path in folder.glob(pattern) if path.is_file()]
