"""A bundle as one zip file, to carry to other machines."""

import hashlib
import os
import tempfile
from pathlib import Path

from rcc_onnx.bundle_store.content import Content, read_content
from rcc_onnx.bundle_store.sources import FolderSource
from rcc_onnx.bundles.bundle import Bundle
from rcc_onnx.bundles.data_folder import is_file
from rcc_onnx.errors import BundleExportError


def export_bundle(bundle: Bundle, target: Path, *, overwrite: bool = False) -> str:
    """Write a bundle as a zip file, the same bytes for the same bundle. Gives its SHA-256.

    Only the files that make the bundle go in: manifest, networks, documents.

    Raises:
        BundleExportError: the file exists, or cannot be written.
        BundleError: the bundle is broken; then nothing is written.
    """
    if os.path.lexists(target) and not (overwrite and is_file(target)):
        raise BundleExportError(
            f"{target} exists; give another name"
            + (", or --overwrite to replace it" if is_file(target) else "")
        )
    data = bundle_content(bundle).as_zip()
    try:
        _write_whole(target, data)
    except OSError as error:
        raise BundleExportError(
            f"{target} cannot be written: {error.strerror or error}; give another name"
        ) from error
    return hashlib.sha256(data).hexdigest()


def bundle_content(bundle: Bundle) -> Content:
    """The files of a bundle, checked. Raises BundleError."""
    return read_content(FolderSource(bundle.folder))


def _write_whole(target: Path, data: bytes) -> None:
    descriptor, name = tempfile.mkstemp(prefix=f".{target.name[:100]}-", dir=target.parent)
    scratch = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        # mkstemp's files are closed to others; this one is to be handed on.
        scratch.chmod(0o644)
        scratch.replace(target)
    finally:
        scratch.unlink(missing_ok=True)
