"""A study that is done, moved out of the inbox: whole, and over nothing that is there already."""

import errno
import logging
import os
import shutil
from pathlib import Path

from rcc_onnx.batch.resume import inputs_sha256
from rcc_onnx.errors import MoveError

_log = logging.getLogger(__name__)

COPYING = ".rcc-onnx-copying-"
MOVED = ".rcc-onnx-moved-"
"""How hidden names begin while a study goes to another file system. Hidden entries of an inbox are
no studies, so what is left of one that is being removed is never taken for one."""
OTHER_FILE_SYSTEM = {errno.EXDEV}


def move_study(study: Path, to: Path) -> Path:
    """Move a study's folder or archive into a folder, which is made if missing; where it is now.

    On one file system it is renamed. To another it is copied, compared, and then removed. Where
    something has its name already, a number is added.

    Raises:
        MoveError: it cannot be; the study stays where it is. No names in the message but the
            folder's.
    """
    try:
        to.mkdir(parents=True, exist_ok=True)
        target = _free_name(study, to)
        try:
            study.rename(target)
        except OSError as error:
            if error.errno not in OTHER_FILE_SYSTEM:
                raise
            _move_over(study, target)
    except OSError as error:
        raise MoveError(
            f"cannot be moved to {to} ({error.strerror or error}); it stays in the inbox"
        ) from error
    return target


def remove_stale_files(to: Path) -> None:
    """Remove what a watcher that was killed had copied in part."""
    for path in to.glob(f"{COPYING}*"):
        _remove(path)


def remove_moved(inbox: Path) -> None:
    """Remove what a watcher that was killed had moved away already, and not yet removed."""
    for path in inbox.glob(f"{MOVED}*"):
        _remove(path)


def _move_over(study: Path, target: Path) -> None:
    """Move to another file system. Raises OSError, and then nothing has happened."""
    copy = target.with_name(f"{COPYING}{target.name}")
    _remove(copy)
    try:
        if study.is_dir():
            shutil.copytree(study, copy, symlinks=True)
        else:
            shutil.copy2(study, copy)
        if inputs_sha256(copy) != inputs_sha256(study):
            raise OSError(errno.EIO, "the copy is not the same")
        # Out of the way in one step: a half removed study would look like a changed one.
        away = study.with_name(f"{MOVED}{study.name}")
        study.rename(away)
    except OSError:
        _remove(copy)
        raise
    copy.rename(target)
    _remove(away)


def _free_name(study: Path, to: Path) -> Path:
    """A name that nothing has, as near to the study's as can be."""
    stem, suffix = (study.stem, study.suffix) if study.is_file() else (study.name, "")
    number = 1
    target = to / study.name
    while os.path.lexists(target):
        number += 1
        target = to / f"{stem}-{number}{suffix}"
    return target


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            _log.warning("a file that was moved cannot be removed: %s", error.strerror)
