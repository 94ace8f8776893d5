"""The program as a whole: its version, its help, and the completion of words in shells."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from rcc_onnx import __version__
from rcc_onnx.cli.app import COMPLETE_VARIABLE, Shell, app, models_app
from tests.support.commands import run

README = Path(__file__).parents[2] / "README.md"


def test_the_version_is_printed_without_heavy_imports() -> None:
    code = (
        "import sys\nfrom rcc_onnx.cli.app import app\n"
        "try:\n    app(['--version'])\nexcept SystemExit:\n    pass\n"
        "print(sorted({name.split('.')[0] for name in sys.modules}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    version, modules = done.stdout.splitlines()
    assert version == f"rcc-onnx {__version__}"
    for heavy in ("numpy", "scipy", "onnxruntime", "pydicom", "PIL", "rich", "tensorflow"):
        assert f"'{heavy}'" not in modules
    assert "'typer'" in modules


def commands() -> Iterator[tuple[str, str]]:
    """Yield every command, and its help."""
    for prefix, group in (("", app), ("models ", models_app)):
        for command in group.registered_commands:
            assert command.callback is not None
            name = command.name or command.callback.__name__
            yield prefix + name, command.callback.__doc__ or ""


@pytest.mark.parametrize(("name", "text"), list(commands()))
def test_every_command_has_an_example_and_is_in_the_readme(name: str, text: str) -> None:
    assert f"Example: rcc-onnx {name}" in text
    page = README.read_text(encoding="utf-8")
    group, _, last = name.partition(" ")
    assert f"rcc-onnx {group}" in page
    assert not last or f"`{last}`" in page or f"rcc-onnx {name}`" in page


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(["nonsense"], "No such command"), (["infer"], "Missing argument"),
     (["infer", ".", "--nonsense"], "No such option"),
     (["--install-completion"], "No such option")],
)  # fmt: skip
def test_unknown_words_end_with_exit_code_2(arguments: list[str], message: str) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert message in result.output


def complete(shell: str, line: str) -> str:
    """Return the program's answer to a shell whose input is that line, the cursor at its end."""
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
def test_every_shell_gets_a_script_and_words(
    shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    text = script(shell)
    assert COMPLETE_VARIABLE in text
    assert f"complete_{shell}" in text
    assert "rcc-onnx" in text
    assert list(tmp_path.iterdir()) == []
    words = complete(shell, "rcc-onnx models ver")
    assert "verify" in words
    assert "list" not in words


def test_commands_options_and_values_are_offered() -> None:
    assert complete("bash", "rcc-onnx mo").split() == ["models"]
    assert complete("bash", "rcc-onnx infer --work").split() == ["--workers"]
    assert "notebook" in complete("bash", "rcc-onnx infer --profile ").split()
    # The shell itself completes names of files.
    assert complete("bash", "rcc-onnx infer /").split() == []


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
