"""What strace saw: calls that have to do with a network, and files that were written to."""

import re
from collections.abc import Iterable
from pathlib import Path

_WRITING = "creat,rename,renameat,renameat2,link,linkat,symlink,symlinkat,mkdir,mkdirat"
_OPENING = "open,openat,openat2"
_WATCHED = f"%network,{_OPENING},{_WRITING},mknod,mknodat,truncate"
_TO_WRITE = ("O_WRONLY", "O_RDWR", "O_CREAT", "O_TRUNC", "O_APPEND")

_CALL = re.compile(r"^\d+ +(?P<name>\w+)\((?P<rest>.*)$")
_PATH = re.compile(r'(?:(?:AT_FDCWD|\d+)<(?P<folder>[^>]*)>, )?"(?P<path>[^"]*)"')

BETWEEN_PROCESSES = re.compile(
    r"socketpair\(AF_UNIX, SOCK_STREAM(\|SOCK_CLOEXEC)?, 0, |getsockname\(\d+<.*sa_family=AF_UNIX}"
)
"""Python's pipe between a run and the process that analyses its cases. It has no address, so
nothing else can be at its other end."""


def strace(trace: Path) -> tuple[str, ...]:
    """What to put before a command, so that `trace` tells of it and of what it starts."""
    return ("strace", "-f", "-y", "-qq", "-s", "4096", "--seccomp-bpf", f"--trace={_WATCHED}",
            "-o", str(trace))  # fmt: skip


def network_calls(trace: Path) -> list[str]:
    """Every call that has to do with sockets, but for those between the processes of a run."""
    return [
        line
        for line, name, _ in _calls(trace)
        if name not in _NAMES_OF_FILES and not BETWEEN_PROCESSES.search(line)
    ]


def written_outside(trace: Path, work: Path, allowed: Iterable[Path]) -> list[str]:
    """The calls that make, change or rename a file in none of the folders, or try to.

    Args:
        trace: of a program that stays in the folder in which it was started.
        work: that folder.
        allowed: the folders, and files.
    """
    folders = tuple(allowed)
    found = []
    for line, name, rest in _calls(trace):
        if name not in _NAMES_OF_FILES:
            continue
        if name in _OPENING.split(",") and not any(flag in rest for flag in _TO_WRITE):
            continue
        # The folders must lie somewhere; and `doctor` sees whether they could be made by a file
        # that has no name.
        may_be_above = name.startswith("mkdir") or "O_TMPFILE" in rest
        places = [Path(one["folder"] or work, one["path"]) for one in _PATH.finditer(rest)]
        for place in places:
            above = may_be_above and any(one.is_relative_to(place) for one in folders)
            if not above and not any(place.is_relative_to(one) for one in folders):
                found.append(line)
    return found


_NAMES_OF_FILES = frozenset(f"{_OPENING},{_WRITING},mknod,mknodat,truncate".split(","))


def _calls(trace: Path) -> list[tuple[str, str, str]]:
    """Each call's line, its name, and what follows. What was broken off and resumed comes once."""
    lines = trace.read_text(errors="replace").splitlines()
    matches = [(line, _CALL.match(line)) for line in lines]
    return [(line, one["name"], one["rest"]) for line, one in matches if one]
