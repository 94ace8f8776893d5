"""Runs under strace and in namespaces of their own: without a network, with small disks."""

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

from tests.support.peers import missing

LIMIT_S = 300


@cache
def unshared(*kinds: str) -> tuple[str, ...]:
    """What to put before a command so that it gets namespaces of its own, such as `--net`.

    Where the system does not give them, the test is skipped and says so, or fails where
    TEST_PEERS=required, as in .ci/run.
    """
    as_root = () if os.name != "posix" or os.geteuid() == 0 else ("--user", "--map-root-user")
    command = ("unshare", *as_root, *kinds)
    needs("unshare")
    if subprocess.run([*command, "true"], capture_output=True, check=False).returncode != 0:
        missing(f"unshare {' '.join(kinds)}")
    return command


def needs(program: str) -> None:
    if shutil.which(program) is None:
        missing(program)


def run_there(
    command: Sequence[str | Path], cwd: Path, environment: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    """Run a command with nothing in its environment but what is given."""
    return subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=dict(environment),
        capture_output=True,
        text=True,
        errors="replace",
        timeout=LIMIT_S,
        check=False,
    )
