"""What shells are told when Tab is pressed, and the scripts that make them ask."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from rcc_onnx.cli.app import COMPLETE_VARIABLE, Shell, app


def asked(shell: str, line: str) -> str:
    """What the program answers a shell whose input is that line, the cursor at its end."""
    words = line.split(" ")
    environ = {
        **os.environ,
        COMPLETE_VARIABLE: f"complete_{shell}",
        "COMP_WORDS": line,
        "COMP_CWORD": str(len(words) - 1),
        "_TYPER_COMPLETE_ARGS": line,
        "_TYPER_COMPLETE_WORD_TO_COMPLETE": words[-1],
        "_TYPER_COMPLETE_FISH_ACTION": "get-args",
    }
    command = [sys.executable, "-m", "rcc_onnx"]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return done.stdout


def script(shell: str) -> str:
    result = CliRunner().invoke(app, ["completion", shell], prog_name="rcc-onnx")
    assert result.exit_code == 0
    return result.output


@pytest.mark.parametrize("shell", Shell)
def test_every_shell_gets_a_script_that_asks(shell: Shell) -> None:
    said = script(shell)
    assert COMPLETE_VARIABLE in said
    assert f"complete_{shell}" in said
    assert "rcc-onnx" in said


@pytest.mark.parametrize("shell", Shell)
def test_every_shell_gets_words(shell: Shell) -> None:
    said = asked(shell, "rcc-onnx models ver")
    assert "verify" in said
    assert "list" not in said


def test_commands_options_and_values_are_offered() -> None:
    assert asked("bash", "rcc-onnx mo").split() == ["models"]
    assert asked("bash", "rcc-onnx infer --work").split() == ["--workers"]
    assert "notebook" in asked("bash", "rcc-onnx infer --profile ").split()
    # Nothing is said where the shell's own names of files belong.
    assert asked("bash", "rcc-onnx infer /").split() == []


@pytest.mark.skipif(shutil.which("bash") is None, reason="NOT TESTED HERE: there is no bash")
def test_bash_takes_the_script(tmp_path: Path) -> None:
    program = tmp_path / "rcc-onnx"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m rcc_onnx "$@"\n')
    program.chmod(0o755)
    lines = f"""{script("bash")}
COMP_WORDS=(rcc-onnx models rem); COMP_CWORD=2
_rcc_onnx_completion rcc-onnx
echo "${{COMPREPLY[*]}}"
complete -p rcc-onnx"""
    environ = {**os.environ, "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", "--norc", "-c", lines], env=environ, capture_output=True, text=True, check=True
    )
    words, registered = done.stdout.splitlines()
    assert words == "remove"
    assert "_rcc_onnx_completion" in registered


def test_asking_for_a_script_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for shell in Shell:
        script(shell)
    assert list(tmp_path.iterdir()) == []


def test_there_is_no_option_that_edits_the_shells_settings() -> None:
    assert "completion" in CliRunner().invoke(app, ["--help"]).output
    assert CliRunner().invoke(app, ["--install-completion"]).exit_code == 2
