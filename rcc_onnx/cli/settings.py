"""Options from settings files and environment variables (docs/settings.md).

Of one option the command line's value counts first, then its variable's, then that of the file in
the current folder, then that of the file in the data folder, then the default. `settings_of` keeps
the middle of that order; the command line keeps its ends.
"""

import json
import math
import os
import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from enum import Enum
from pathlib import Path
from typing import Any

from rcc_onnx.bundles.data_folder import HOME_VARIABLE, MODELS_VARIABLE, data_folder
from rcc_onnx.errors import SettingsError

FILE_NAME = "rcc-onnx.toml"
PREFIX = "RCC_ONNX_"
FILE_VARIABLE = "RCC_ONNX_SETTINGS"
"""Names the settings file, in place of those that are looked for."""
OTHER_VARIABLES = (HOME_VARIABLE, MODELS_VARIABLE, FILE_VARIABLE)
SHARED_TABLE = "infer"
"""Other commands take from it what they have in common with `infer`."""


@dataclass(frozen=True)
class Known:
    """An option as settings see it.

    Attributes:
        name: of the command's parameter.
        key: in a file; the option without its dashes in front.
        kind: bool, int, float, str, Path or an Enum of strings.
        many: a list of such values.
        names_folder: text that is a path if it has a separator in it.
        check: takes a value of the right type; raises ValueError with a sentence if the option
            cannot have it.
        example: a value for those who have none in mind.
        help: what it is about, in a sentence or two.
    """

    name: str
    key: str
    kind: type
    many: bool = False
    names_folder: bool = False
    check: Callable[[Any], None] = lambda value: None
    default: Any = None
    example: Any = None
    help: str = ""

    @property
    def variable(self) -> str:
        return PREFIX + self.key.upper().replace("-", "_")


@dataclass(frozen=True)
class Setting:
    """A value and where it comes from. The higher `rank` counts."""

    value: Any
    source: str
    rank: int


@dataclass(frozen=True)
class SettingsFile:
    """A file whose tables are those of commands.

    Attributes:
        looked_for: it was found where nobody named it: in the current folder.
    """

    path: Path
    tables: Mapping[str, Mapping[str, Any]]
    looked_for: bool = False


Commands = Mapping[str, Sequence[Known]]
"""Those that take settings, each with its options."""


def find_files(
    named: Path | None, here: Path, environ: Mapping[str, str] = os.environ
) -> tuple[SettingsFile, ...]:
    """The settings files that count, the first one least.

    The one that is named, by `--settings` or RCC_ONNX_SETTINGS, alone; else those of the data
    folder and of the current one, `here`, as far as they exist.

    Raises:
        SettingsError (settings-file): a named one is missing; one cannot be read, or is no TOML.
        DataFolderError: RCC_ONNX_HOME is no absolute path.
    """
    if named is not None:
        return (_read(here / named, f"--settings {named}"),)
    by_variable = environ.get(FILE_VARIABLE, "")
    if by_variable:
        return (_read(here / by_variable, f"{FILE_VARIABLE}={by_variable}"),)
    home = data_folder()
    found = [] if home is None else [(home / FILE_NAME, False)]
    if home is None or not _is_same(home, here):
        found.append((here / FILE_NAME, True))
    # A link that leads nowhere is a file that is missing, not one that nobody meant.
    return tuple(_read(path, "", looked) for path, looked in found if os.path.lexists(path))


def settings_of(
    command: str,
    commands: Commands,
    files: Sequence[SettingsFile],
    environ: Mapping[str, str] = os.environ,
) -> dict[str, Setting]:
    """What files and variables say of a command's options, by the options' parameter names.

    A command's own table counts before the shared one of the same file. Everything in the files is
    checked, also what is for other commands or is overruled.

    Raises:
        SettingsError (settings-unknown-key): a table or key that there is no command or option for.
        SettingsError (settings-value): a value that an option cannot have.
        SettingsError (settings-variable): a variable that there is no option for.
    """
    _check_variables(commands, environ)
    found: dict[str, Setting] = {}
    for rank, file in enumerate(files):
        _check_tables(file, commands)
        of_file = {table: _table(file, table, commands[table], rank) for table in file.tables}
        told = {**of_file.get(SHARED_TABLE, {}), **of_file.get(command, {})}
        for one in commands[command]:
            if one.name in told:
                # What `infer` may have, another command need not.
                _check(one, told[one.name].value, f"{file.path}, {one.key} for {command}")
                found[one.name] = told[one.name]
    for one in commands[command]:
        text = environ.get(one.variable, "")
        if text:
            found[one.name] = Setting(_of_text(one, text), one.variable, len(files))
    return found


def _table(file: SettingsFile, table: str, known: Sequence[Known], rank: int) -> dict[str, Setting]:
    """The settings in a table, by parameter."""
    by_key = {one.key: one for one in known}
    found = {}
    for key, value in file.tables[table].items():
        where = f"{file.path}, [{table}] {key}"
        if key not in by_key:
            raise SettingsError(
                f"{where}: there is no option --{key}{_near(key, by_key)}; `rcc-onnx settings "
                "--template` lists all",
                code="settings-unknown-key",
            )
        one = by_key[key]
        _check(one, value, where)
        found[one.name] = Setting(_placed(one, value, file.path.parent), str(file.path), rank)
    return found


def _check_tables(file: SettingsFile, commands: Commands) -> None:
    tables = " or ".join(f"[{name}]" for name in commands)
    for name, content in file.tables.items():
        if not isinstance(content, dict):
            raise SettingsError(
                f"{file.path}: {name} stands in no table; write {tables} in a line above it",
                code="settings-unknown-key",
            )
        if name not in commands:
            raise SettingsError(
                f"{file.path}: there is no table [{name}]{_near(name, commands)}; it must "
                f"be {tables}",
                code="settings-unknown-key",
            )


def _check_variables(commands: Commands, environ: Mapping[str, str]) -> None:
    """An empty variable is one that is not set. On Windows all names come in capitals."""
    known = {one.variable for options in commands.values() for one in options}
    known |= set(OTHER_VARIABLES)
    for name in sorted(environ):
        if name.startswith(PREFIX) and environ[name] and name not in known:
            raise SettingsError(
                f"{name} is set, and there is no such setting{_near(name, known)}; unset it, or "
                "see `rcc-onnx settings` for the names",
                code="settings-variable",
            )


def _near(word: str, words: Iterable[str]) -> str:
    near = get_close_matches(word.replace("_", "-") if word.islower() else word, list(words), n=2)
    return f", perhaps {' or '.join(near)}" if near else ""


# --- Values --------------------------------------------------------------------------------------

_CALLED: Mapping[type, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text in quotes",
    Path: "a path in quotes",
}


def _check(one: Known, value: Any, where: str) -> None:
    """Raise SettingsError unless the option may have the value, of TOML's type for it."""
    if one.many:
        if not isinstance(value, list):
            raise SettingsError(
                f'{where}: it must be a list, such as ["{one.example}"]', code="settings-value"
            )
        for part in value:
            _check_one(one, part, where)
    else:
        _check_one(one, value, where)
    try:
        one.check(value)
    except ValueError as error:
        raise SettingsError(f"{where} = {_shown(value)}: {error}", code="settings-value") from None


def _check_one(one: Known, value: Any, where: str) -> None:
    if issubclass(one.kind, Enum):
        choices = [str(choice.value) for choice in one.kind]
        if value not in choices:
            near = _near(value, choices) if isinstance(value, str) else ""
            raise SettingsError(
                f"{where}: it must be one of {', '.join(choices)}, not {_shown(value)}{near}",
                code="settings-value",
            )
        return
    is_right = {
        bool: isinstance(value, bool),
        int: isinstance(value, int) and not isinstance(value, bool),
        float: isinstance(value, int | float) and not isinstance(value, bool),
    }.get(one.kind, isinstance(value, str) and value != "" and "\0" not in value)
    if not is_right or (one.kind is float and not math.isfinite(value)):
        raise SettingsError(
            f"{where}: it must be {_CALLED[one.kind]}, not {_shown(value)}", code="settings-value"
        )


def _of_text(one: Known, text: str) -> Any:
    """A variable's value, of the type that it would have in a file."""
    parts = [part.strip() for part in text.split(",")] if one.many else [text]
    values = [_typed(one.kind, part) for part in parts]
    value = values if one.many else values[0]
    _check(one, value, one.variable)
    return value


def _typed(kind: type, text: str) -> Any:
    """The text itself where it is none of the kind; the check says so then."""
    if kind is bool:
        return {"true": True, "false": False}.get(text.strip().lower(), text)
    if kind in {int, float}:
        try:
            return kind(text)
        except ValueError:
            return text
    return text


def _placed(one: Known, value: Any, folder: Path) -> Any:
    """Paths of a file are relative to the folder that it lies in."""
    is_path = one.kind is Path or (one.names_folder and {"/", "\\", os.sep} & set(value))
    if not is_path:
        return value
    return [str(folder / part) for part in value] if one.many else str(folder / value)


def _shown(value: Any) -> str:
    # TOML has dates too, for which no option has a use.
    return toml_value(value) if isinstance(value, str | int | float | list) else str(value)


def toml_value(value: Any) -> str:
    """A value as a settings file has it; `-` for None."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return f"[{', '.join(toml_value(part) for part in value)}]"
    if isinstance(value, int | float):
        return repr(value)
    text = str(value.value) if isinstance(value, Enum) else str(value)
    # Between single quotes, backslashes of Windows' paths are what they are.
    return f"'{text}'" if "\\" in text else json.dumps(text, ensure_ascii=False)


# --- Files ---------------------------------------------------------------------------------------


def _read(path: Path, named_by: str, looked_for: bool = False) -> SettingsFile:
    because = f" ({named_by})" if named_by else ""
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise SettingsError(
            f"the settings file {path}{because} cannot be read: {error.strerror or error}",
            code="settings-file",
        ) from error
    except UnicodeDecodeError:
        raise SettingsError(
            f"{path} is not UTF-8; save it as UTF-8 text", code="settings-file"
        ) from None
    try:
        tables = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        hint = " Write Windows paths between single quotes: 'C:\\data'." if "\\" in text else ""
        raise SettingsError(f"{path} is no TOML: {error}.{hint}", code="settings-file") from None
    return SettingsFile(path, tables, looked_for)


def _is_same(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except OSError:
        return False
