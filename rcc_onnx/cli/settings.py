"""Options from settings files and environment variables, and the command that shows them.

Precedence (docs/settings.md): the command line, the option's variable, the file in the current
folder, the file in the data folder, the default. Typer keeps the ends of that order; what lies
between becomes its default map.
"""

import inspect
import json
import os
import re
import textwrap
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any, get_args

import typer

from rcc_onnx.bundles.data_folder import HOME_VARIABLE, MODELS_VARIABLE, data_folder
from rcc_onnx.cli.shared import exit_on_error
from rcc_onnx.errors import OptionError, SettingsError
from rcc_onnx.options import InferenceOptions
from rcc_onnx.system.log_privacy import sanitize

OPTION = "settings"
"""The option of commands that take settings."""
FILE_NAME = "rcc-onnx.toml"
PREFIX = "RCC_ONNX_"
FILE_VARIABLE = "RCC_ONNX_SETTINGS"
OTHER_VARIABLES = (HOME_VARIABLE, MODELS_VARIABLE, FILE_VARIABLE)
SHARED_TABLE = "infer"
"""Other commands take from it the options that they share with `infer`."""
COMMAND_LINE_RANK = 1000
"""More than files and variables ever have."""
_META = "rcc_onnx.cli.settings"


@dataclass(frozen=True)
class SettingHint:
    """Stands beside an option's type: what Typer does not know of it.

    Attributes:
        example: a value for the template, where the default is None.
        names_folder: text that is a path if it has a separator in it.
    """

    example: Any = None
    names_folder: bool = False


@dataclass(frozen=True)
class OptionSpec:
    """An option of a command, as settings see it.

    Attributes:
        parameter: Typer's option.
        context: in which it converts values.
        hint: what Typer does not know.
    """

    parameter: Any
    context: typer.Context
    hint: SettingHint

    @property
    def name(self) -> str:
        """The parameter of the command."""
        return str(self.parameter.name)

    @property
    def key(self) -> str:
        """The key in a file: the option without leading dashes."""
        names: list[str] = self.parameter.opts
        return next(name for name in names if name.startswith("--")).removeprefix("--")

    @property
    def variable(self) -> str:
        return PREFIX + self.key.upper().replace("-", "_")

    def convert(self, value: Any, where: str) -> Any:
        """Return the value that the command gets, for that of a file or the text of a variable.

        Raises:
            SettingsError (settings-value): the command line would not accept it either.
        """
        near = ""
        try:
            text = _as_text(value)
            if self.parameter.multiple and isinstance(text, str):
                text = [part.strip() for part in text.split(",")]
            converted = self.parameter.process_value(self.context, text)
            if self.name in {item.name for item in fields(InferenceOptions)}:
                InferenceOptions.parse(**{self.name: converted})
        except typer.BadParameter as error:
            problem = error.message.removeprefix("Value error, ").rstrip(".")
            # Of a choice, the message lists the values in quotes, the wrong one first.
            wrong, *choices = re.findall("'([^']*)'", problem) or [""]
            near = near_match(wrong, choices)
        except ValueError as error:
            problem = str(error)
        else:
            return converted
        raise SettingsError(
            f"{where} = {toml_value(value)}: {problem}{near}", code="settings-value"
        )

    def in_folder(self, value: Any, folder: Path) -> Any:
        """Return a file's value, with paths relative to the file's folder."""
        names_folder = self.hint.names_folder and {"/", "\\", os.sep} & set(value)
        is_path = isinstance(value, Path) or names_folder
        return type(value)(folder / value) if is_path else value


def _as_text(value: Any) -> Any:
    """Return a setting as it would be on the command line; lists stay lists."""
    if isinstance(value, list):
        return [_as_text(part) for part in value]
    if not isinstance(value, str | int | float | Path) or value == "" or "\0" in str(value):
        raise ValueError("it must be text that is not empty, a number, true or false")
    return str(value).lower() if isinstance(value, bool) else str(value)


@dataclass(frozen=True)
class Setting:
    """A value and its source. The higher rank counts."""

    value: Any
    source: str
    rank: int


@dataclass(frozen=True)
class SettingsFile:
    """A file whose tables are those of commands.

    Attributes:
        found: in the current folder, where no one named it.
    """

    path: Path
    tables: Mapping[str, Any]
    found: bool = False


@dataclass(frozen=True)
class LoadedSettings:
    """The settings of a command, by parameter, and the files that were read."""

    values: Mapping[str, Setting]
    files: tuple[SettingsFile, ...]

    def rank(self, context: typer.Context, name: str) -> int:
        """Return the rank of a parameter's value; -1: it is the default."""
        source = context.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE":
            return COMMAND_LINE_RANK
        return self.values[name].rank if name in self.values else -1


# --- How commands take settings ------------------------------------------------------------------


def read_settings(context: typer.Context, named: Path | None) -> Path | None:
    """Make settings the defaults of a command: callback of `--settings`, which comes first."""
    if not context.resilient_parsing:
        with exit_on_error():
            loaded = load_settings(context, str(context.info_name), named)
            context.meta[_META] = loaded
            context.default_map = {name: item.value for name, item in loaded.values.items()}
    return named


def print_settings(context: typer.Context, studies: Path, *, quiet: bool = False) -> None:
    """Print the options that do not have their value from the command line or by default.

    Raises:
        SettingsError (settings-file): a settings file was found among the studies.
    """
    loaded: LoadedSettings = context.meta[_META]
    for file in loaded.files:
        if file.found and file.path.parent.resolve().is_relative_to(studies.resolve()):
            raise SettingsError(
                f"{file.path} is inside the input folder, and settings are not taken from there. "
                f"Start from another folder, or name it: --settings {file.path}",
                code="settings-file",
            )
    shown = [
        f"{option.key}={toml_value(setting.value)} from {setting.source}"
        for option in _options_of(context.command, context)
        if (setting := loaded.values.get(option.name))
        and loaded.rank(context, option.name) < COMMAND_LINE_RANK
    ]
    if shown and not quiet:
        from rcc_onnx.cli.console import ignore_broken_output  # noqa: PLC0415  heavy imports

        with ignore_broken_output():
            print(sanitize(f"settings: {', '.join(shown)}"), flush=True)


def resolve_conflict(context: typer.Context, first: str, second: str) -> str:
    """Return which of two given options that exclude each other counts.

    Raises:
        OptionError: both are given in the same place.
    """
    loaded: LoadedSettings = context.meta[_META]
    ranks = [loaded.rank(context, name) for name in (first, second)]
    if ranks[0] == ranks[1]:
        raise OptionError(f"--{first} and --{second} exclude each other; give one")
    return first if ranks[0] > ranks[1] else second


def load_settings(context: typer.Context, command: str, named: Path | None) -> LoadedSettings:
    """Return a command's settings from files and variables.

    A command's own table counts before the shared one of the same file. All files are checked
    whole, also what is for other commands or is overridden. A `named` file stands in place of those
    that are looked for.

    Raises:
        SettingsError (settings-file): a named file is missing; a file is unreadable or not TOML.
        SettingsError (settings-unknown-key): a table without a command, or a key without an option.
        SettingsError (settings-value): a value that its option does not accept.
        SettingsError (settings-variable): a variable without an option.
        DataFolderError: RCC_ONNX_HOME is not an absolute path.
    """
    commands = _commands(context)
    files = tuple(_find_files(named))
    _check_variables(commands)
    values: dict[str, Setting] = {}
    for rank, file in enumerate(files):
        tables = _check_tables(file, commands, rank)
        settings = {**tables.get(SHARED_TABLE, {}), **tables.get(command, {})}
        for option in commands[command]:
            if option.name in settings:
                values[option.name] = settings[option.name]
                # Another command may accept less than `infer`.
                where = f"{file.path}, {option.key} for {command}"
                option.convert(settings[option.name].value, where)
    for option in commands[command]:
        # An empty variable counts as not set.
        if text := os.environ.get(option.variable):
            value = option.convert(text, option.variable)
            values[option.name] = Setting(value, option.variable, len(files))
    return LoadedSettings(values, files)


def _commands(context: typer.Context) -> dict[str, list[OptionSpec]]:
    """Return the options of the commands that take settings."""
    group: Any = context.find_root().command
    return {
        name: _options_of(command, context)
        for name, command in group.commands.items()
        if any(parameter.name == OPTION for parameter in command.params)
    }


def _options_of(command: Any, context: typer.Context) -> list[OptionSpec]:
    arguments = inspect.signature(command.callback, eval_str=True).parameters
    options = []
    for parameter in command.params:
        if parameter.param_type_name == "option" and parameter.name not in {OPTION, "help"}:
            notes = get_args(arguments[parameter.name].annotation)
            hints = (note for note in notes if isinstance(note, SettingHint))
            options.append(OptionSpec(parameter, context, next(hints, SettingHint())))
    return options


# --- Files and variables -------------------------------------------------------------------------


def _find_files(named: Path | None) -> Iterator[SettingsFile]:
    """Yield the settings files that count, the first one least."""
    here = _current_folder()
    variable, home = os.environ.get(FILE_VARIABLE), data_folder()
    if named is not None:
        yield _read(here / named, f" (--settings {named})")
    elif variable:
        yield _read(here / variable, f" ({FILE_VARIABLE}={variable})")
    else:
        # Not `exists`: a dangling link is a file that is missing.
        if home is not None and os.path.lexists(home / FILE_NAME):
            yield _read(home / FILE_NAME)
        is_home = home is not None and home.exists() and here.samefile(home)
        if os.path.lexists(here / FILE_NAME) and not is_home:
            yield _read(here / FILE_NAME, found=True)


def _current_folder() -> Path:
    try:
        return Path.cwd()
    except OSError:  # it was removed
        return Path()


def _read(path: Path, named_by: str = "", *, found: bool = False) -> SettingsFile:
    text = ""
    try:
        text = path.read_bytes().decode("utf-8-sig")
        return SettingsFile(path, tomllib.loads(text), found)
    except OSError as error:
        message = f"the settings file {path}{named_by} cannot be read: {error.strerror or error}"
    except UnicodeDecodeError:
        message = f"{path} is not UTF-8; save it as UTF-8 text"
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        hint = " Write Windows paths between single quotes: 'C:\\data'." if "\\" in text else ""
        message = f"{path} is not valid TOML: {error}.{hint}"
    raise SettingsError(message, code="settings-file")


def _check_tables(
    file: SettingsFile, commands: Mapping[str, Sequence[OptionSpec]], rank: int
) -> dict[str, dict[str, Setting]]:
    """Return a file's settings by table and parameter, after checking all of them."""
    tables = " or ".join(f"[{name}]" for name in commands)
    found: dict[str, dict[str, Setting]] = {}
    for table, content in file.tables.items():
        if not isinstance(content, dict):
            raise _unknown(
                f"{file.path}: {table} is in no table; write {tables} in a line above it"
            )
        if table not in commands:
            near = near_match(table, commands)
            raise _unknown(f"{file.path}: there is no table [{table}]{near}; it must be {tables}")
        options = {option.key: option for option in commands[table]}
        found[table] = {}
        for key, value in content.items():
            where = f"{file.path}, [{table}] {key}"
            if key not in options:
                near = near_match(key, options)
                raise _unknown(
                    f"{where}: there is no option --{key}{near}; `rcc-onnx settings --template` "
                    "lists all"
                )
            option = options[key]
            converted = option.in_folder(option.convert(value, where), file.path.parent)
            found[table][option.name] = Setting(converted, str(file.path), rank)
    return found


def _unknown(message: str) -> SettingsError:
    return SettingsError(message, code="settings-unknown-key")


def _check_variables(commands: Mapping[str, Sequence[OptionSpec]]) -> None:
    known = {option.variable for options in commands.values() for option in options}
    known.update(OTHER_VARIABLES)
    # On Windows all names come in capitals.
    for name in sorted(os.environ):
        if name.startswith(PREFIX) and os.environ[name] and name not in known:
            raise SettingsError(
                f"{name} is set, and there is no such setting{near_match(name, known)}; unset it, "
                "or see `rcc-onnx settings` for the names",
                code="settings-variable",
            )


def near_match(word: str, words: Iterable[str]) -> str:
    from difflib import get_close_matches  # noqa: PLC0415  for messages only

    near = get_close_matches(word.replace("_", "-") if word.islower() else word, list(words), n=2)
    return f", perhaps {' or '.join(near)}" if near else ""


def toml_value(value: Any) -> str:
    """Return a value as a settings file has it; `-` for None."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return f"[{', '.join(toml_value(part) for part in value)}]"
    if isinstance(value, int | float):
        return repr(value)
    # Between single quotes, the backslashes of Windows paths have no special meaning.
    text = str(value)
    return f"'{text}'" if "\\" in text else json.dumps(text, ensure_ascii=False)


# --- The command ---------------------------------------------------------------------------------


def settings(
    context: typer.Context,
    command: Annotated[
        str, typer.Argument(metavar="COMMAND", help="Whose options to show.")
    ] = SHARED_TABLE,
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
            print("\n".join(_template(commands)))
            return
        if command not in commands:
            raise OptionError(f"{command!r} takes no settings; these do: {', '.join(commands)}")
        loaded = load_settings(context, command, file)
        for source in loaded.files:
            print(sanitize(f"settings file: {source.path}"))
        width = max(len(option.variable) for option in commands[command])
        for option in commands[command]:
            default = Setting(option.parameter.default, "default", -1)
            setting = loaded.values.get(option.name, default)
            value = f"{toml_value(setting.value)} ({setting.source})"
            print(sanitize(f"{option.key:<18} {option.variable:<{width}} {value}"))


def _template(commands: Mapping[str, Sequence[OptionSpec]]) -> Iterator[str]:
    """Yield the lines of a settings file in which every option is a comment."""
    yield "# Settings of rcc-onnx (docs/settings.md). Remove the # before lines that you need."
    yield "# The command line and variables RCC_ONNX_... count before this file."
    yield "# Relative paths are relative to this file."
    shared = {option.key for option in commands[SHARED_TABLE]}
    for command, options in commands.items():
        yield from ("", f"[{command}]")
        if command != SHARED_TABLE:
            yield f"# What is not here is taken from [{SHARED_TABLE}]."
        for option in options:
            if command == SHARED_TABLE or option.key not in shared:
                yield ""
                yield from textwrap.wrap(f"# {option.parameter.help}", 98, subsequent_indent="# ")
                default, example = option.parameter.default, option.hint.example
                value = toml_value(example if default is None else default)
                yield f"#{option.key} = {value}" + ("  # an example" if default is None else "")
