"""Options are declared once, and mean the same on the command line and from Python."""

import inspect
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner

from rcc_onnx.cli.options import AnalysisOptions, InferOptions, with_options
from rcc_onnx.engine import Engine, Options
from rcc_onnx.errors import OptionError


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
    app = typer.Typer()
    app.command()(pick)
    assert CliRunner().invoke(app, arguments).output == f"a {basket}\n"
    assert CliRunner().invoke(app, ["a", "--apples", "0"]).exit_code == 2
    assert pick.__doc__ == "Pick them."


def test_what_is_not_said_is_what_the_engine_takes() -> None:
    assert InferOptions().checked(None) == Options()


def test_the_python_api_has_every_option_of_an_analysis() -> None:
    said = {
        name: one.default
        for name, one in inspect.signature(Engine.load).parameters.items()
        if name != "cls"
    }
    assert said == {field.name: field.default for field in fields(AnalysisOptions)}


@pytest.mark.parametrize(
    ("option", "called"),
    [
        ("profile", "profile"),
        ("provider", "provider"),
        ("precision", "precision"),
        ("series_policy", "series policy"),
    ],
)
def test_the_python_api_takes_names_and_refuses_unknown_ones(option: str, called: str) -> None:
    with pytest.raises(OptionError, match=f"no {called} 'other'; known: "):
        Engine.load(**{option: "other"})  # type: ignore[arg-type]
