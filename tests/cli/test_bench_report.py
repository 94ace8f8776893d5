"""What `rcc-onnx bench` shows and saves."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageColor
from rich.console import Console

from rcc_onnx.cli.bench_report import (
    BAR,
    COLORS,
    LEFT,
    RIGHT,
    WIDTH,
    bench_tables,
    notes,
    plot,
    save,
)
from rcc_onnx.diagnostics.bench import BenchReport, CaseFigures
from rcc_onnx.errors import OutputError
from rcc_onnx.phantom import make_study
from rcc_onnx.system.documents import read_document
from rcc_onnx.types import RESEARCH_ONLY
from tests.support.commands import run
from tests.support.measurements import OUTCOMES, measured, refused, report, with_cases


def text_of(found: BenchReport) -> str:
    console = Console(width=80, record=True, file=io.StringIO())
    for table in bench_tables(found):
        console.print(table)
    return console.export_text()


def test_tables_fit_a_terminal_and_name_what_did_not_run() -> None:
    found = report(measured(), measured(precision="int8", seconds=1.0), refused())
    text = text_of(found)
    assert "│ openvino float32 │ not measured │" in text
    assert "│ cpu int8         │         2.00 │       1.00 │  1.45 │" in text
    assert "│ kidney network  │       1.200 │    0.600 │" in text
    assert "│ everything else │       0.100 │    0.050 │" in text
    assert "[case]" not in text, "one case needs no table of cases"
    first, second, third, recommended, notice = notes(found)
    assert first == "not measured: openvino float32: not installed"
    assert second == ("cpu float32: onnxruntime 1.32.0, 2 threads, models tiny 1.0.0, 3 warm runs")
    assert third.startswith("cpu int8")
    assert recommended.startswith(
        "Recommended here: --provider cpu --precision int8 (1.00 s a case"
    )
    assert notice == "notice"


def test_several_cases_have_a_table() -> None:
    one = CaseFigures("[a]", 80, OUTCOMES, (1.0, 2.0, 4.0))
    two = CaseFigures("b", 40, OUTCOMES, (1.0,))
    found = report(with_cases(measured(), one, two), with_cases(measured("openvino"), one))
    text = text_of(found)
    assert "│ [a] (80 slices) │        2.00 │             2.00 │" in text
    assert "│ b (40 slices)   │        1.00 │                  │" in text


def test_memory_that_is_unknown_is_shown_as_such() -> None:
    assert "unknown" in text_of(report(measured(peak_memory_bytes=None)))


def test_the_document_is_saved(tmp_path: Path) -> None:
    found = report(measured(), refused())
    save(found, tmp_path / "b.json", None)
    assert read_document(BenchReport, (tmp_path / "b.json").read_bytes()) == found
    with pytest.raises(OutputError, match=r"b\.json"):
        save(found, tmp_path / "none" / "b.json", None)


def pixels(image: Image.Image, color: str) -> int:
    """How many pixels of a color lie in the bars; the legend's squares are taken off."""
    same = (np.asarray(image) == ImageColor.getrgb(color)).all(axis=-1)
    return int(same.sum()) - 15 * 15


def test_bars_are_as_long_as_their_stages() -> None:
    image = plot(report(measured(), measured(precision="int8", seconds=1.0)))
    # Of 2 s are 1.2 s the kidney network's and 0.6 s the lesion network's; the second has half.
    kidney, lesion = pixels(image, COLORS[1]), pixels(image, COLORS[2])
    assert kidney / lesion == pytest.approx(2, rel=0.02)
    two_rows = (BAR + 1) * (WIDTH - LEFT - RIGHT) * 0.6 * 1.5
    assert kidney == pytest.approx(two_rows, rel=0.02)


def test_the_plot_is_saved(tmp_path: Path) -> None:
    found = report(measured(), refused())
    save(found, None, tmp_path / "plot.png")
    with Image.open(tmp_path / "plot.png") as image:
        assert image.size[0] == WIDTH
    with pytest.raises(OutputError, match=r"plot\.png"):
        save(found, None, tmp_path / "none" / "plot.png")


@pytest.fixture(scope="module")
def phantom(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_study(1, tmp_path_factory.mktemp("phantoms") / "case[1]", quick=True).folder


def test_bench_measures_and_writes_what_it_found(
    phantom: Path, tiny_bundle: Path, tmp_path: Path
) -> None:
    out, picture = tmp_path / "bench.json", tmp_path / "bench.png"
    arguments = ("--provider", "cpu", "--precision", "float32", "--threads", 1, "--repeats", 1)
    files = ("--json", out, "--plot", picture)
    result = run("bench", phantom, "--models", tiny_bundle, *arguments, *files)
    assert result.exit_code == 0
    assert "Recommended here: --provider cpu (the only one that ran)" in result.output
    assert RESEARCH_ONLY in result.output
    document = json.loads(out.read_text())
    (setup,) = document["setups"]
    assert [case["study"] for case in setup["figures"]["cases"]] == ["case[1]"]
    assert setup["setup"]["threads"] == 1
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_bench_that_can_measure_nothing(phantom: Path, tiny_bundle: Path) -> None:
    result = run("bench", phantom, "--models", tiny_bundle, "--provider", "coreml")
    assert result.exit_code == 2
    assert "error [bench]" in result.output
