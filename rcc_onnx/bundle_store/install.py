"""Installs bundles and removes them.

A bundle is read into memory, checked there, written beside the others, run once from what was
written, and only then moved to its place. Whatever fails before that leaves what was installed.
"""

from dataclasses import dataclass
from pathlib import Path

from rcc_onnx.bundle_store.archive import AGAIN
from rcc_onnx.bundle_store.content import Content, read_content
from rcc_onnx.bundle_store.download import Listener, fetch
from rcc_onnx.bundle_store.sources import (
    FolderSource,
    checked_sha256,
    is_url,
    open_zip_file,
    same_hash,
)
from rcc_onnx.bundle_store.store import Store
from rcc_onnx.bundles.bundle import (
    SHIPPED_NAMES,
    BrokenBundle,
    Bundle,
    Installed,
    installed_bundles,
    load_bundle,
)
from rcc_onnx.bundles.data_folder import is_file, is_folder
from rcc_onnx.errors import (
    BundleChoiceError,
    BundleError,
    BundleFolderError,
    DownloadHashNeededError,
)
from rcc_onnx.runtime.verify import verify_bundle


@dataclass(frozen=True)
class Installation:
    """What `install_bundle` did.

    Attributes:
        already: the very same bundle was installed before, and nothing was changed.
        replaced: the bundle whose place it took.
        left_out: names in a folder that are no part of the bundle, and were not copied.
    """

    bundle: Bundle
    already: bool = False
    replaced: Installed | None = None
    left_out: tuple[str, ...] = ()


def install_bundle(
    source: str,
    store: Store,
    *,
    sha256: str | None = None,
    replace: bool = False,
    listen: Listener = lambda done, total: None,
) -> Installation:
    """Install a bundle from a zip file, a folder or a URL.

    Args:
        source: a path, or a URL of a zip file.
        store: where to.
        sha256: of the zip file; for a folder, of the zip file that `export_bundle` makes of it. A
            URL needs one.
        replace: put it in the place of an installed bundle of the same name.
        listen: told how a download comes along.

    Raises:
        BundleError, NetworkError: it was refused, or does not run. Nothing was changed.
    """
    expected = checked_sha256(sha256)
    if is_url(source):
        if expected is None:
            raise DownloadHashNeededError(
                "a download needs --sha256 with the hash of the zip file, as its maker tells it: "
                "nothing else shows that the right file came"
            )
        with store.locked():
            path = fetch(source, expected, store.downloads, listen)
            done = _put(store, _from_zip(path, expected, "the downloaded file"), replace=replace)
            # Kept where installing failed, so that a second try needs no second download.
            store.clear_downloads()
            return done
    content = _from_path(source, expected)
    with store.locked():
        return _put(store, content, replace=replace)


def remove_bundle(name: str, store: Store) -> Path:
    """Delete an installed bundle. Gives back the folder that it was in.

    Raises:
        BundleChoiceError (unknown-bundle): there is none of that name.
        BundleError (bundle-not-removable): there is one, but not in the data folder.
        DataFolderError, BundleError (install-running): it cannot be deleted now.
    """
    if name in store.names():
        with store.locked():
            if place := store.remove(name):
                return place
    for one in installed_bundles():
        if one.name == name:
            raise BundleError(
                f"{name} is in {one.folder}, not in the data folder {store.home}: it came with "
                "rcc-onnx or was put there by hand, and this command leaves it alone",
                code="bundle-not-removable",
            )
    known = ", ".join(store.names()) or "none"
    raise BundleChoiceError(
        f"no bundle named {name[:80]!r} is installed in {store.home}. Installed: {known}",
        code="unknown-bundle",
    )


def _from_path(text: str, expected: str | None) -> Content:
    path = Path(text)
    if text.strip() and is_folder(path):
        return _from_folder(path, expected)
    if is_file(path):
        return _from_zip(path, expected, str(path))
    raise BundleFolderError(
        f"{text[:200]!r} is no file and no folder. Give a zip file that `rcc-onnx models "
        "export` made, the folder of a bundle, or a URL.",
        code="bundle-source",
    )


def _from_folder(path: Path, expected: str | None) -> Content:
    load_bundle(path)  # says best what a folder lacks that is no bundle
    content = read_content(FolderSource(path))
    if expected is not None:
        same_hash(content.sha256(), expected, f"the zip file that {path} makes")
    return content


def _from_zip(path: Path, expected: str | None, where: str) -> Content:
    with open_zip_file(path, expected, where) as files:
        content = read_content(files)
    if content.others:
        raise BundleError(
            f"{where}: holds {content.others[0]!a}, which manifest.json does not name. {AGAIN}",
            code="bundle-undeclared-file",
        )
    return content


def _put(store: Store, content: Content, *, replace: bool) -> Installation:
    """Install what was read and checked. The lock is held."""
    manifest = content.manifest
    if manifest.name in SHIPPED_NAMES:
        raise BundleError(
            f"{manifest.name} is the name of a bundle that comes with rcc-onnx. Convert this one "
            "under a name of its own.",
            code="bundle-name-taken",
        )
    found = store.find(manifest.name)
    if found is not None and content.is_in(found.folder):
        return Installation(load_bundle(found.folder), already=True, left_out=content.others)
    if found is not None and not replace:
        raise BundleError(
            f"another bundle named {manifest.name} is installed ({_which(found)}). Run the command "
            f"again with --replace to put this one ({manifest.version}) in its place.",
            code="bundle-installed",
        )
    with store.staging() as folder:
        content.write(folder)
        verify_bundle(load_bundle(folder))
        store.put(folder, manifest.name, replace=replace)
    bundle = Bundle(store.models / manifest.name, manifest)
    return Installation(bundle, replaced=found, left_out=content.others)


def _which(found: Installed) -> str:
    return "broken" if isinstance(found, BrokenBundle) else found.manifest.version
