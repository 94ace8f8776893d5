"""Inspects the source files before anything is loaded or built, and without TensorFlow.

`inspect_files` hashes a file and recognises the published ones, reads it in a process of its own
first, since the HDF5 library can crash on a damaged file, and checks the network that it describes.
"""

import hashlib
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from convert.errors import (
    ConvertError,
    DamagedFileError,
    NotHdf5Error,
    SourceMissingError,
    TooLargeError,
)
from convert.keras.architecture import (
    Architecture,
    check_declared_sizes,
    check_roles,
    read_architecture,
)
from convert.keras.hdf5 import KerasFile, read_keras_file
from rcc_onnx.bundles.manifest import ByNetwork, SourceFile
from rcc_onnx.types import NETWORK_NAMES, NetworkName

PUBLISHED_GIT_BLOBS = ByNetwork(
    kidney="e068b1f1860717c08e366819fcb3a1062c8925c5",
    lesion="00bae78e0a274dfc6891c5c2363e470210cc0541",
)
"""Git's own names for the published files (the published pipeline, section 5)."""

MAX_FILE_BYTES = 4 << 30
"""The published files are of the order of 100 MB, optimizer state included."""

HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"

PROBE_TIMEOUT_S = 300
"""A file of the largest size that is read takes some seconds; a damaged one may never end."""

_PROBE = (
    "import sys; sys.path.insert(0, sys.argv[1]); from convert.keras import source; source.probe()"
)
_CHUNK_BYTES = 1 << 20
# How files that are often saved by mistake begin, and what to do about each.
_LOOKALIKES = (
    (b"version https://git-lfs", "a Git LFS pointer: fetch the file itself with `git lfs pull`"),
    (b"<", "a web page: download the file itself (on GitHub: the 'Download raw file' button)"),
    (b"{", "a JSON text; a whole model is one HDF5 file, as model.save() of Keras 2 writes it"),
    (b"PK\x03\x04", "a zip archive (perhaps a .keras file of Keras 3): save the network as HDF5"),
    (b"\x1f\x8b", "a gzip archive: unpack it first"),
)


@dataclass(frozen=True)
class InspectedSource:
    """A source file that can be converted, as far as can be seen without TensorFlow."""

    source: SourceFile
    keras: KerasFile
    architecture: Architecture


def inspect_files(paths: ByNetwork[Path]) -> ByNetwork[InspectedSource]:
    """Hash, read and check both source files. Raises a leaf of ConvertError."""
    parts = {}
    for network in NETWORK_NAMES:
        source = identify(paths[network], network)
        check_readable(paths[network])
        keras = read_keras_file(paths[network])
        architecture = read_architecture(keras.config, keras.keras_version, source.file)
        check_declared_sizes(architecture, keras.weights, source.file)
        parts[network] = InspectedSource(source, keras, architecture)
    inspected = ByNetwork(parts["kidney"], parts["lesion"])
    check_roles(
        ByNetwork(inspected.kidney.architecture, inspected.lesion.architecture),
        ByNetwork(inspected.kidney.source.file, inspected.lesion.source.file),
    )
    return inspected


def identify(path: Path, network: NetworkName) -> SourceFile:
    """Hash one Keras file.

    Returns name, SHA-256, git blob id (what `git hash-object` prints) and whether that id is the
    published one for `network`.

    Raises SourceMissingError, NotHdf5Error (also for an empty file) or TooLargeError.
    """
    try:
        size = path.stat().st_size
        if not path.is_file():
            raise SourceMissingError(f"{path} is not a file; give the Keras HDF5 file itself")
        if size > MAX_FILE_BYTES:
            raise TooLargeError(f"{path.name} has {size} bytes; at most {MAX_FILE_BYTES} are read")
        sha256 = hashlib.sha256()
        git_blob = hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False)
        with path.open("rb") as stream:
            _refuse_other_files(path, stream.read(512))
            stream.seek(0)
            while chunk := stream.read(_CHUNK_BYTES):
                sha256.update(chunk)
                git_blob.update(chunk)
    except OSError as problem:
        if isinstance(problem, SourceMissingError):
            raise
        reason = problem.strerror or str(problem)
        raise SourceMissingError(f"{path} cannot be opened: {reason}") from problem
    blob = git_blob.hexdigest()
    return SourceFile(path.name, sha256.hexdigest(), blob, blob == PUBLISHED_GIT_BLOBS[network])


def _refuse_other_files(path: Path, start: bytes) -> None:
    if start.startswith(HDF5_SIGNATURE):
        return
    if not start:
        raise NotHdf5Error(f"{path.name} is empty; copy or download it again")
    for beginning, meaning in _LOOKALIKES:
        if start.lstrip().startswith(beginning):
            raise NotHdf5Error(f"{path.name} is not an HDF5 file but {meaning}")
    problem = "is not an HDF5 file; give the whole model as model.save() of Keras 2 wrote it"
    raise NotHdf5Error(f"{path.name} {problem}")


def check_readable(path: Path) -> None:
    """Read `path` in another process and check that it ends.

    An error that reading raises there is left to `read_keras_file`, which raises it again.

    Raises DamagedFileError if the process crashes or does not end.
    """
    checkout = Path(__file__).resolve().parents[2]
    try:
        ended = subprocess.run(
            [sys.executable, "-c", _PROBE, checkout, path],
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=PROBE_TIMEOUT_S,
        )
    except subprocess.TimeoutExpired:
        reason = f"did not end within {PROBE_TIMEOUT_S} s"
    else:
        if ended.returncode == 0:
            return
        reason = f"crashed, code {ended.returncode}"
    raise DamagedFileError(
        f"{path.name} is damaged; copy or download it again (the HDF5 library {reason})"
    )


def probe() -> None:
    """Read the file that the command line of this process names."""
    with suppress(ConvertError):
        read_keras_file(Path(sys.argv[2]))
