"""Options are declared once, and mean the same on the command line and from Python."""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner

from rcc_onnx.cli.app import app
from rcc_onnx.cli.options import InferOptions, with_options
from rcc_onnx.options import InferenceOptions


@dataclass(frozen=True, kw_only=True)
class Basket:
    apples: Annotated[int, typer.Option(min=1, help="How many.")] = 3
    ripe: Annotated[bool, typer.Option("--ripe", "-r")] = False


@with_options
def pick(tree: Annotated[Path, typer.Argument()], basket: Basket) -> None:
    """Pick them."""
    print(tree, basket)


@pytest.mark.parametrize(
    ("arguments", "basket"),
    [
        (["a"], Basket()),
        (["a", "--apples", "5", "-r"], Basket(apples=5, ripe=True)),
    ],
)
def test_a_dataclass_becomes_options(arguments: list[str], basket: Basket) -> None:
    single = typer.Typer()
    single.command()(pick)
    assert CliRunner().invoke(single, arguments).output == f"a {basket}\n"
    assert CliRunner().invoke(single, ["a", "--apples", "0"]).exit_code == 2
    assert pick.__doc__ == "Pick them."


def test_the_command_has_every_option_of_an_analysis(monkeypatch: pytest.MonkeyPatch) -> None:
    command = typer.main.get_command(app).commands["infer"]  # type: ignore[attr-defined]
    names = {parameter.name for parameter in command.params}
    assert {item.name for item in fields(InferenceOptions)} <= names
    for parameter in command.params:
        if parameter.name in {item.name for item in fields(InferenceOptions)}:
            assert parameter.help


def test_the_command_and_python_have_the_same_defaults() -> None:
    found: list[InferenceOptions] = []

    @with_options
    def command(options: InferOptions) -> None:
        found.append(options.analysis)

    group = typer.Typer()
    group.command("infer")(command)
    group.command("other")(lambda: None)
    for arguments in ([], ["--save", "all", "--provider", "cpu"]):
        assert CliRunner().invoke(group, ["infer", *arguments]).exit_code == 0
    assert found == [InferenceOptions(), InferenceOptions.parse(save="all", provider="cpu")]


def test_an_impossible_option_of_an_analysis_is_refused(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["infer", str(tmp_path), "--mask-cutoff", "2"])
    assert done.exit_code == 2
    assert "error [option]: mask cutoff must be above 0 and at most 1, not 2.0" in done.output
