"""No command, argument or option is undocumented, and every example of the help can be typed."""

import importlib.util
import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import typer
from typer.main import get_command
from typer.testing import CliRunner

from rcc_onnx.cli.app import app

DOCS = Path(__file__).parents[2] / "docs"
WIDTH = 80
"""Of a terminal as it opens."""


def load_maker() -> ModuleType:
    spec = importlib.util.spec_from_file_location(
        "make_commands_page", DOCS / "make_commands_page.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # Dataclasses ask for the module of their annotations.
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


MAKER = load_maker()
COMMANDS = {one.name: one for one in MAKER.commands()}
names = pytest.mark.parametrize("name", COMMANDS)


def parse(line: str) -> list[str]:
    """Let the parser take a command line, without running it; give back what it did not know."""
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


def test_the_pages_are_what_the_commands_say() -> None:
    again = "run: python docs/make_commands_page.py"
    assert (DOCS / "commands.md").read_text(encoding="utf-8") == MAKER.page(), again
    assert (DOCS / "rcc-onnx.1").read_text(encoding="utf-8") == MAKER.man_page(), again


def test_no_command_is_left_out() -> None:
    def all_of(command: Any, name: str) -> Iterator[str]:
        for below, one in getattr(command, "commands", {}).items():
            yield from all_of(one, f"{name} {below}")
        if not hasattr(command, "commands"):
            yield name

    assert set(COMMANDS) == set(all_of(get_command(app), "rcc-onnx"))
    assert {"rcc-onnx infer", "rcc-onnx models install"} <= set(COMMANDS)


@names
def test_everything_is_explained(name: str) -> None:
    command = COMMANDS[name]
    assert command.paragraphs, "no docstring"
    silent = [one.names for one in command.parameters if not one.meaning.strip()]
    assert not silent, f"no help text: {silent}"


@names
def test_there_is_an_example_and_it_can_be_typed(name: str) -> None:
    command = COMMANDS[name]
    assert command.examples, 'the docstring needs a paragraph "Example: rcc-onnx ..."'
    assert any(f"{line} ".startswith(f"{name} ") for line in command.examples)
    for line in command.examples:
        assert parse(line) == [], line


@names
def test_the_help_is_readable_in_80_columns(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    command = COMMANDS[name]
    monkeypatch.setenv("COLUMNS", str(WIDTH))
    monkeypatch.setenv("TERMINAL_WIDTH", str(WIDTH))
    result = CliRunner().invoke(app, [*name.split()[1:], "--help"], prog_name="rcc-onnx")
    assert result.exit_code == 0
    lines = [line.strip() for line in result.output.splitlines()]
    assert max(len(line) for line in result.output.splitlines()) <= WIDTH
    assert "[[" not in result.output, "an argument's metavar needs no brackets of its own"
    for example in command.examples:
        assert f"Example: {example}" in lines, "an example stands alone on its line"


@pytest.mark.parametrize("line", ["rcc-onnx infer", "rcc-onnx infer x --no-such-option"])
def test_an_example_that_cannot_be_typed_is_noticed(line: str) -> None:
    with pytest.raises(Exception, match=r"(?i)missing|no such option"):
        parse(line)


def test_every_code_in_the_page_is_closed() -> None:
    page = MAKER.page()
    assert page.count("```") % 2 == 0
    rows = [line for line in page.splitlines() if line.startswith("| `")]
    assert rows
    assert all(len(re.findall(r"(?<!\\)\|", row)) == 3 for row in rows)
