"""The files of one bundle in memory, every network checked. What is not there is never written."""

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from rcc_onnx.bundle_store.archive import bundle_zip
from rcc_onnx.bundle_store.sources import FolderSource, Source
from rcc_onnx.bundles.bundle_files import (
    check_network_bytes,
    largest_file,
    manifest_of_bytes,
    network_entries,
    read_bundle_file,
    reference_outputs_of_bytes,
)
from rcc_onnx.bundles.manifest import DOCUMENTS, MANIFEST_FILE, Manifest
from rcc_onnx.errors import BundleError


@dataclass(frozen=True)
class Content:
    """A bundle whose networks are what its manifest says.

    Attributes:
        files: name to bytes: the manifest, the networks, the stored answers if it has some, and
            those documents that are there.
        others: names of what else the source holds.
    """

    manifest: Manifest
    files: Mapping[str, bytes]
    others: tuple[str, ...]

    def as_zip(self) -> bytes:
        """The zip file of the bundle: always the same for the same bundle, on every machine."""
        return bundle_zip(self.manifest.name, self.files)

    def sha256(self) -> str:
        """Of that zip file: a number for the whole bundle."""
        return hashlib.sha256(self.as_zip()).hexdigest()

    def is_in(self, folder: Path) -> bool:
        """Whether the folder holds just this bundle."""
        if set(FolderSource(folder).files()) != set(self.files):
            return False
        try:
            return all(
                read_bundle_file(folder, file, largest_file(file)) == data
                for file, data in self.files.items()
            )
        except BundleError:
            return False

    def write(self, folder: Path) -> None:
        """Write the files into an empty folder, and see that they are on the disk."""
        for file, data in self.files.items():
            with (folder / file).open("xb") as stream:
                stream.write(data)
                stream.flush()
                # A power cut after the folder is renamed must not leave empty files in it.
                os.fsync(stream.fileno())


def read_content(source: Source) -> Content:
    """Read and check a bundle, wherever it lies.

    Raises:
        BundleError: the manifest breaks the schema, a file is missing, or a network is not what
            the manifest says.
    """
    manifest = manifest_of_bytes(data := source.read(MANIFEST_FILE))
    files = {MANIFEST_FILE: data}
    for entry in network_entries(manifest):
        files[entry.file] = source.read(entry.file)
        check_network_bytes(files[entry.file], entry, source.label(entry.file))
    if manifest.reference_outputs is not None:
        file = manifest.reference_outputs.file
        files[file] = source.read(file)
        reference_outputs_of_bytes(files[file], manifest.reference_outputs, source.label(file))
    there = source.files()
    files |= {file: source.read(file) for file in DOCUMENTS if file in there}
    return Content(manifest, files, tuple(sorted(there - set(files))))
