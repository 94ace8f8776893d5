r"""SHA256SUMS: hashes of files, in the format that `sha256sum --check` of coreutils reads.

A line is the hash in hex, a space, `*`, and the name from the folder that holds the list, with `/`.
Where the name holds a backslash, a line feed or a carriage return, those stand as `\\`, `\n` and
`\r`, and the line starts with a backslash. Names are bytes, as the system has them.
"""

import os
import re
from collections.abc import Mapping

from rcc_onnx.errors import SumsFormatError

SUMS_NAME = "SHA256SUMS"

_LINE = re.compile(rb"(\\?)([0-9a-f]{64}) [ *](.+)", re.DOTALL)
_ESCAPES = {b"\\": b"\\\\", b"\n": b"\\n", b"\r": b"\\r"}
_MEANT = {written: meant for meant, written in _ESCAPES.items()}


def sums_bytes(sums: Mapping[str, str]) -> bytes:
    """Return the list of hashes by name, sorted by the names' bytes."""
    lines = sorted((os.fsencode(name), sha256.encode()) for name, sha256 in sums.items())
    return b"".join(_line(name, sha256) for name, sha256 in lines)


def read_sums(data: bytes) -> dict[str, str]:
    """Return hashes by name. Empty lines are skipped.

    Raises:
        SumsFormatError: a line is something else or cut short, or names a file twice, or one that
            is outside the folder.
    """
    found: dict[str, str] = {}
    lines = data.split(b"\n")
    if lines.pop():
        raise SumsFormatError(
            f"{SUMS_NAME} is cut short: its last line does not end. Take it from a copy of the "
            "results, or analyse again"
        )
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        parts = _LINE.fullmatch(line.removesuffix(b"\r"))
        name = None if parts is None else _name(parts[3], escaped=bool(parts[1]))
        if parts is None or name is None or name in found or not _is_below(name):
            raise SumsFormatError(
                f"{SUMS_NAME}, line {number}: not a hash and the name of a file of this folder, or "
                "one that another line has; the file was changed or damaged"
            )
        found[name] = parts[2].decode()
    return found


def _line(name: bytes, sha256: bytes) -> bytes:
    written = re.sub(rb"[\\\n\r]", lambda found: _ESCAPES[found[0]], name)
    return (b"\\" if written != name else b"") + sha256 + b" *" + written + b"\n"


def _name(written: bytes, *, escaped: bool) -> str | None:
    """Return the name that is written; None for an unknown escape."""
    if escaped:
        if re.search(rb"\\(?![\\nr])", re.sub(rb"\\\\", b"", written)):
            return None
        written = re.sub(rb"\\[\\nr]", lambda found: _MEANT[found[0]], written)
    return os.fsdecode(written)


def _is_below(name: str) -> bool:
    """Return whether a name cannot lead out of the folder, on any system."""
    parts = name.split("/")
    if os.name == "nt" and ("\\" in name or ":" in name):
        return False
    return "\0" not in name and not any(part in ("", ".", "..") for part in parts)
