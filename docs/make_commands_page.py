"""Write commands.md and rcc-onnx.1 from the commands: `python docs/make_commands_page.py`.

All that is said comes from the help texts and docstrings of the commands. A test compares.
"""

import inspect
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer
from typer.main import get_command

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "commands.md"
MAN_PAGE = ROOT / "docs" / "rcc-onnx.1"
EXAMPLE = re.compile(r"\bExample: (rcc-onnx\b.*)$", re.MULTILINE)
NOTES = re.compile(r"  \[(.*)\]$")
"""What Typer adds to a help text: what is understood, bounds, whether it is required."""
KINDS = {"INT": "NUMBER", "INTEGER": "NUMBER", "FLOAT": "NUMBER", "STR": "TEXT"}

HEAD = """\
# Commands

The help of every command, as `--help` shows it. Where nothing else is said, a command ends with
exit code 0 when it is done, 1 where a part of the work failed, 2 when nothing could be started (one
line `error [code]: message` on standard error, see [errors.md](errors.md)), and 130 after Ctrl-C. A
command writes no files but those that are named with it.

This page and the man page `rcc-onnx.1` are written by `python docs/make_commands_page.py`.
"""
MAN_HEAD = """\
.\\" Written by docs/make_commands_page.py.
.TH RCC-ONNX 1 "" "rcc-onnx" "User Commands"
.SH NAME
rcc-onnx \\- find kidneys and suspected renal lesions in contrast-enhanced CT
.SH SYNOPSIS
.B rcc-onnx
.I COMMAND
[OPTIONS] ...
.SH DESCRIPTION
Research software, not for diagnosis. A suspected lesion is not a diagnosis.
"""
MAN_TAIL = """\
.SH EXIT STATUS
Where nothing else is said: 0 done, 1 a part of the work failed, 2 nothing could be started,
130 interrupted.
"""


@dataclass(frozen=True)
class Parameter:
    """An argument or an option.

    Attributes:
        names: as they are typed, with what follows: `--out, -o PATH`.
        meaning: its help text, empty if there is none.
        notes: what is understood where it is not given, and its range.
        synopsis: in the line that shows how the command is called; empty for options.
    """

    names: str
    meaning: str
    notes: tuple[str, ...]
    synopsis: str = ""

    @property
    def text(self) -> str:
        return " ".join([self.meaning, *(f"({note})" for note in self.notes)])


@dataclass(frozen=True)
class Command:
    """A command without subcommands.

    Attributes:
        name: as it is typed: `rcc-onnx models list`.
        paragraphs: what it does, each in one line, without the examples.
        examples: command lines.
    """

    name: str
    help: str
    parameters: tuple[Parameter, ...]

    @property
    def paragraphs(self) -> tuple[str, ...]:
        rest = EXAMPLE.sub("", self.help)
        return tuple(" ".join(one.split()) for one in rest.split("\n\n") if one.strip())

    @property
    def examples(self) -> tuple[str, ...]:
        return tuple(EXAMPLE.findall(self.help))

    @property
    def synopsis(self) -> str:
        arguments = [one.synopsis for one in self.parameters if one.synopsis]
        return " ".join([self.name, "[OPTIONS]", *arguments])


def commands() -> tuple[Command, ...]:
    """All commands, subcommands of groups too, in the order of `--help`."""
    sys.path.insert(0, str(ROOT))
    from rcc_onnx.cli.app import app  # noqa: PLC0415  after the path is set

    return tuple(_commands_of("rcc-onnx", get_command(app)))


def _commands_of(name: str, command: Any, parent: Any = None) -> Iterator[Command]:
    context = typer.Context(command, info_name=name.rsplit(maxsplit=1)[-1], parent=parent)
    if hasattr(command, "commands"):
        for below, one in command.commands.items():
            if not one.hidden:
                yield from _commands_of(f"{name} {below}", one, context)
        return
    shown = [one for one in command.params if one.get_help_record(context) is not None]
    help_text = inspect.cleandoc(command.help or "")
    yield Command(name, help_text, tuple(_parameter(one, context) for one in shown))


def _parameter(one: Any, context: Any) -> Parameter:
    called, told = one.get_help_record(context)
    noted = NOTES.search(told)
    notes = tuple(_notes(noted[1] if noted else "", one))
    if one.param_type_name == "argument":
        choices = re.search(r"[<\[{]((?:[\w-]+\|)+[\w-]+)[>\]}]", called)
        word = choices[1] if choices and not one.metavar else called.split(" ")[0].strip("[]{}")
        word = _word(word)
        return Parameter(word, one.help or "", notes, word if one.required else f"[{word}]")
    # Typer gives short names first; the long ones say more.
    takes = " ".join(part for part in called.split(" ") if not part.rstrip(",").startswith("-"))
    names = ", ".join([*one.opts, *one.secondary_opts])
    takes = "" if "--" in takes else _word(takes.strip(" /"))
    return Parameter(f"{names} {takes}".strip(), one.help or "", notes)


def _word(shown: str) -> str:
    """For a value: PATH, or the values that there are, however this Typer shows them."""
    bare = re.sub(r"^[<\[](?:list\[)?(.*?)\]?[>\]]$", r"\1", shown)
    bare = re.sub(r" range$", "", bare, flags=re.IGNORECASE)
    if "|" in bare:
        return bare
    return KINDS.get(bare.upper(), bare.upper() if bare.islower() else bare)


def _notes(told: str, one: Any) -> Iterator[str]:
    if getattr(one, "multiple", False) and "repeated" not in (one.help or ""):
        yield "may be repeated"
    for note in told.split("; ") if told else ():
        if getattr(one, "count", False):
            continue  # "default: 0" tells nobody anything
        bound = re.fullmatch(r"x(>=|<=)(\S+)", note)
        default = re.fullmatch(r"default: \((.*)\)", note)
        if bound:
            yield f"at {'least' if bound[1] == '>=' else 'most'} {bound[2]}"
        else:
            yield f"default: {default[1]}" if default else note


def page() -> str:
    """All of docs/commands.md."""
    return "\n".join([HEAD, *(_section(one) for one in commands())])


def _section(command: Command) -> str:
    lines = [f"## `{command.name}`", "", f"```text\n{command.synopsis}\n```", ""]
    for paragraph in command.paragraphs:
        lines += [_escaped(paragraph), ""]
    if command.parameters:
        lines += ["| | |", "|---|---|"]
        lines += [
            f"| `{_cell(one.names)}` | {_cell(_escaped(one.text))} |" for one in command.parameters
        ]
        lines += [""]
    if command.examples:
        lines += ["```sh", *command.examples, "```", ""]
    return "\n".join(lines)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _escaped(text: str) -> str:
    """Angle brackets would be taken for HTML, where they are not in code."""
    parts = re.split(r"(`[^`]*`)", text)
    return "".join(
        part if part.startswith("`") else part.replace("<", "\\<").replace("_", "\\_")
        for part in parts
    )


def man_page() -> str:
    """All of docs/rcc-onnx.1."""
    lines = [MAN_HEAD, ".SH COMMANDS"]
    for command in commands():
        lines += [f".SS {_roff(command.synopsis)}"]
        for paragraph in command.paragraphs:
            lines += [_roff(paragraph), ".PP"]
        for one in command.parameters:
            lines += [".TP", f".B {_roff(one.names)}", _roff(one.text)]
        for example in command.examples:
            lines += [".PP", "Example:", ".PP", ".nf", ".RS", _roff(example), ".RE", ".fi"]
    return "\n".join([*lines, MAN_TAIL])


def _roff(text: str) -> str:
    escaped = text.replace("\\", "\\e").replace("-", "\\-").replace("`", "")
    return "\\&" + escaped if escaped[:1] in (".", "'") else escaped


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    MAN_PAGE.write_text(man_page(), encoding="utf-8")
