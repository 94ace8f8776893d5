"""Every benchmark is one command that has help and is documented."""

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.__main__ import QUICK, SCRIPTS

ROOT = Path(__file__).parents[2]
COMMANDS = ("measuring_networks", *SCRIPTS)


@pytest.mark.parametrize("name", COMMANDS)
def test_each_has_help_that_knows_its_quick_options_and_is_documented(name: str) -> None:
    command = [sys.executable, "-m", f"benchmarks.{name}", *QUICK.get(name, ()), "--help"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    expected = [option for option in QUICK.get(name, ()) if option.startswith("--")]
    assert all(text in done.stdout for text in (f"benchmarks.{name}", *expected))
    page = (ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    assert f"`python -m benchmarks.{name}" in page


def test_every_benchmark_has_a_quick_form() -> None:
    assert set(QUICK) == set(SCRIPTS)
