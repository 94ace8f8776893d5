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
from rcc_onnx.cli.settings import FILE_NAME, OTHER_VARIABLES, PREFIX
from rcc_onnx.cli.settings_command import OPTION

GROUP: Any = get_command(app)
Told = Callable[..., tuple[Any, str]]
COMMANDS = [
    name
    for name, one in GROUP.commands.items()
    if any(parameter.name == OPTION for parameter in one.params)
]
"""Those that take settings."""


def options_of(command: str) -> list[Any]:
    return [
        one
        for one in GROUP.commands[command].params
        if one.param_type_name == "option" and one.name not in {OPTION, "help"}
    ]


OPTIONS = options_of("infer")
CASES = [(command, one) for command in COMMANDS for one in options_of(command)]

VALUES: dict[str, tuple[Any, Any, Any, Any]] = {
    "provider": ("cuda", "cpu", "coreml", "tensorrt"),
    "precision": ("int8", "float16", "float32", "int8"),
    "profile": ("standard", "notebook", "standard", "notebook"),
    "series_policy": ("thinnest", "contrast", "most-slices", "thinnest"),
    "input_is": ("study", "studies", "study", "studies"),
    "save": (["seg", "sr"], ["nifti"], ["nifti", "sr"], ["probabilities"]),
    "mask_cutoff": (0.1, 0.2, 0.3, 0.4),
    "case_memory": (1001, 1002, 1003, 1004),
    **dict.fromkeys(("once", "retry_failed"), (False, True, False, True)),
    "quiet": (False, True, False, True),
    "overwrite": (False, True, False, True),
    "verbose": (2, 1, 2, 1),
}
"""For each place that an option may have a value from: the command line, a variable, the file of
the current folder, that of the data folder. Each differs from the one after it, or the default."""
TEXT = ("line", "variable", "here", "home")
NUMBERS = (11, 12, 13, 14)


def of_the_kind(command: str, name: str) -> tuple[Any, Any, Any, Any]:
    if name in VALUES:
        return VALUES[name]
    callback = GROUP.commands[command].callback
    annotation = str(inspect.signature(callback).parameters[name].annotation)
    if "Path" in annotation or "str" in annotation:
        return TEXT
    return NUMBERS


def key(option: Any) -> str:
    return max(option.opts, key=len).removeprefix("--")


def toml(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool | int) else repr(value).replace("'", '"')


def on_the_line(option: Any, value: Any) -> list[str]:
    name = f"--{key(option)}"
    if isinstance(value, bool):
        return [name if value else f"--no-{key(option)}"]
    if option.count:
        return [name] * value
    return [
        part for one in (value if isinstance(value, list) else [value]) for part in (name, str(one))
    ]


def as_text(value: Any) -> str:
    return ", ".join(value) if isinstance(value, list) else str(value).lower()


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Told:
    """Runs `infer` up to where its options are known, in a folder of its own."""
    (tmp_path / "home").mkdir()
    (tmp_path / "here").mkdir()
    monkeypatch.setenv("RCC_ONNX_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path / "here")
    seen: list[Any] = []

    def build_config(options: RunOptions, **_: object) -> None:
        seen.append(SimpleNamespace(**vars(options), **vars(options.analysis)))
        raise typer.Exit(0)

    for command in (cli_infer, cli_watch):
        monkeypatch.setattr(command, "build_config", build_config, raising=False)

    def run(*arguments: str, command: str = "infer") -> tuple[Any, str]:
        result = CliRunner().invoke(app, [command, str(tmp_path / "study"), *arguments])
        assert result.exit_code == 0, result.output
        return seen.pop(), result.output

    return run


def refused(*arguments: str) -> str:
    result = CliRunner().invoke(app, ["infer", "nowhere", *arguments])
    assert result.exit_code == 2
    assert "Traceback" not in result.output
    return result.output


@pytest.mark.parametrize(("command", "option"), CASES, ids=lambda one: getattr(one, "name", one))
def test_every_option_has_a_key_and_a_variable_in_the_stated_order(
    command: str,
    option: Any,
    told: Told,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    line, variable, here, home = of_the_kind(command, option.name)

    def value(*arguments: str) -> Any:
        found = getattr(told(*arguments, command=command)[0], option.name)
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
    name = PREFIX + key(option).upper().replace("-", "_")
    monkeypatch.setenv(name, as_text(variable))
    assert value() == variable
    assert value(*on_the_line(option, line)) == line
    monkeypatch.setenv(name, "")
    assert value() == here


def test_what_is_switched_on_can_be_switched_off_again() -> None:
    flags = [one for _, one in CASES if one.is_flag and not one.count]
    assert flags
    assert [key(one) for one in flags if not one.secondary_opts] == []


def test_no_option_has_a_variable_that_is_another_thing() -> None:
    names = {PREFIX + key(one).upper().replace("-", "_") for one in OPTIONS}
    assert not names & set(OTHER_VARIABLES)
    assert len(names) == len(OPTIONS)


def test_other_commands_share_what_infer_is_told(told: Told, tmp_path: Path) -> None:
    file = tmp_path / "here" / FILE_NAME
    file.write_text("[infer]\nthreads = 3\ninput-is = 'study'\nworkers = 2\n[watch]\nonce = true\n")
    options, said = told(command="watch")
    assert (options.threads, options.workers, options.once) == (3, 2, True)
    assert f"once=true from {file}" in said
    assert "input-is" not in said
    assert told()[0].threads == 3
    # Its own table counts before.
    file.write_text("[watch]\nthreads = 4\nworkers = 2\n[infer]\nthreads = 3\nworkers = 0\n")
    options, _ = told(command="watch")
    assert (options.threads, options.workers) == (4, 2)
    assert (told()[0].threads, told()[0].workers) == (3, 0)
    # What only infer may have is refused, and says where it is from.
    file.write_text("[infer]\nworkers = 0\n")
    result = CliRunner().invoke(app, ["watch", str(tmp_path / "study")])
    assert result.exit_code == 2
    assert f"[settings-value]: {file}, workers for watch = 0: " in result.output


def test_the_first_line_says_what_counts_and_where_it_is_from(
    told: Told, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert told()[1] == ""
    file = tmp_path / "here" / FILE_NAME
    file.write_text("[infer]\nworkers = 2\nthreads = 3\n")
    monkeypatch.setenv("RCC_ONNX_PROVIDER", "cuda")
    monkeypatch.setenv("RCC_ONNX_THREADS", "4")
    assert told()[1] == (
        'settings: provider="cuda" from RCC_ONNX_PROVIDER, threads=4 from RCC_ONNX_THREADS, '
        f"workers=2 from {file}\n"
    )
    assert "provider" not in told("--provider", "cpu")[1]


def test_a_named_file_is_the_only_one(
    told: Told, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here" / FILE_NAME).write_text("[infer]\nworkers = 2\n")
    (tmp_path / "site.toml").write_text("[infer]\nthreads = 5\n")
    (tmp_path / "other.toml").write_text("[infer]\nthreads = 6\n")
    monkeypatch.setenv("RCC_ONNX_SETTINGS", str(tmp_path / "site.toml"))
    options, _ = told()
    assert (options.workers, options.threads) == (1, 5)
    assert told("--settings", "../other.toml")[0].threads == 6
    assert "[settings-file]" in refused("--settings", "nothing.toml")
    monkeypatch.setenv("RCC_ONNX_SETTINGS", "nothing.toml")
    assert "RCC_ONNX_SETTINGS=nothing.toml" in refused()


def test_paths_are_relative_to_their_file(told: Told, tmp_path: Path) -> None:
    (tmp_path / "site").mkdir()
    file = tmp_path / "site" / "a.toml"
    file.write_text('[infer]\nout = "results"\nmodels = "./bundle"\npseudonyms = "/p.csv"\n')
    options, _ = told("--settings", str(file))
    assert options.out == tmp_path / "site" / "results"
    assert options.pseudonyms == Path("/p.csv")
    assert Path(str(options.models)) == tmp_path / "site" / "bundle"
    file.write_text('[infer]\nmodels = "bundle"\n')
    assert told("--settings", str(file))[0].models == "bundle"


@pytest.mark.parametrize(
    ("text", "code", "says"),
    [
        ("[infer]\nworkrs = 2\n", "settings-unknown-key", "[infer] workrs: there is no option "
         "--workrs, perhaps workers"),
        ("[infer]\nkidney_threshold = 2\n", "settings-unknown-key", "perhaps kidney-threshold"),
        ("[infer]\nsettings = 'b.toml'\n", "settings-unknown-key", "[infer] settings"),
        ("[infr]\nworkers = 2\n", "settings-unknown-key", "no table [infr], perhaps infer"),
        ("workers = 2\n", "settings-unknown-key", "workers stands in no table"),
        ("[infer]\nworkers = '2'\n", "settings-value", 'must be a whole number, not "2"'),
        ("[infer]\nworkers = 2.0\n", "settings-value", "must be a whole number, not 2.0"),
        ("[infer]\nworkers = true\n", "settings-value", "must be a whole number, not true"),
        ("[infer]\nworkers = -1\n", "settings-value", "[infer] workers = -1: "),
        ("[infer]\ncase-memory = 1\n", "settings-value", "[infer] case-memory = 1: "),
        ("[infer]\nborderline = nan\n", "settings-value", "must be a number, not nan"),
        ("[infer]\noverwrite = 1\n", "settings-value", "must be true or false, not 1"),
        ("[infer]\nseries = 3\n", "settings-value", "must be text in quotes, not 3"),
        ("[infer]\nseries = ''\n", "settings-value", "must be text in quotes"),
        ("[infer]\nout = 2026-01-01\n", "settings-value", "a path in quotes, not 2026-01-01"),
        ("[infer]\nout = {a = 1}\n", "settings-value", "must be a path in quotes"),
        ("[infer]\nsave = 'seg'\n", "settings-value", "must be a list"),
        ("[infer]\nsave = ['sg']\n", "settings-value", 'not "sg", perhaps seg'),
        ("[infer]\nprovider = 'CPU'\n", "settings-value", "must be one of auto, cpu"),
        ("[infer]\nworkers = 2\nworkers = 3\n", "settings-file", "is no TOML"),
        ('[infer]\nout = "C:\\studies"\n', "settings-file", "single quotes"),
        (f"[infer]\nsave = {'[' * 5000}\n", "settings-file", "is no TOML"),
    ],
)  # fmt: skip
def test_mistakes_in_a_file_are_told(text: str, code: str, says: str, tmp_path: Path) -> None:
    file = tmp_path / "a.toml"
    file.write_text(text)
    # Also where the command line overrules the value.
    output = refused("--settings", str(file), "--workers", "1")
    assert output.startswith(f"error [{code}]: {file}")
    assert says in output


def test_a_file_that_is_no_text_or_no_file(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_bytes(b"\xff\xfe[\0")
    assert "is not UTF-8" in refused("--settings", str(tmp_path / "a.toml"))
    assert "[settings-file]" in refused("--settings", str(tmp_path))


def test_a_mark_at_the_start_and_ends_of_lines_of_windows(told: Told, tmp_path: Path) -> None:
    file = tmp_path / "a.toml"
    file.write_bytes(b"\xef\xbb\xbf[infer]\r\nworkers = 4\r\nout = 'C:\\data'\r\n")
    options, _ = told("--settings", str(file))
    assert options.workers == 4
    assert str(options.out).endswith("C:\\data")


@pytest.mark.parametrize(
    ("name", "value", "code", "says"),
    [
        ("RCC_ONNX_PROVIDR", "cpu", "settings-variable", "perhaps RCC_ONNX_PROVIDER"),
        ("RCC_ONNX_Provider", "cpu", "settings-variable", "no such setting"),
        ("RCC_ONNX_INPUT", "x", "settings-variable", "RCC_ONNX_INPUT is set"),
        ("RCC_ONNX_THREADS", "many", "settings-value", 'a whole number, not "many"'),
        ("RCC_ONNX_THREADS", "0", "settings-value", "RCC_ONNX_THREADS = 0: "),
        ("RCC_ONNX_BORDERLINE", "inf", "settings-value", "must be a number, not inf"),
        ("RCC_ONNX_OVERWRITE", "yes", "settings-value", 'true or false, not "yes"'),
        ("RCC_ONNX_SAVE", "seg,,sr", "settings-value", 'not ""'),
        ("RCC_ONNX_PROFILE", "notbook", "settings-value", "perhaps notebook"),
    ],
)
def test_mistakes_in_variables_are_told(
    name: str, value: str, code: str, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    output = refused()
    assert output.startswith(f"error [{code}]: RCC_ONNX_")
    assert says in output
    monkeypatch.setenv(name, "")
    assert "[input-folder]" in refused()


def test_a_file_among_the_studies_is_not_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = tmp_path / "studies" / "doe"
    study.mkdir(parents=True)
    (study / FILE_NAME).write_text("[infer]\nworkers = 2\n")
    monkeypatch.chdir(study)
    for place in (".", "..", str(tmp_path)):
        result = CliRunner().invoke(app, ["infer", place])
        assert result.exit_code == 2
        assert "[settings-file]" in result.output
        assert "lies among what is to be analysed" in result.output
    # Named, it is meant.
    named = CliRunner().invoke(app, ["infer", ".", "--settings", FILE_NAME, "--out", "o"])
    assert "lies among" not in named.output


@pytest.mark.skipif(sys.platform == "win32", reason="a current folder cannot be removed there")
def test_a_current_folder_that_was_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    assert "provider" in CliRunner().invoke(app, ["settings"]).output


def test_a_folder_of_bundles_is_no_bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "shelf" / "tiny").mkdir(parents=True)
    (tmp_path / "shelf" / "tiny" / "manifest.json").write_text("{}")
    (tmp_path / "study" / "a").mkdir(parents=True)
    (tmp_path / "study" / "a" / "x.dcm").write_text("x")
    monkeypatch.chdir(tmp_path)
    for name in ("shelf", str(tmp_path / "shelf")):
        monkeypatch.setenv("RCC_ONNX_MODELS", name)
        result = CliRunner().invoke(app, ["infer", "study"])
        assert result.exit_code == 2
        assert "Bundles lie in it (tiny)" in result.output
        assert "RCC_ONNX_MODELS_FOLDER" in result.output


def test_settings_are_shown_with_their_places(
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
    assert set(tables["infer"]) == {key(one) for one in OPTIONS}
    for command in COMMANDS:
        shown = CliRunner().invoke(app, ["settings", command, "--settings", str(file)])
        assert shown.exit_code == 0, shown.output
        assert "(default)" not in shown.output
    assert "\n# " in template
    assert not [line for line in template.splitlines() if len(line) > 100]
