"""Where rcc-onnx keeps what a user installs: one folder a user, where the platform wants it.

Nothing here makes a folder, and the environment is read at each call.
"""

import os
from contextlib import suppress
from pathlib import Path

from rcc_onnx.errors import DataFolderError

HOME_VARIABLE = "RCC_ONNX_HOME"
"""Environment variable that names another data folder."""
MODELS_VARIABLE = "RCC_ONNX_MODELS_FOLDER"
"""Environment variable that names a folder in which bundles are looked for first."""

INSTALLED, REPLACED = "models", "replaced"
"""In the data folder: the bundles, and those put aside by a replacement until it is done."""


def data_folder() -> Path | None:
    """Return the data folder, which need not exist. None: the user has no home folder.

    RCC_ONNX_HOME if set, else the platform's folder for data of applications (docs/models.md).

    Raises:
        DataFolderError: RCC_ONNX_HOME is not an absolute path.
    """
    import platformdirs  # noqa: PLC0415  `--version` does without

    named = os.environ.get(HOME_VARIABLE, "")
    if not named:
        try:
            folder = platformdirs.user_data_path("rcc-onnx", appauthor=False)
        except RuntimeError:
            return None
        # Older releases of platformdirs leave a "~" in the path of a user without a home folder.
        return folder if folder.is_absolute() else None
    if not Path(named).is_absolute():
        raise DataFolderError(
            f"{HOME_VARIABLE} is {named!r}, which is not an absolute path, so it would name "
            "another folder in each working directory. Give the whole path, without ~."
        )
    return Path(named)


def installed_folders() -> tuple[Path, ...]:
    """Return the existing folders of installed bundles. The first hides what is in the second.

    The second holds a bundle only while it is being replaced. A name is in it alone for the moment
    between two renames, and after a crash in that moment, so there is always one to be found.

    Raises:
        DataFolderError: RCC_ONNX_HOME is not an absolute path, or cannot be listed.
    """
    home = data_folder()
    if home is None:
        return ()
    if os.environ.get(HOME_VARIABLE, ""):
        _check_listable(home)
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


def _check_listable(home: Path) -> None:
    try:
        os.scandir(home).close()
    except FileNotFoundError:
        pass  # nothing was installed yet
    except OSError as error:
        raise DataFolderError(
            f"{HOME_VARIABLE} is {home}, which cannot be listed: {error.strerror}. Name another "
            "folder, or give this user the right to read it."
        ) from error
