"""Which files of a case are written beside the JSON and the pictures."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Saving:
    """What was asked for with `--save`."""
