"""Every command, argument and option is documented, and every example of the help can be typed."""

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.main import get_command
from typer.testing import CliRunner

from rcc_onnx.cli.app import app

PAGE = Path(__file__).parents[2] / "docs" / "commands.md"
EXAMPLE = re.compile(r"^Example: (rcc-onnx\b.*)$", re.MULTILINE)
TERMINAL_WIDTH = 80


def commands(command: Any, name: str) -> Iterator[tuple[str, Any]]:
    """Yield each command below this one that has no subcommands, with its full name."""
    for below, child in getattr(command, "commands", {}).items():
        yield from commands(child, f"{name} {below}")
    if not hasattr(command, "commands"):
        yield name, command


COMMANDS = dict(commands(get_command(app), "rcc-onnx"))
each_command = pytest.mark.parametrize("name", COMMANDS)


def parse(line: str) -> list[str]:
    """Let the parser take a command line, without running it; return what it did not know."""
    program, *arguments = shlex.split(line)
    assert program == "rcc-onnx"
    command: Any = get_command(app)
    context = typer.Context(command, info_name=program)
    while hasattr(command, "commands"):
        # Only a group's own options would stand before the subcommand, and no example has any.
        context = command.make_context(command.name, arguments[:1], parent=context)
        name, command, _ = command.resolve_command(context, arguments)
        arguments = arguments[1:]
    with command.make_context(name, list(arguments), parent=context) as made:
        return list(made.args)


def test_the_page_is_what_typer_writes() -> None:
    command = [sys.executable, "-m", "typer", "rcc_onnx.cli.app", "utils", "docs"]
    command += ["--name", "rcc-onnx", "--title", "Commands"]
    written = subprocess.run(command, capture_output=True, encoding="utf-8", check=True).stdout
    assert PAGE.read_text(encoding="utf-8").strip() == written.strip(), "run: make pages"


def test_markdown_hides_nothing_of_the_page() -> None:
    prose = re.sub(r"```.*?```|`[^`\n]*`", "", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    assert re.findall(r"<\w+>", prose) == [], "taken for HTML; write CASE in place of <case>"


@each_command
def test_everything_is_explained(name: str) -> None:
    command = COMMANDS[name]
    assert EXAMPLE.sub("", command.help or "").strip(), "no docstring"
    unexplained = [
        parameter.name
        for parameter in command.params
        if not getattr(parameter, "hidden", False) and not (parameter.help or "").strip()
    ]
    assert unexplained == []


@each_command
def test_there_is_an_example_and_it_can_be_typed(name: str) -> None:
    examples = EXAMPLE.findall(COMMANDS[name].help or "")
    assert examples, 'the docstring needs a paragraph "Example: rcc-onnx ..."'
    assert any(f"{line} ".startswith(f"{name} ") for line in examples)
    for line in examples:
        assert parse(line) == [], line


@each_command
def test_the_help_is_readable_in_80_columns(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(TERMINAL_WIDTH))
    monkeypatch.setenv("TERMINAL_WIDTH", str(TERMINAL_WIDTH))
    result = CliRunner().invoke(app, [*name.split()[1:], "--help"], prog_name="rcc-onnx")
    assert result.exit_code == 0
    lines = result.output.splitlines()
    assert max(map(len, lines)) <= TERMINAL_WIDTH
    assert "[[" not in result.output, "an argument's metavar needs no brackets of its own"
    for example in EXAMPLE.findall(COMMANDS[name].help or ""):
        assert f"Example: {example}" in map(str.strip, lines), "an example stands alone on its line"


@pytest.mark.parametrize("line", ["rcc-onnx infer", "rcc-onnx infer x --no-such-option"])
def test_an_example_that_cannot_be_typed_is_noticed(line: str) -> None:
    with pytest.raises(Exception, match=r"(?i)missing|no such option"):
        parse(line)
