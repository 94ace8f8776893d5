"""Where a bundle to be installed comes from: a zip file, a folder, or a URL, all read alike."""

import hashlib
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

from rcc_onnx.bundle_store.archive import LARGEST_ARCHIVE, open_zip
from rcc_onnx.bundles.bundle_files import largest_file, read_bundle_file
from rcc_onnx.errors import BundleError, BundleFolderError, DownloadUrlError, OptionError

PIECE = 2**20
"""Bytes that are read at a time."""


class Source(Protocol):
    """The files of a bundle, wherever they lie. Reading one again may give other bytes."""

    def files(self) -> frozenset[str]:
        """Names of everything that is there."""
        ...

    def label(self, file: str) -> str:
        """How messages call a file."""
        ...

    def read(self, file: str) -> bytes:
        """A file's bytes. Raises BundleError if there is none, or none that a bundle can have."""
        ...


@dataclass(frozen=True)
class FolderSource:
    """The files of a bundle in a folder. Links that lead out of it are refused."""

    folder: Path

    def files(self) -> frozenset[str]:
        try:
            return frozenset(os.listdir(self.folder))  # noqa: PTH208  names only
        except OSError as error:
            raise BundleFolderError(
                f"{self.folder}: {error.strerror or 'cannot be listed'}"
            ) from error

    def label(self, file: str) -> str:
        return str(self.folder / file)

    def read(self, file: str) -> bytes:
        return read_bundle_file(self.folder, file, largest_file(file))


@contextmanager
def open_zip_file(path: Path, sha256: str | None, where: str) -> Iterator[Source]:
    """The bundle in a zip file, whose own hash is compared before anything in it is looked at.

    `where` names the file in messages.

    Raises:
        BundleError (bundle-sha256): the file has another hash.
        BundleError: one of its leaves.
        BundleFolderError (bundle-source): it cannot be read.
    """
    try:
        # Hash and content come from one open file, so that nobody can change it in between.
        stream = path.open("rb")
    except OSError as error:
        raise BundleFolderError(
            f"{path}: {error.strerror or 'cannot be read'}", code="bundle-source"
        ) from error
    with stream:
        if sha256 is not None:
            same_hash(stream_sha256(stream, path), sha256, where)
        yield open_zip(stream, where)


def stream_sha256(stream: BinaryIO, path: Path) -> str:
    """Of a whole file, from its first byte. Raises BundleError."""
    digest, done = hashlib.sha256(), 0
    try:
        stream.seek(0)
        while piece := stream.read(PIECE):
            digest.update(piece)
            done += len(piece)
            if done > LARGEST_ARCHIVE:
                raise BundleError(
                    f"{path}: is larger than {LARGEST_ARCHIVE} bytes",
                    code="bundle-archive-too-large",
                )
    except OSError as error:
        raise BundleFolderError(
            f"{path}: {error.strerror or 'cannot be read'}", code="bundle-source"
        ) from error
    return digest.hexdigest()


def same_hash(found: str, expected: str, where: str) -> None:
    """Raises BundleError."""
    if found != expected:
        raise BundleError(
            f"{where}: has SHA-256 {found}, not {expected}. It is another file than the one that "
            "was meant, or damaged: compare the number with its source, or get the file again.",
            code="bundle-sha256",
        )


def is_url(text: str) -> bool:
    """Whether a user meant a URL.

    Raises:
        DownloadUrlError: they did, but one that is never fetched, such as ftp: or file:.
    """
    scheme = re.match(r"([A-Za-z][A-Za-z0-9+.-]+):/", text)
    if scheme is None:
        return False
    if scheme[1].lower() not in {"http", "https"}:
        raise DownloadUrlError(
            f"{scheme[1]}: is not fetched, only http and https are. Give a file or folder by its "
            "path."
        )
    return True


def checked_sha256(text: str | None) -> str | None:
    """64 hexadecimal digits, in lower case. Raises OptionError."""
    if text is None:
        return None
    digits = text.strip().lower()
    if not re.fullmatch(r"[0-9a-f]{64}", digits):
        raise OptionError(
            f"--sha256 must be 64 hexadecimal digits, not {text[:80]!r}. `certutil -hashfile FILE "
            "SHA256` or `sha256sum FILE` prints them."
        )
    return digits
