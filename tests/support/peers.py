"""Programs that tests are compared with, where they are installed."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest


def missing(name):
    """Skip and say so; with TEST_PEERS=required, as in .ci/run, fail."""
    text = f"NOT TESTED HERE: {name} is not available"
    if os.environ.get("TEST_PEERS") == "required":
        pytest.fail(text)
    pytest.skip(text)


def run_peer(*command: str | Path) -> str:
    """What a program prints, on both streams. It must end well."""
    name = str(command[0])
    if shutil.which(name) is None:
        missing(name)
    done = subprocess.run(
        [str(part) for part in command],
        capture_output=True,
        errors="replace",
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr
