"""Tries a file in a process of its own first, since the HDF5 library can crash on a damaged one."""

import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from convert.errors import ConvertError, DamagedFileError
from convert.keras.hdf5 import read_keras_file

TIMEOUT_S = 300
"""A file of the largest size that is read takes some seconds; a damaged one may go on for ever."""

_CHILD = "import sys; sys.path.insert(0, sys.argv[1]); import convert.keras.probe as p; p.child()"


def check_readable(path: Path) -> None:
    """Read `path` in another process and see that it ends.

    What is wrong with the file, if reading it ends well, is left to `read_keras_file`.

    Raises DamagedFileError.
    """
    checkout = Path(__file__).resolve().parents[2]
    try:
        ended = subprocess.run(
            [sys.executable, "-c", _CHILD, checkout, path],
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=TIMEOUT_S,
        )
    except subprocess.TimeoutExpired:
        reason = f"did not end within {TIMEOUT_S} s"
    else:
        if ended.returncode == 0:
            return
        reason = f"crashed, code {ended.returncode}"
    raise DamagedFileError(
        f"{path.name} is damaged; copy or download it again (the HDF5 library {reason})"
    )


def child() -> None:
    """What the other process does: read the file that its command line names."""
    with suppress(ConvertError):
        read_keras_file(Path(sys.argv[2]))
