"""Studies that arrive piece by piece: when one is complete, and when to try again what failed.

Network shares announce no changes, so studies are looked at again and again. Sizes and dates are
compared with those of the snapshot before and with nothing else, and seconds are those of a clock
that is never set back: clocks of shares and scanners are wrong.
"""

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

TEMPORARY_SUFFIXES = (
    ".part",
    ".partial",
    ".filepart",
    ".tmp",
    ".temp",
    ".crdownload",
    ".download",
    "~",
)
"""Ends of names that programs give to files until they are copied completely."""
SYSTEM_FILES = frozenset({".ds_store", "thumbs.db", "desktop.ini"})
"""Files that systems create in a folder that was viewed."""

FIRST_PAUSE_S = 5.0
LONGEST_PAUSE_S = 300.0
"""Between two tries. They become fewer: a share may be away for a weekend."""


@dataclass(frozen=True)
class Snapshot:
    """State of a study's files. Another snapshot of the same state is equal.

    Attributes:
        files: how many.
        temporary: how many of them have names of files that are still being copied.
        digest: SHA-256 of their names, sizes and dates.
    """

    files: int
    temporary: int
    digest: str


def take_snapshot(study: Path) -> Snapshot | None:
    """Return the state of a study, a folder or a file, without reading its files.

    None: it has no file, or is not there. Links to folders are not followed. A file that is removed
    meanwhile is left out, so that the next snapshot differs.
    """
    lines, temporary = [], 0
    for path in _files(study):
        try:
            found = path.stat()
        except OSError:  # a dangling link, or removed since it was listed
            facts = b"?"
        else:
            facts = b"%d %d" % (found.st_size, found.st_mtime_ns)
            temporary += is_temporary(path.name)
        lines.append(os.fsencode(path.relative_to(study)) + b"\0" + facts + b"\0")
    if not lines:
        return None
    return Snapshot(len(lines), temporary, hashlib.sha256(b"".join(sorted(lines))).hexdigest())


def is_temporary(name: str) -> bool:
    """Return whether a file or folder has a name of those that are still being copied."""
    return name.lower().endswith(TEMPORARY_SUFFIXES) or name.startswith("~$")


def _files(study: Path) -> Iterator[Path]:
    if study.is_file():
        yield study
        return
    for folder, _, names in os.walk(study, followlinks=False):
        yield from (Path(folder, name) for name in names if name.lower() not in SYSTEM_FILES)


@dataclass
class Arrivals:
    """Studies that are arriving, by key, each with its last snapshot and the time of it."""

    stable_s: float
    _since: dict[str, tuple[Snapshot, float]] = field(default_factory=dict)

    def has_settled(self, key: str, snapshot: Snapshot, now: float) -> bool:
        """Take in a snapshot and return whether the study has been like that for long enough."""
        before, since = self._since.get(key, (None, now))
        if before != snapshot:
            self._since[key] = (snapshot, now)
            return self.stable_s <= 0
        return now - since >= self.stable_s

    def restart(self, key: str, now: float) -> None:
        """Count anew for a study."""
        if key in self._since:
            self._since[key] = (self._since[key][0], now)

    def restart_all(self, now: float) -> None:
        """Count anew for all, as after a time in which none could be seen."""
        for key in self._since:
            self.restart(key, now)

    def forget(self, key: str) -> None:
        """Drop a study that is gone or done."""
        self._since.pop(key, None)

    def __contains__(self, key: str) -> bool:
        return key in self._since

    def __iter__(self) -> Iterator[str]:
        return iter(self._since)


@dataclass
class Backoff:
    """Pauses between tries of something that fails for all studies, as a share that is away."""

    next_try: float = 0.0
    _pause_s: float | None = None

    @property
    def active(self) -> bool:
        """The last try failed."""
        return self._pause_s is not None

    def record_failure(self, now: float) -> bool:
        """Take in a failed try and return whether it is the first one."""
        is_first = self._pause_s is None
        self._pause_s = min(2 * (self._pause_s or FIRST_PAUSE_S / 2), LONGEST_PAUSE_S)
        self.next_try = now + self._pause_s
        return is_first

    def reset(self) -> bool:
        """Take in a try that succeeded and return whether the one before failed."""
        was_active, self._pause_s = self.active, None
        return was_active

    def should_wait(self, now: float) -> bool:
        """Return whether it is too early for another try."""
        return self.active and now < self.next_try
