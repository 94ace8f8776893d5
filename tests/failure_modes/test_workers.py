"""Results do not depend on how many processes and threads made them."""

import csv
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from rcc_onnx.cli.app import app
from tests.failure_modes.small_studies import small_studies

CASES = 4
SETUPS = tuple((workers, threads) for workers in (1, 2, 4) for threads in (1, 2))
"""Workers, and threads of each."""
SUM_TOLERANCE = 1e-5
"""Relative, of what is added up from float32: with other threads it is added in another order.
docs/operations.md states it."""
OF_THE_SETUP = {"threads", "timings_s", "seconds", "started", "ended"}


@pytest.fixture(scope="module")
def outs(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[int, int], Path]:
    """The folder of results of each setup, all with the networks that come with rcc-onnx."""
    top = tmp_path_factory.mktemp("workers")
    studies = small_studies(top / "studies", CASES)
    found = {}
    for workers, threads in SETUPS:
        out = found[workers, threads] = top / f"{workers}x{threads}"
        words = ["infer", str(studies), "--out", str(out), "--models", "phantom"]
        done = CliRunner().invoke(
            app, [*words, "--workers", str(workers), "--threads", str(threads)]
        )
        assert done.exit_code == 0, done.output
    return found


def values(document: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every value of a document, with its place, but for what is the setup's own."""
    if isinstance(document, dict):
        for name, value in document.items():
            if name not in OF_THE_SETUP:
                yield from values(value, f"{path}.{name}")
    elif isinstance(document, list):
        for place, value in enumerate(document):
            yield from values(value, f"{path}[{place}]")
    else:
        yield path, document


@pytest.mark.parametrize("setup", SETUPS[1:], ids=str)
def test_files_are_the_same_but_for_the_last_digits_of_sums(
    outs: dict[tuple[int, int], Path], setup: tuple[int, int]
) -> None:
    reference = outs[SETUPS[0]]
    names = sorted(path.name for path in reference.glob("*.json"))
    assert len(names) == CASES + 1
    for name in names:
        one, other = (
            dict(values(json.loads((out / name).read_text()))) for out in (reference, outs[setup])
        )
        assert one.keys() == other.keys()
        for path, value in one.items():
            if isinstance(value, float):
                assert math.isclose(value, other[path], rel_tol=SUM_TOLERANCE), f"{name} {path}"
            else:
                assert value == other[path], f"{name} {path}"
    pictures = sorted(path.name for path in reference.glob("*.png"))
    assert len(pictures) > CASES
    assert sorted(path.name for path in outs[setup].glob("*.png")) == pictures
    for name in pictures:
        assert (outs[setup] / name).read_bytes() == (reference / name).read_bytes(), name


def test_rows_come_in_one_order(outs: dict[tuple[int, int], Path]) -> None:
    orders = []
    for out in outs.values():
        with (out / "results.csv").open(newline="", encoding="utf-8") as file:
            orders.append([(row["case"], row["side"]) for row in csv.DictReader(file)])
    assert orders[0] == [
        (f"case{number}", side) for number in range(CASES) for side in ("right", "left")
    ]
    assert orders.count(orders[0]) == len(orders)
