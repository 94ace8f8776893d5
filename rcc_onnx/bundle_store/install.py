"""Installs bundles in the data folder, removes and exports them: each change complete or not made.

A bundle is read into memory, checked there, written beside the others, run once from what was
written, and only then moved to its place. Whatever fails before that leaves what was installed.

models/NAME      the installed bundles
replaced/NAME    what a replacement has put aside, until the new one is in place
incoming/        what is being unpacked, or is on its way out; what an interrupted command left
lock             held by the command that is changing something
"""

import hashlib
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from rcc_onnx.bundle_store.archive import BundleContent, compare_sha256, read_folder, read_zip
from rcc_onnx.bundles.bundle import (
    SHIPPED_NAMES,
    BrokenBundle,
    Bundle,
    Installed,
    bundles_in,
    installed_bundles,
    load_bundle,
    read_bundle_file,
)
from rcc_onnx.bundles.data_folder import (
    HOME_VARIABLE,
    INSTALLED,
    REPLACED,
    data_folder,
    is_file,
    is_folder,
)
from rcc_onnx.errors import (
    BundleChoiceError,
    BundleError,
    BundleExportError,
    BundleFolderError,
    DataFolderError,
    OptionError,
    RccOnnxError,
)
from rcc_onnx.runtime.self_test import verify_bundle
from rcc_onnx.system.files import try_lock, write_whole


@dataclass(frozen=True)
class Installation:
    """Result of `install_bundle`.

    Attributes:
        already: the very same bundle was installed before, and nothing was changed.
        replaced: the bundle whose place it took.
        left_out: names in a folder that are not part of the bundle, and were not copied.
    """

    bundle: Bundle
    already: bool = False
    replaced: Installed | None = None
    left_out: tuple[str, ...] = ()


def install_bundle(
    source: str, store: "BundleStore", *, sha256: str | None = None, replace: bool = False
) -> Installation:
    """Install a bundle from a zip file or a folder.

    Args:
        source: its path, as the user gave it.
        store: where to.
        sha256: of the zip file; for a folder, of the zip file that `export_bundle` makes of it.
        replace: put it in the place of an installed bundle of the same name.

    Raises:
        OptionError: `sha256` is not 64 hexadecimal digits.
        BundleError, NetworkError: it was refused, or does not run. Nothing was changed.
    """
    content = _read_source(source, None if sha256 is None else _parse_sha256(sha256))
    manifest = content.manifest
    if manifest.name in SHIPPED_NAMES:
        raise BundleError(
            f"{manifest.name} is the name of a bundle that comes with rcc-onnx. Convert this one "
            "under another name.",
            code="bundle-name-taken",
        )
    with store.locked():
        found = store.find(manifest.name)
        if found is not None and _is_same(found.folder, content):
            return Installation(load_bundle(found.folder), already=True, left_out=content.others)
        if found is not None and not replace:
            version = "broken" if isinstance(found, BrokenBundle) else found.manifest.version
            raise BundleError(
                f"another bundle named {manifest.name} is installed ({version}). Run the command "
                f"again with --replace to put this one ({manifest.version}) in its place.",
                code="bundle-installed",
            )
        with store.staging() as folder:
            for file, data in content.files.items():
                write_whole(folder / file, partial(Path.write_bytes, data=data))
            verify_bundle(load_bundle(folder))
            store.put(folder, manifest.name, found)
    bundle = Bundle(store.models / manifest.name, manifest)
    return Installation(bundle, replaced=found, left_out=content.others)


def remove_bundle(name: str, store: "BundleStore") -> Path:
    """Delete an installed bundle and return the folder that it was in.

    Raises:
        BundleChoiceError (unknown-bundle): no bundle has that name.
        BundleError (bundle-not-removable): there is one, but not in the data folder.
        DataFolderError, BundleError (install-running): it cannot be deleted now.
    """
    if name in store.names():
        with store.locked():
            if folder := store.remove(name):
                return folder
    for bundle in installed_bundles():
        if bundle.name == name:
            raise BundleError(
                f"{name} is in {bundle.folder}, not in the data folder {store.home}: it came with "
                "rcc-onnx or was put there by hand, and this command leaves it alone",
                code="bundle-not-removable",
            )
    known = ", ".join(store.names()) or "none"
    raise BundleChoiceError(
        f"no bundle named {name[:80]!r} is installed in {store.home}. Installed: {known}",
        code="unknown-bundle",
    )


def export_bundle(bundle: Bundle, target: Path, *, overwrite: bool = False) -> str:
    """Write a bundle as a zip file, the same bytes for the same bundle. Return its SHA-256.

    Only the files that make the bundle go in: manifest, networks, documents.

    Raises:
        BundleExportError: the file exists, or cannot be written.
        BundleError: the bundle is broken; then nothing is written.
    """
    if os.path.lexists(target) and not (overwrite and is_file(target)):
        choice = ", or --overwrite to replace it" if is_file(target) else ""
        raise BundleExportError(f"{target} exists; give another name{choice}")
    data = read_folder(bundle.folder).as_zip()
    try:
        write_whole(target, lambda path: path.write_bytes(data))
    except OSError as error:
        raise BundleExportError(
            f"{target} cannot be written: {error.strerror or error}; give another name"
        ) from error
    return hashlib.sha256(data).hexdigest()


def _parse_sha256(text: str) -> str:
    digits = text.strip().lower()
    if not re.fullmatch(r"[0-9a-f]{64}", digits):
        raise OptionError(
            f"--sha256 must be 64 hexadecimal digits, not {text[:80]!r}. `certutil -hashfile FILE "
            "SHA256` or `sha256sum FILE` prints them."
        )
    return digits


def _read_source(source: str, sha256: str | None) -> BundleContent:
    path = Path(source)
    if is_file(path):
        return read_zip(path, sha256)
    # An empty path, such as that of an unset variable, would be the working directory.
    if not source.strip() or not is_folder(path):
        raise BundleFolderError(
            f"{source[:200]!r} is not a file or a folder. Give a zip file that `rcc-onnx "
            "models export` made, or the folder of a bundle; `curl -O` downloads a file.",
            code="bundle-source",
        )
    load_bundle(path)  # has the best messages for a folder that is not a bundle
    content = read_folder(path)
    if sha256 is not None:
        compare_sha256(content.sha256(), sha256, f"the zip file that {source} makes")
    return content


def _is_same(folder: Path, content: BundleContent) -> bool:
    """Return whether the folder holds just this bundle."""
    try:
        if set(os.listdir(folder)) != set(content.files):  # noqa: PTH208  names only
            return False
        return all(read_bundle_file(folder, file) == data for file, data in content.files.items())
    except (BundleError, OSError):
        return False


@dataclass(frozen=True)
class BundleStore:
    """The data folder at `home`, as the module's docstring draws it."""

    home: Path

    @classmethod
    def of_user(cls) -> "BundleStore":
        """Return the data folder of this user and environment.

        Raises:
            DataFolderError: this machine has no data folder.
        """
        home = data_folder()
        if home is None:
            raise DataFolderError(
                f"this user has no home folder to install bundles in: set {HOME_VARIABLE} to the "
                "whole path of a folder for them"
            )
        return cls(home)

    @property
    def models(self) -> Path:
        return self.home / INSTALLED

    @property
    def replaced(self) -> Path:
        return self.home / REPLACED

    @property
    def incoming(self) -> Path:
        return self.home / "incoming"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Make the folders, hold the lock, and clear what an interrupted command left.

        Raises:
            BundleError (install-running): another command holds the lock.
            DataFolderError: something cannot be read, written or locked, here or in the block.
        """
        try:
            for folder in (self.models, self.replaced, self.incoming):
                folder.mkdir(parents=True, exist_ok=True)
            with try_lock(self.home / "lock") as acquired:
                if not acquired:
                    raise BundleError(
                        f"another rcc-onnx is changing the bundles in {self.home} at this moment. "
                        "Wait until it is done, then run this command again.",
                        code="install-running",
                    )
                self._recover()
                yield
        except OSError as error:
            if isinstance(error, RccOnnxError):
                raise
            raise DataFolderError(
                f"the data folder {self.home} cannot be used: {error.strerror or error}. Make room "
                "or give this user the right to write there, or set "
                f"{HOME_VARIABLE} to another folder."
            ) from error

    @contextmanager
    def staging(self) -> Iterator[Path]:
        """Make an empty folder on the file system of the bundles; remove it at the end."""
        folder = self._unused_path()
        folder.mkdir()
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def names(self) -> tuple[str, ...]:
        """Return the names of all installed bundles, broken ones too. Needs no lock."""
        folders = filter(is_folder, (self.models, self.replaced))
        return tuple(sorted({bundle.name for folder in folders for bundle in bundles_in(folder)}))

    def find(self, name: str) -> Installed | None:
        """Return what is installed under a name, broken or not."""
        return next((bundle for bundle in bundles_in(self.models) if bundle.name == name), None)

    def put(self, staged: Path, name: str, found: Installed | None) -> None:
        """Move a staged bundle to its place; `found` is the bundle that it replaces.

        At every moment the old one or the new one can be found: see `installed_folders`.

        Raises:
            BundleError (bundle-installed): the place is taken.
            OSError: nothing was changed.
        """
        target, aside = self.models / name, self.replaced / name
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
        """Remove every bundle of that name. Return where it was, None if there was none."""
        removed = None
        for folder in (self.replaced, self.models):
            for bundle in bundles_in(folder):
                if bundle.name == name:
                    removed = bundle.folder
                    self._discard(removed)
        return removed

    def _recover(self) -> None:
        for aside in self.replaced.iterdir():
            if os.path.lexists(self.models / aside.name):
                self._discard(aside)
            else:
                aside.rename(self.models / aside.name)
        for stale in self.incoming.iterdir():
            _delete(stale)

    def _discard(self, folder: Path) -> None:
        """Take a folder away in one step, by a rename; delete it now or with the next command."""
        stale = self._unused_path()
        folder.rename(stale)
        _delete(stale)

    def _unused_path(self) -> Path:
        # tempfile's folders are closed to other users, also once they are moved to the bundles.
        return self.incoming / secrets.token_hex(8)


def _delete(path: Path) -> None:
    # A link, or on Windows a junction, is taken away itself, never what it leads to.
    if path.is_symlink() or not path.is_dir():
        with suppress(OSError):
            path.unlink()
    else:
        shutil.rmtree(path, ignore_errors=True)
