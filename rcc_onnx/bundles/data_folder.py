"""Where rcc-onnx keeps what a user installs: one folder a user, where the platform wants it.

Nothing here makes a folder. Variables are read when asked, so that a test can give its own.
"""

import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from rcc_onnx.errors import DataFolderError

HOME_VARIABLE = "RCC_ONNX_HOME"
"""Environment variable that names another data folder."""
MODELS_VARIABLE = "RCC_ONNX_MODELS_FOLDER"
"""Environment variable that names a folder in which bundles are looked for first."""
APP_FOLDER = "rcc-onnx"

INSTALLED, REPLACED = "models", "replaced"
"""In the data folder: the bundles, and those that a replacement has put aside until it is done."""


def data_folder(
    environ: Mapping[str, str] = os.environ, platform: str = sys.platform
) -> Path | None:
    """The data folder, which need not exist. None: the user has no home folder.

    RCC_ONNX_HOME if set; else by platform: %LOCALAPPDATA%, ~/Library/Application Support, or
    $XDG_DATA_HOME (~/.local/share), and in there the folder rcc-onnx. Variables of the platform
    that are no absolute paths are passed over, as the XDG specification wants.

    Raises:
        DataFolderError: RCC_ONNX_HOME is no absolute path.
    """
    named = environ.get(HOME_VARIABLE, "")
    if named:
        if not _is_absolute(named):
            raise DataFolderError(
                f"{HOME_VARIABLE} is {named!r}, which is no absolute path: bundles would be looked "
                "for in another place from each folder. Give the whole path, without ~."
            )
        return Path(named)
    base = _platform_folder(environ, platform)
    return None if base is None else base / APP_FOLDER


def installed_folders(environ: Mapping[str, str] = os.environ) -> tuple[Path, ...]:
    """Folders of installed bundles that exist. The first hides what is in the second.

    The second holds a bundle only while it is being replaced. A name is in it alone for the moment
    between two renames, and after a crash in that moment, so there is always one to be found.

    Raises:
        DataFolderError: RCC_ONNX_HOME is no absolute path, or names what cannot be listed.
    """
    home = data_folder(environ)
    if home is None:
        return ()
    if environ.get(HOME_VARIABLE, ""):
        _see_that_it_can_be_listed(home)
    # The platform's folder may be closed to a service's user: then nothing is installed for it.
    return tuple(folder for folder in (home / INSTALLED, home / REPLACED) if is_folder(folder))


def is_folder(path: Path) -> bool:
    """Like Path.is_dir, but False where that raises: no right to look, a name that is too long."""
    with suppress(OSError, ValueError):
        return path.is_dir()
    return False


def is_file(path: Path) -> bool:
    """Like Path.is_file, but False where that raises."""
    with suppress(OSError, ValueError):
        return path.is_file()
    return False


def _see_that_it_can_be_listed(home: Path) -> None:
    try:
        with os.scandir(home):
            pass
    except FileNotFoundError:
        pass  # nothing was installed yet
    except OSError as error:
        raise DataFolderError(
            f"{HOME_VARIABLE} is {home}, which cannot be listed: {error.strerror}. Name another "
            "folder, or give this user the right to read it."
        ) from error


def _platform_folder(environ: Mapping[str, str], platform: str) -> Path | None:
    home = _home(environ, platform)
    if platform == "win32":
        return _absolute(environ, "LOCALAPPDATA") or (home and home / "AppData" / "Local")
    if platform == "darwin":
        return home and home / "Library" / "Application Support"
    return _absolute(environ, "XDG_DATA_HOME") or (home and home / ".local" / "share")


def _home(environ: Mapping[str, str], platform: str) -> Path | None:
    named = _absolute(environ, "USERPROFILE" if platform == "win32" else "HOME")
    if named is not None:
        return named
    try:
        home = Path.home()
    except RuntimeError:  # a service's user without an entry anywhere
        return None
    return home if home.is_absolute() else None


def _absolute(environ: Mapping[str, str], variable: str) -> Path | None:
    value = environ.get(variable, "")
    return Path(value) if value and _is_absolute(value) else None


def _is_absolute(value: str) -> bool:
    return "\0" not in value and Path(value).is_absolute()
