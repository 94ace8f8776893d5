"""Settings files and variables: every option has them, in one order, and nothing is guessed."""

import inspect
import re
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import typer
from typer.main import get_command
from typer.testing import CliRunner

from rcc_onnx.cli import infer as cli_infer
from rcc_onnx.cli import watch as cli_watch
from rcc_onnx.cli.app import app
from rcc_onnx.cli.options import RunOptions
from rcc_onnx.cli.settings import FILE_NAME, OPTION, OTHER_VARIABLES, PREFIX

GROUP: Any = get_command(app)
RunCommand = Callable[..., tuple[Any, str]]
COMMANDS = [
    name
    for name, command in GROUP.commands.items()
    if any(parameter.name == OPTION for parameter in command.params)
]
"""Those that take settings."""


def options_of(command: str) -> list[Any]:
    return [
        parameter
        for parameter in GROUP.commands[command].params
        if parameter.param_type_name == "option" and parameter.name not in {OPTION, "help"}
    ]


OPTIONS = options_of("infer")
CASES = [(command, option) for command in COMMANDS for option in options_of(command)]

VALUES: dict[str, tuple[Any, Any, Any, Any]] = {
    "provider": ("cuda", "cpu", "coreml", "tensorrt"),
    "precision": ("int8", "float16", "float32", "int8"),
    "profile": ("standard", "notebook", "standard", "notebook"),
    "series_policy": ("thinnest", "contrast", "most-slices", "thinnest"),
    "input_is": ("study", "studies", "study", "studies"),
    "save": (["seg", "sr"], ["nifti"], ["nifti", "sr"], ["probabilities"]),
    "mask_cutoff": (0.1, 0.2, 0.3, 0.4),
    "case_memory": (1001, 1002, 1003, 1004),
    **dict.fromkeys(("once", "retry_failed", "quiet", "overwrite"), (False, True, False, True)),
    "verbose": (2, 1, 2, 1),
}
"""For each place that an option may have a value from: the command line, a variable, the file of
the current folder, that of the data folder. Each differs from the next one, or the default."""
TEXT = ("line", "variable", "here", "home")
NUMBERS = (11, 12, 13, 14)


def values_of(command: str, name: str) -> tuple[Any, Any, Any, Any]:
    parameters = inspect.signature(GROUP.commands[command].callback).parameters
    is_text = re.search("Path|str", str(parameters[name].annotation))
    return VALUES.get(name, TEXT if is_text else NUMBERS)


def key(option: Any) -> str:
    return max(option.opts, key=len).removeprefix("--")


def variable_of(option: Any) -> str:
    return PREFIX + key(option).upper().replace("-", "_")


def toml(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool | int) else repr(value).replace("'", '"')


def on_the_line(option: Any, value: Any) -> list[str]:
    name = f"--{key(option)}"
    if isinstance(value, bool):
        return [name if value else f"--no-{key(option)}"]
    if option.count:
        return [name] * value
    values = value if isinstance(value, list) else [value]
    return [word for part in values for word in (name, str(part))]


def as_text(value: Any) -> str:
    return ", ".join(value) if isinstance(value, list) else str(value).lower()


@pytest.fixture
def run_command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> RunCommand:
    """Runs a command up to where its options are known, in a folder of its own; returns them and
    the output."""
    (tmp_path / "home").mkdir()
    (tmp_path / "here").mkdir()
    monkeypatch.setenv("RCC_ONNX_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path / "here")
    seen: list[Any] = []

    def build_config(options: RunOptions, **_: object) -> None:
        seen.append(SimpleNamespace(**vars(options), **vars(options.analysis)))
        raise typer.Exit(0)

    for command in (cli_infer, cli_watch):
        monkeypatch.setattr(command, "build_config", build_config)

    def run(*arguments: str, command: str = "infer") -> tuple[Any, str]:
        result = CliRunner().invoke(app, [command, str(tmp_path / "study"), *arguments])
        assert result.exit_code == 0, result.output
        return seen.pop(), result.output

    return run


def refused(*arguments: str, command: str = "infer") -> str:
    result = CliRunner().invoke(app, [command, "nowhere", *arguments])
    assert result.exit_code == 2
    assert "Traceback" not in result.output
    return result.output


@pytest.mark.parametrize(
    ("command", "option"), CASES, ids=lambda value: getattr(value, "name", value)
)
def test_every_option_has_a_key_and_a_variable_in_the_stated_order(
    command: str,
    option: Any,
    run_command: RunCommand,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    line, variable, here, home = values_of(command, option.name)

    def value(*arguments: str) -> Any:
        found = getattr(run_command(*arguments, command=command)[0], option.name)
        if isinstance(found, Path):
            return found.name
        if isinstance(found, tuple):
            return [str(kind) for kind in found] or None
        return found

    assert value() == (option.default.name if isinstance(option.default, Path) else option.default)
    (tmp_path / "home" / FILE_NAME).write_text(f"[{command}]\n{key(option)} = {toml(home)}\n")
    assert value() == home
    (tmp_path / "here" / FILE_NAME).write_text(f"[{command}]\n{key(option)} = {toml(here)}\n")
    assert value() == here
    monkeypatch.setenv(variable_of(option), as_text(variable))
    assert value() == variable
    assert value(*on_the_line(option, line)) == line
    monkeypatch.setenv(variable_of(option), "")
    assert value() == here


def test_what_is_switched_on_can_be_switched_off_again() -> None:
    flags = [option for _, option in CASES if option.is_flag and not option.count]
    assert flags
    assert [key(option) for option in flags if not option.secondary_opts] == []


def test_no_option_has_a_variable_of_another_meaning() -> None:
    names = {variable_of(option) for option in OPTIONS}
    assert not names & set(OTHER_VARIABLES)
    assert len(names) == len(OPTIONS)


def test_other_commands_share_the_settings_of_infer(
    run_command: RunCommand, tmp_path: Path
) -> None:
    file = tmp_path / "here" / FILE_NAME
    file.write_text("[infer]\nthreads = 3\ninput-is = 'study'\nworkers = 2\n[watch]\nonce = true\n")
    options, output = run_command(command="watch")
    assert (options.threads, options.workers, options.once) == (3, 2, True)
    assert f"once=true from {file}" in output
    assert "input-is" not in output
    assert run_command()[0].threads == 3
    # Its own table counts before.
    file.write_text("[watch]\nthreads = 4\nworkers = 2\n[infer]\nthreads = 3\nworkers = 0\n")
    options, _ = run_command(command="watch")
    assert (options.threads, options.workers) == (4, 2)
    assert (run_command()[0].threads, run_command()[0].workers) == (3, 0)
    # A value that only infer accepts is refused with its place.
    file.write_text("[infer]\nworkers = 0\n")
    message = f"[settings-value]: {file}, workers for watch = 0: "
    assert message in refused(command="watch")


def test_the_first_line_shows_what_counts_and_its_source(
    run_command: RunCommand, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run_command()[1] == ""
    file = tmp_path / "here" / FILE_NAME
    file.write_text("[infer]\nworkers = 2\nthreads = 3\n")
    monkeypatch.setenv("RCC_ONNX_PROVIDER", "cuda")
    monkeypatch.setenv("RCC_ONNX_THREADS", "4")
    assert run_command()[1] == (
        'settings: provider="cuda" from RCC_ONNX_PROVIDER, threads=4 from RCC_ONNX_THREADS, '
        f"workers=2 from {file}\n"
    )
    assert "provider" not in run_command("--provider", "cpu")[1]
    assert run_command("--quiet")[1] == ""


def test_a_named_file_is_the_only_one(
    run_command: RunCommand, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here" / FILE_NAME).write_text("[infer]\nworkers = 2\n")
    (tmp_path / "site.toml").write_text("[infer]\nthreads = 5\n")
    (tmp_path / "other.toml").write_text("[infer]\nthreads = 6\n")
    monkeypatch.setenv("RCC_ONNX_SETTINGS", str(tmp_path / "site.toml"))
    options, _ = run_command()
    assert (options.workers, options.threads) == (1, 5)
    assert run_command("--settings", "../other.toml")[0].threads == 6
    assert "nothing.toml (--settings nothing.toml)" in refused("--settings", "nothing.toml")
    monkeypatch.setenv("RCC_ONNX_SETTINGS", "nothing.toml")
    assert "RCC_ONNX_SETTINGS=nothing.toml" in refused()


def test_a_data_folder_that_is_the_current_one_has_one_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RCC_ONNX_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / FILE_NAME).write_text("[infer]\nworkers = 2\n")
    assert CliRunner().invoke(app, ["settings"]).output.count("settings file: ") == 1
    # It belongs to the data folder, and not to studies that lie there as well.
    result = CliRunner().invoke(app, ["infer", "."])
    assert "is inside the input folder" not in result.output


def test_paths_are_relative_to_their_file(run_command: RunCommand, tmp_path: Path) -> None:
    (tmp_path / "site").mkdir()
    file = tmp_path / "site" / "a.toml"
    file.write_text('[infer]\nout = "results"\nmodels = "./bundle"\npseudonyms = "/p.csv"\n')
    options, _ = run_command("--settings", str(file))
    assert options.out == tmp_path / "site" / "results"
    assert options.pseudonyms == Path("/p.csv")
    assert Path(str(options.models)) == tmp_path / "site" / "bundle"
    file.write_text('[infer]\nmodels = "bundle"\n')
    assert run_command("--settings", str(file))[0].models == "bundle"


@pytest.mark.parametrize(
    ("text", "code", "message"),
    [
        ("[infer]\nworkrs = 2\n", "settings-unknown-key", "[infer] workrs: there is no option "
         "--workrs, perhaps workers"),
        ("[infer]\nkidney_threshold = 2\n", "settings-unknown-key", "perhaps kidney-threshold"),
        ("[infer]\nsettings = 'b.toml'\n", "settings-unknown-key", "[infer] settings"),
        ("[infr]\nworkers = 2\n", "settings-unknown-key", "no table [infr], perhaps infer"),
        ("workers = 2\n", "settings-unknown-key", "workers is in no table"),
        ("[infer]\nworkers = 2.5\n", "settings-value", "[infer] workers = 2.5: "),
        ("[infer]\nworkers = true\n", "settings-value", "workers = true: Input should be a valid "
         "integer"),
        ("[infer]\nworkers = [1]\n", "settings-value", "[infer] workers = [1]: "),
        ("[infer]\nworkers = -1\n", "settings-value", "equal to 0"),
        ("[infer]\nborderline = nan\n", "settings-value", "must be a finite number"),
        ("[infer]\noverwrite = 'perhaps'\n", "settings-value", "Input should be a valid boolean"),
        ("[infer]\nseries = ''\n", "settings-value", "must be text that is not empty"),
        ("[infer]\nseries = '\\u0000'\n".replace("'", '"'), "settings-value", "must be text"),
        ("[infer]\nout = 2026-01-01\n", "settings-value", "must be text"),
        ("[infer]\nout = {a = 1}\n", "settings-value", "must be text"),
        ("[infer]\nsave = ['sg']\n", "settings-value", "'sr', 'all', perhaps seg"),
        ("[infer]\nprovider = 'CPU'\n", "settings-value", "'CPU' is not one of 'auto', 'cpu'"),
        ("[infer]\nworkers = 2\nworkers = 3\n", "settings-file", "is not valid TOML"),
        ('[infer]\nout = "C:\\studies"\n', "settings-file", "single quotes"),
        (f"[infer]\nsave = {'[' * 5000}\n", "settings-file", "is not valid TOML"),
        (b"\xff\xfe[\0", "settings-file", "is not UTF-8"),
    ],
)  # fmt: skip
def test_a_mistake_in_a_file_is_reported_with_its_place(
    text: str | bytes, code: str, message: str, tmp_path: Path
) -> None:
    file = tmp_path / "a.toml"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    # Also where the command line overrides the value.
    output = refused("--settings", str(file), "--workers", "1")
    assert output.startswith(f"error [{code}]: {file}")
    assert message in output


@pytest.mark.parametrize(
    ("name", "value", "code", "message"),
    [
        ("RCC_ONNX_PROVIDR", "cpu", "settings-variable", "perhaps RCC_ONNX_PROVIDER"),
        ("RCC_ONNX_Provider", "cpu", "settings-variable", "no such setting"),
        ("RCC_ONNX_INPUT", "x", "settings-variable", "RCC_ONNX_INPUT is set"),
        ("RCC_ONNX_THREADS", "many", "settings-value", 'THREADS = "many": Input should be a valid'),
        ("RCC_ONNX_THREADS", "0", "settings-value", "threads must be at least 1"),
        ("RCC_ONNX_OVERWRITE", "perhaps", "settings-value", "a valid boolean"),
        ("RCC_ONNX_SAVE", "seg,,sr", "settings-value", "'' is not one of"),
        ("RCC_ONNX_PROFILE", "notbook", "settings-value", "perhaps notebook"),
    ],
)
def test_a_mistake_in_a_variable_is_reported(
    name: str, value: str, code: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    output = refused()
    assert output.startswith(f"error [{code}]: RCC_ONNX_")
    assert message in output
    monkeypatch.setenv(name, "")
    assert "[input-folder]" in refused()


def test_a_byte_order_mark_and_line_ends_of_windows(
    run_command: RunCommand, tmp_path: Path
) -> None:
    file = tmp_path / "a.toml"
    file.write_bytes(b"\xef\xbb\xbf[infer]\r\nworkers = 4\r\nout = 'C:\\data'\r\n")
    options, _ = run_command("--settings", str(file))
    assert options.workers == 4
    assert str(options.out).endswith("C:\\data")


def test_a_file_among_the_studies_is_refused_unless_it_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = tmp_path / "studies" / "doe"
    study.mkdir(parents=True)
    (study / FILE_NAME).write_text("[infer]\nworkers = 2\n")
    monkeypatch.chdir(study)
    for place in (".", "..", str(tmp_path)):
        result = CliRunner().invoke(app, ["infer", place])
        assert result.exit_code == 2
        assert f"[settings-file]: {study / FILE_NAME} is inside the input folder" in result.output
    named = CliRunner().invoke(app, ["infer", ".", "--settings", FILE_NAME, "--out", "o"])
    assert "is inside the input folder" not in named.output


@pytest.mark.skipif(sys.platform == "win32", reason="a current folder cannot be removed there")
def test_a_current_folder_that_was_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    assert "provider" in CliRunner().invoke(app, ["settings"]).output


def test_a_folder_of_bundles_as_a_bundle_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "shelf" / "tiny").mkdir(parents=True)
    (tmp_path / "shelf" / "tiny" / "manifest.json").write_text("{}")
    (tmp_path / "nowhere" / "a").mkdir(parents=True)
    (tmp_path / "nowhere" / "a" / "x.dcm").write_text("x")
    monkeypatch.chdir(tmp_path)
    for name in ("shelf", str(tmp_path / "shelf")):
        monkeypatch.setenv("RCC_ONNX_MODELS", name)
        output = refused()
        assert "Bundles lie in it (tiny)" in output
        assert "RCC_ONNX_MODELS_FOLDER" in output


def test_settings_are_shown_with_their_sources(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / FILE_NAME).write_text('[infer]\nsave = ["seg", "sr"]\n')
    monkeypatch.setenv("RCC_ONNX_PROVIDER", "cuda")
    result = CliRunner().invoke(app, ["settings"])
    assert result.exit_code == 0
    shown = re.sub(" +", " ", result.output)
    assert f"settings file: {tmp_path / FILE_NAME}\n" in shown
    assert f'save RCC_ONNX_SAVE ["seg", "sr"] ({tmp_path / FILE_NAME})\n' in shown
    assert 'provider RCC_ONNX_PROVIDER "cuda" (RCC_ONNX_PROVIDER)\n' in shown
    assert "threads RCC_ONNX_THREADS - (default)\n" in shown
    assert "overwrite RCC_ONNX_OVERWRITE false (default)\n" in shown
    for option in OPTIONS:
        assert f"\n{key(option)} " in shown
    wrong = CliRunner().invoke(app, ["settings", "demo"])
    assert wrong.exit_code == 2
    assert "[option]" in wrong.output


def test_the_template_loads_as_it_is_and_uncommented(tmp_path: Path) -> None:
    template = CliRunner().invoke(app, ["settings", "--template"]).output
    assert set(tomllib.loads(template)) == set(COMMANDS)
    assert not any(tomllib.loads(template).values())
    file = tmp_path / "a.toml"
    file.write_text(re.sub(r"(?m)^#(?=[a-z])", "", template), encoding="utf-8")
    tables = tomllib.loads(file.read_text(encoding="utf-8"))
    assert set(tables["infer"]) == {key(option) for option in OPTIONS}
    for command in COMMANDS:
        shown = CliRunner().invoke(app, ["settings", command, "--settings", str(file)])
        assert shown.exit_code == 0, shown.output
        assert "(default)" not in shown.output
    assert "\n# " in template
    assert not [line for line in template.splitlines() if len(line) > 100]
