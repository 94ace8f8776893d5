"""Every benchmark is one command that has help and is documented."""

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.__main__ import QUICK, SCRIPTS

ROOT = Path(__file__).parents[2]
COMMANDS = ("measuring_networks", *SCRIPTS)


@pytest.mark.parametrize("name", COMMANDS)
def test_each_has_help_and_is_documented(name: str) -> None:
    command = [sys.executable, "-m", f"benchmarks.{name}", "--help"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert f"benchmarks.{name}" in done.stdout
    page = (ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    assert f"`python -m benchmarks.{name}" in page


def test_quick_options_are_those_of_the_commands() -> None:
    assert set(QUICK) == set(SCRIPTS)
    for name, options in QUICK.items():
        command = [sys.executable, "-m", f"benchmarks.{name}", *options, "--help"]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
        assert all(one in done.stdout for one in options if one.startswith("--"))
