"""The files of one bundle: which there are, how they are read from a folder, when they are good.

Where the bytes come from, a folder or a zip file, the same checks decide.
"""

import hashlib
import stat
from pathlib import Path

from rcc_onnx.bundles.manifest import (
    DOCUMENTS,
    MANIFEST_FILE,
    NETWORK_NAMES,
    REFERENCE_OUTPUTS_FILE,
    Manifest,
    NetworkEntry,
    ReferenceOutputsEntry,
)
from rcc_onnx.bundles.onnx_validation import check_network, read_onnx
from rcc_onnx.bundles.reference_outputs import (
    LARGEST_REFERENCE_OUTPUTS,
    ReferenceOutputs,
    read_reference_outputs,
)
from rcc_onnx.errors import BundleError, BundleManifestError, OnnxFormatError

LARGEST_MANIFEST = 2**20
"""Bytes; a manifest has some thousand."""
LARGEST_DOCUMENT = 2**20
"""Bytes; a model card has some thousand."""
LARGEST_NETWORK = 2**31 - 1
"""Bytes; protobuf cannot hold more, so no ONNX file without external data can be larger."""


def network_entries(manifest: Manifest) -> tuple[NetworkEntry, ...]:
    """An entry for each network file of the bundle, every variant of it, plain ones first."""
    entries = (manifest.networks[name] for name in NETWORK_NAMES)
    return tuple(entry.variant(variant) for entry in entries for variant in entry.variant_names)


def largest_file(file: str) -> int:
    """How many bytes a file of a bundle may have."""
    if file == MANIFEST_FILE:
        return LARGEST_MANIFEST
    if file == REFERENCE_OUTPUTS_FILE:
        return LARGEST_REFERENCE_OUTPUTS
    return LARGEST_DOCUMENT if file in DOCUMENTS else LARGEST_NETWORK


def manifest_of_bytes(data: bytes) -> Manifest:
    """Raises BundleManifestError."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise BundleManifestError("is not UTF-8 text") from None
    return Manifest.from_json(text)


def check_network_bytes(data: bytes, entry: NetworkEntry, where: str) -> None:
    """Whether these bytes are the network of the entry. `where` names their file in messages.

    Raises:
        BundleError (bundle-hash): their hash is not the entry's.
        BundleError: other leaves, see `onnx_file.read_onnx` and `onnx_check.check_network`.
    """
    _check_hash(data, entry.sha256, where)
    try:
        summary = read_onnx(data)
    except OnnxFormatError as error:
        raise OnnxFormatError(f"{where}: is no well-formed ONNX file: it {error}") from None
    check_network(summary, entry)


def reference_outputs_of_bytes(
    data: bytes, entry: ReferenceOutputsEntry, where: str
) -> ReferenceOutputs:
    """The stored answers in these bytes, once they have the entry's hash.

    Raises:
        BundleError (bundle-hash): their hash is another.
        BundleError (bundle-reference-outputs): they hold anything but answers.
    """
    _check_hash(data, entry.sha256, where)
    return read_reference_outputs(data, where)


def _check_hash(data: bytes, sha256: str, where: str) -> None:
    digest = hashlib.sha256(data).hexdigest()
    if digest != sha256:
        raise BundleError(
            f"{where}: has SHA-256 {digest}, manifest.json says {sha256}. The file was "
            "changed or damaged: get the bundle again, or convert it again.",
            code="bundle-hash",
        )


def locate_bundle_file(folder: Path, file: str, largest: int) -> Path:
    """The real path of a regular file in the folder; symbolic links may not lead out of it.

    Raises:
        BundleError (bundle-file): there is none, or it is larger than `largest` bytes.
    """
    path = folder / file
    try:
        home, real = folder.resolve(strict=True), path.resolve(strict=True)
        status = real.stat()
    except (OSError, RuntimeError) as error:
        # Path.resolve says a loop of links with RuntimeError before Python 3.13.
        reason = getattr(error, "strerror", None) or "cannot be followed"
        raise BundleError(f"{path}: {reason}", code="bundle-file") from error
    if not real.is_relative_to(home):
        raise BundleError(
            f"{path}: is a link that leads out of the bundle's folder", code="bundle-file"
        )
    if not stat.S_ISREG(status.st_mode):
        raise BundleError(f"{path}: is not a regular file", code="bundle-file")
    if status.st_size > largest:
        raise BundleError(f"{path}: is larger than {largest} bytes", code="bundle-file")
    return real


def read_bundle_file(folder: Path, file: str, largest: int) -> bytes:
    """The bytes of a file that `locate_bundle_file` lets through. Raises BundleError."""
    real = locate_bundle_file(folder, file, largest)
    try:
        return real.read_bytes()
    except OSError as error:
        raise BundleError(
            f"{folder / file}: {error.strerror or 'cannot be read'}", code="bundle-file"
        ) from error
