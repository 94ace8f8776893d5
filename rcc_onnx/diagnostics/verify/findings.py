"""What a check may find."""

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """Of a difference."""

    CHANGED = "changed"
    MISSING = "missing"
    UNREADABLE = "unreadable"
    NOT_LISTED = "not listed"
    HALF_DONE = "half done"
    INVALID = "invalid"
    RENAMED = "renamed"
    DISAGREES = "disagrees"


@dataclass(frozen=True)
class Finding:
    """One difference. `name` is the file's, from the folder of results."""

    kind: Kind
    name: str
    text: str
