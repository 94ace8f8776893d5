"""Which file this is: its hashes, and whether it is one of the two published files."""

import hashlib
from pathlib import Path

from convert.errors import NotHdf5Error, SourceMissingError, TooLargeError
from rcc_onnx.bundles.manifest import ByNetwork, NetworkName, SourceFile

PUBLISHED_GIT_BLOBS = ByNetwork(
    kidney="e068b1f1860717c08e366819fcb3a1062c8925c5",
    lesion="00bae78e0a274dfc6891c5c2363e470210cc0541",
)
"""Git's own names for the published files (the published pipeline, section 5)."""

MAX_FILE_BYTES = 4 << 30
"""The published files are of the order of 100 MB, optimizer state included."""

HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"

_CHUNK_BYTES = 1 << 20
# How files that are often saved under the name of another begin, and what to do about each.
_LOOKALIKES = (
    (b"version https://git-lfs", "a Git LFS pointer: fetch the file itself with `git lfs pull`"),
    (b"<", "a web page: download the file itself (on GitHub: the 'Download raw file' button)"),
    (b"{", "a JSON text; a whole model is one HDF5 file, as model.save() of Keras 2 writes it"),
    (b"PK\x03\x04", "a zip archive (perhaps a .keras file of Keras 3): save the network as HDF5"),
    (b"\x1f\x8b", "a gzip archive: unpack it first"),
)


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
            _refuse_lookalikes(path, stream.read(512))
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


def _refuse_lookalikes(path: Path, start: bytes) -> None:
    if start.startswith(HDF5_SIGNATURE):
        return
    if not start:
        raise NotHdf5Error(f"{path.name} is empty; copy or download it again")
    for beginning, meaning in _LOOKALIKES:
        if start.lstrip().startswith(beginning):
            raise NotHdf5Error(f"{path.name} is no HDF5 file but {meaning}")
    problem = "is no HDF5 file; give the whole model as model.save() of Keras 2 wrote it"
    raise NotHdf5Error(f"{path.name} {problem}")
