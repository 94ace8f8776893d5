"""How commands take settings, and the command `rcc-onnx settings`, which shows them."""

import inspect
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

import typer

from rcc_onnx.cli.settings import (
    SHARED_TABLE,
    Known,
    Setting,
    SettingsFile,
    find_files,
    settings_of,
    toml_value,
)
from rcc_onnx.cli.shared import exit_on_error
from rcc_onnx.errors import OptionError, SettingsError
from rcc_onnx.options import InferenceOptions
from rcc_onnx.system.log_privacy import sanitize

OPTION = "settings"
"""The parameter of commands that take settings."""
_META = "rcc_onnx.cli.settings"
_WIDTH = 98


class InSettings:
    """Beside an option's type: how it stands in a settings file."""

    def __init__(self, *example: Any, names_folder: bool = False) -> None:
        """`example` is a value, or several of a list; `names_folder` as in `settings.Known`."""
        self.example = example
        self.names_folder = names_folder


@dataclass(frozen=True)
class Taken:
    """What a command was given by settings: values by parameter, and the files they are from."""

    values: Mapping[str, Setting]
    files: tuple[SettingsFile, ...]


def read_settings(context: typer.Context, named: Path | None) -> Path | None:
    """Callback of the option `--settings`, which is processed before all others: what settings say
    becomes their default."""
    if not context.resilient_parsing:
        with exit_on_error():
            taken = _take(context, str(context.info_name), named)
            context.meta[_META] = taken
            context.default_map = {name: one.value for name, one in taken.values.items()}
    return named


def say_settings(context: typer.Context, place: Path, quiet: bool = False) -> None:
    """Tell what a command goes by that its line does not say, before anything else is told.

    Raises:
        SettingsError (settings-file): a settings file was found among the studies in `place`.
    """
    refuse_settings_in(context, place)
    line = settings_line(context)
    if line is not None and not quiet:
        print(sanitize(line))


def settings_line(context: typer.Context) -> str | None:
    """Which options have their value from a file or a variable; None: none has."""
    taken: Taken = context.meta[_META]
    told = [
        f"{one.key}={toml_value(taken.values[one.name].value)} from {taken.values[one.name].source}"
        for one in _known_of(context.command, context)
        if one.name in taken.values and _rank(context, one.name) < _COMMAND_LINE
    ]
    return f"settings: {', '.join(told)}" if told else None


def refuse_settings_in(context: typer.Context, place: Path) -> None:
    """Raise SettingsError if a settings file was picked up from among studies in `place`."""
    taken: Taken = context.meta[_META]
    for file in taken.files:
        folder = file.path.parent.resolve()
        if file.looked_for and folder.is_relative_to(place.resolve()):
            raise SettingsError(
                f"{file.path} lies among what is to be analysed, and settings are not taken from "
                f"there. Start from another folder, or name it: --settings {file.path}",
                code="settings-file",
            )


def stronger(context: typer.Context, *names: str) -> str:
    """Of options that exclude one another, and are all given: the one that counts.

    Raises:
        OptionError: two are given in the same place.
    """
    ranks = sorted((_rank(context, name), name) for name in names)
    if ranks[-1][0] == ranks[-2][0]:
        raise OptionError(f"--{ranks[-1][1]} and --{ranks[-2][1]} exclude each other; give one")
    return ranks[-1][1]


_COMMAND_LINE = 1000
"""More than files and variables ever are."""


def _rank(context: typer.Context, name: str) -> int:
    source = context.get_parameter_source(name)
    if source is not None and source.name == "COMMANDLINE":
        return _COMMAND_LINE
    found = context.meta[_META].values.get(name)
    return -1 if found is None else found.rank


def _take(context: typer.Context, command: str, named: Path | None) -> Taken:
    files = find_files(named, _current_folder())
    return Taken(settings_of(command, _commands(context), files), files)


def _current_folder() -> Path:
    try:
        return Path.cwd()
    except OSError:  # it was removed
        return Path()


def _commands(context: typer.Context) -> dict[str, tuple[Known, ...]]:
    """The commands that take settings, with their options."""
    group: Any = context.find_root().command
    return {
        name: _known_of(command, context)
        for name, command in group.commands.items()
        if any(one.name == OPTION for one in command.params)
    }


def _known_of(command: Any, context: typer.Context) -> tuple[Known, ...]:
    annotations = {
        name: one.annotation
        for name, one in inspect.signature(command.callback, eval_str=True).parameters.items()
    }
    return tuple(
        _known(one, annotations[one.name], context)
        for one in command.params
        if one.param_type_name == "option" and one.name in annotations and one.name != OPTION
    )


def _known(parameter: Any, annotation: Any, context: typer.Context) -> Known:
    kind, *notes = get_args(annotation)
    if get_origin(kind) in {Union, UnionType}:
        (kind,) = (one for one in get_args(kind) if one is not type(None))
    many = get_origin(kind) is list
    told = next((one for one in notes if isinstance(one, InSettings)), InSettings())
    example = list(told.example) if many else next(iter(told.example), parameter.default)
    return Known(
        name=parameter.name,
        key=next(one for one in parameter.opts if one.startswith("--")).removeprefix("--"),
        kind=get_args(kind)[0] if many else kind,
        many=many,
        names_folder=told.names_folder,
        check=partial(_check, parameter, context),
        default=parameter.default,
        example=example,
        help=parameter.help or "",
    )


def _check(parameter: Any, context: typer.Context, value: Any) -> None:
    """Raise ValueError if the option refuses the value."""
    try:
        checked = parameter.process_value(context, value)
        if parameter.name in {item.name for item in fields(InferenceOptions)}:
            InferenceOptions.parse(**{parameter.name: checked})
    except typer.BadParameter as error:
        raise ValueError(error.message) from None
    except OptionError as error:
        raise ValueError(str(error)) from None


# --- The command ---------------------------------------------------------------------------------


def settings_command(
    context: typer.Context,
    command: Annotated[
        str, typer.Argument(metavar="COMMAND", help="Whose options to show.")
    ] = "infer",
    file: Annotated[
        Path | None,
        typer.Option("--settings", metavar="FILE", help="Settings file, as `infer` takes it."),
    ] = None,
    template: Annotated[
        bool, typer.Option("--template", help="Print a settings file to fill in, for all commands.")
    ] = False,
) -> None:
    """Show options, their values and where those come from.

    Of `infer`, or of another command that takes settings.

    Example: rcc-onnx settings --template
    """
    with exit_on_error():
        commands = _commands(context)
        if template:
            print(_template(commands), end="")
            return
        if command not in commands:
            raise OptionError(f"{command!r} takes no settings; these do: {', '.join(commands)}")
        taken = _take(context, command, file)
        for one in taken.files:
            print(sanitize(f"settings file: {one.path}"))
        width = max(len(one.variable) for one in commands[command])
        for option in commands[command]:
            found = taken.values.get(option.name, Setting(option.default, "default", -1))
            value = f"{toml_value(found.value)} ({found.source})"
            print(sanitize(f"{option.key:<18} {option.variable:<{width}} {value}"))


def _template(commands: Mapping[str, Sequence[Known]]) -> str:
    """A settings file in which every option is a comment."""
    shared = {one.key for one in commands[SHARED_TABLE]}
    lines = [
        "# Settings of rcc-onnx (docs/settings.md). Take away the # before lines that you need.",
        "# The command line and variables RCC_ONNX_... count before this file.",
        "# Relative paths are relative to this file.",
    ]
    for name, known in commands.items():
        lines += ["", f"[{name}]"]
        if name != SHARED_TABLE:
            lines += [f"# What is not here is taken from [{SHARED_TABLE}]."]
        for one in known:
            if name == SHARED_TABLE or one.key not in shared:
                lines += ["", *_template_lines(one)]
    return "\n".join(lines) + "\n"


def _template_lines(option: Known) -> list[str]:
    lines = textwrap.wrap(option.help, _WIDTH, initial_indent="# ", subsequent_indent="# ")
    if option.default is None:
        return [*lines, f"#{option.key} = {toml_value(option.example)}  # an example"]
    return [*lines, f"#{option.key} = {toml_value(option.default)}"]
