"""The data folder while bundles in it change: one change at a time, each complete or not at all.

models/NAME      the installed bundles
replaced/NAME    what a replacement has put aside, until the new one is in place
incoming/        what is being unpacked, or is on its way out; whatever is left here is rubbish
downloads/       files that are not complete yet
lock             held by the command that is changing something
"""

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from rcc_onnx.bundles.bundle import Installed, bundles_in
from rcc_onnx.bundles.data_folder import HOME_VARIABLE, INSTALLED, REPLACED, data_folder, is_folder
from rcc_onnx.errors import BundleError, DataFolderError, RccOnnxError
from rcc_onnx.system.files import try_lock


@dataclass(frozen=True)
class Store:
    """The data folder at `home`. What changes it needs the lock: see `locked`."""

    home: Path

    @property
    def models(self) -> Path:
        return self.home / INSTALLED

    @property
    def replaced(self) -> Path:
        return self.home / REPLACED

    @property
    def incoming(self) -> Path:
        return self.home / "incoming"

    @property
    def downloads(self) -> Path:
        return self.home / "downloads"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Make the folders, hold the lock, and mend what an interrupted command left behind.

        Raises:
            BundleError (install-running): somebody else holds the lock.
            DataFolderError: something cannot be read, written or locked, here or in the block.
        """
        with _system_errors(self.home):
            for folder in (self.models, self.replaced, self.incoming, self.downloads):
                folder.mkdir(parents=True, exist_ok=True)
            with try_lock(self.home / "lock") as free:
                if not free:
                    raise BundleError(
                        f"another rcc-onnx is changing the bundles in {self.home} at this moment. "
                        "Wait until it is done, then run this command again.",
                        code="install-running",
                    )
                self._mend()
                yield

    @contextmanager
    def staging(self) -> Iterator[Path]:
        """An empty folder on the file system of the bundles, removed at the end."""
        folder = self._fresh_place()
        folder.mkdir()
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def names(self) -> tuple[str, ...]:
        """Names of all installed bundles, broken ones too. Needs no lock."""
        folders = [one for one in (self.models, self.replaced) if is_folder(one)]
        return tuple(sorted({one.name for folder in folders for one in bundles_in(folder)}))

    def find(self, name: str) -> Installed | None:
        """What is installed under a name, broken or not."""
        same = [one for one in bundles_in(self.models) if one.name == name]
        return same[0] if same else None

    def put(self, staged: Path, name: str, *, replace: bool) -> None:
        """Move a staged bundle to its place, which is empty unless `replace`.

        At every moment the old one or the new one can be found: see `data_folder`.

        Raises:
            BundleError (bundle-installed): the place is taken.
            OSError: nothing was changed.
        """
        found = self.find(name)
        target, aside = self.models / name, self.replaced / name
        if found is not None and not replace:
            raise BundleError(
                f"a bundle {name} is installed; --replace takes its place", code="bundle-installed"
            )
        old = None if found is None else found.folder
        # A folder of that name that holds another bundle, or none, is not ours to put aside.
        if os.path.lexists(target) and target != old:
            raise BundleError(
                f"{target} exists, but holds no bundle named {name}: move it away by hand first",
                code="bundle-installed",
            )
        if old is None:
            staged.rename(target)
            return
        old.rename(aside)
        try:
            staged.rename(target)
        except BaseException:
            aside.rename(old)
            raise
        # The new one is in place. What cannot be deleted now, the next command deletes.
        with suppress(OSError):
            self._discard(aside)

    def remove(self, name: str) -> Path | None:
        """Take out every bundle of that name. Gives back where it was, None if there was none."""
        place = None
        for folder in (self.replaced, self.models):
            for one in bundles_in(folder):
                if one.name == name:
                    place = one.folder
                    self._discard(one.folder)
        return place

    def clear_downloads(self) -> None:
        """Delete what was downloaded. What cannot be deleted, the next download deletes."""
        for path in self.downloads.iterdir():
            _delete(path)

    def _mend(self) -> None:
        for aside in self.replaced.iterdir():
            if os.path.lexists(self.models / aside.name):
                self._discard(aside)
            else:
                aside.rename(self.models / aside.name)
        for rubbish in self.incoming.iterdir():
            _delete(rubbish)

    def _discard(self, folder: Path) -> None:
        """Gone in one step, by a rename; deleted after that, now or by the next command."""
        rubbish = self._fresh_place()
        folder.rename(rubbish)
        _delete(rubbish)

    def _fresh_place(self) -> Path:
        # tempfile's folders are closed to other users, also once they are moved to the bundles.
        return self.incoming / secrets.token_hex(8)


def user_store() -> Store:
    """The data folder of this user and environment. Raises DataFolderError where there is none."""
    home = data_folder()
    if home is None:
        raise DataFolderError(
            f"this user has no home folder to install bundles in: set {HOME_VARIABLE} to the whole "
            "path of a folder for them"
        )
    return Store(home)


def _delete(path: Path) -> None:
    # A link, or on Windows a junction, is taken away itself, never what it leads to.
    if path.is_symlink() or not path.is_dir():
        with suppress(OSError):
            path.unlink()
    else:
        shutil.rmtree(path, ignore_errors=True)


@contextmanager
def _system_errors(home: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if isinstance(error, RccOnnxError):
            raise
        raise DataFolderError(
            f"the data folder {home} cannot be used: {error.strerror or error}. Make room or give "
            f"this user the right to write there, or set {HOME_VARIABLE} to another folder."
        ) from error
