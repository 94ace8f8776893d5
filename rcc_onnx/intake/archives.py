"""Zip archives as sources of DICOM files, with limits: an archive is somebody else's word.

Members are read into memory one at a time, never written anywhere.
"""

import zipfile
import zlib
from pathlib import Path, PurePosixPath

from rcc_onnx.errors import (
    ArchiveDamagedError,
    ArchiveEncryptedError,
    ArchiveTooLargeError,
    ArchiveUnsafeNameError,
)

MAX_MEMBERS = 100_000
"""As many as a folder may hold files."""
MAX_MEMBER_BYTES = 512 * 1024**2
"""One file is held in memory at a time. A multi-frame CT of 1,000 slices of 512x512 just fits."""
MAX_TOTAL_BYTES = 32 * 1024**3
"""A study of 60,000 slices."""
MAX_RATIO = 200
"""CT pixels shrink to a half or a fifth; even blank ones with their headers hardly a
hundredfold. A bomb of plain zip layers starts at a thousandfold."""
RATIO_FREE_BYTES = 64 * 1024**2
"""Below this much unpacked, the ratio does no harm and is not looked at."""


class Archive:
    """An open zip archive whose directory keeps to the limits."""

    def __init__(self, file: zipfile.ZipFile, members: tuple[zipfile.ZipInfo, ...]) -> None:
        self._file = file
        self.members = members

    def read(self, member: str, at_most: int = MAX_MEMBER_BYTES) -> bytes:
        """The first bytes of a member; no more than its entry promises, whatever it unpacks to.

        Raises:
            OSError: it is damaged.
        """
        try:
            with self._file.open(member) as file:
                return file.read(at_most)
        except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, ValueError) as error:
            raise OSError(f"damaged archive member: {type(error).__name__}") from error


def open_archive(path: Path, name: str) -> Archive:
    """The archive at `path`, called `name` in messages, once its directory passed every limit.

    Raises:
        ArchiveError: one of its leaves.
    """
    try:
        file = zipfile.ZipFile(path)
    except Exception as error:  # a damaged directory breaks zipfile in many ways
        raise ArchiveDamagedError(
            f"{name}: no readable zip archive ({type(error).__name__}); copy it again from its "
            "source, or unpack it and give the folder"
        ) from error
    members = tuple(info for info in file.infolist() if not info.is_dir())
    try:
        _check(name, members, path.stat().st_size)
    except Exception:
        file.close()
        raise
    return Archive(file, members)


def _check(name: str, members: tuple[zipfile.ZipInfo, ...], size: int) -> None:
    total = sum(info.file_size for info in members)
    packed = sum(info.compress_size for info in members)
    advice = "unpack it yourself if you trust it, and give the folder"
    if len(members) > MAX_MEMBERS:
        raise ArchiveTooLargeError(f"{name}: more than {MAX_MEMBERS} members; {advice}")
    if total > MAX_TOTAL_BYTES or any(one.file_size > MAX_MEMBER_BYTES for one in members):
        raise ArchiveTooLargeError(
            f"{name}: unpacked it holds {total / 1024**2:.0f} MB, more than "
            f"{MAX_TOTAL_BYTES / 1024**2:.0f} MB in all or {MAX_MEMBER_BYTES / 1024**2:.0f} MB in "
            f"one file; {advice}"
        )
    # Packed members that are longer together than the archive lie on top of one another.
    if packed > size or (total > RATIO_FREE_BYTES and total > MAX_RATIO * max(packed, 1)):
        raise ArchiveTooLargeError(
            f"{name}: it unpacks to more than {MAX_RATIO} times its size, as decompression bombs "
            f"do; {advice}"
        )
    for info in members:
        parts = PurePosixPath(info.filename.replace("\\", "/"))
        if parts.is_absolute() or ".." in parts.parts or ":" in info.filename[:2]:
            raise ArchiveUnsafeNameError(
                f"{name}: it holds a name that leads outside of it; a proper export does not, "
                "so make the archive again from its source"
            )
        if info.flag_bits & 0x1:
            raise ArchiveEncryptedError(
                f"{name}: it is encrypted; unpack it with its password and give the folder"
            )
