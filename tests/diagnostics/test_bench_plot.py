"""What `rcc-onnx bench` shows and draws."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageColor
from rich.console import Console

from rcc_onnx.cli.bench_plot import BAR, COLOURS, plot, save_plot
from rcc_onnx.cli.bench_report import cases_table, measurements_table, notes, stages_table
from rcc_onnx.diagnostics.bench import recommend
from rcc_onnx.errors import OutputError
from tests.support.measurements import measurement, refused


def pixels(image: Image.Image, colour: str) -> int:
    """How many pixels of a colour lie in the bars; the legend's squares are taken off."""
    same = (np.asarray(image) == ImageColor.getrgb(colour)).all(axis=-1)
    return int(same.sum()) - 15 * 15


def test_bars_are_as_long_as_their_stages() -> None:
    image = plot([measurement(), measurement(precision="int8", seconds=1.0)])
    # reading_headers 0.1 s, kidney_network 1.2 s, lesion_network 0.6 s; half of it in the second.
    kidney, lesion = pixels(image, COLOURS[1]), pixels(image, COLOURS[2])
    assert kidney / lesion == pytest.approx(2, rel=0.02)
    two_rows = (BAR + 1) * (1000 - 210 - 190) * 0.6 * 1.5
    assert kidney == pytest.approx(two_rows, rel=0.02)


def test_a_plot_that_cannot_be_written(tmp_path: Path) -> None:
    save_plot([measurement(), refused()], tmp_path / "plot.png")
    with Image.open(tmp_path / "plot.png") as image:
        assert image.size[0] == 1000
    with pytest.raises(OutputError):
        save_plot([measurement()], tmp_path / "none" / "plot.png")


def test_tables_fit_a_terminal_and_name_what_did_not_run() -> None:
    measured = [measurement(), measurement(precision="int8", seconds=1.0), refused()]
    console = Console(width=80, record=True, file=io.StringIO())
    for table in (measurements_table(measured), stages_table(measured)):
        console.print(table)
    console.print(cases_table(measured, ["[case]"]))
    text = console.export_text()
    assert "│ openvino float32 │ not measured │" in text
    assert "│ cpu int8         │         2.00 │       1.00 │  1.45 │" in text
    assert "everything else" in text
    assert "│ [case] │     80 │" in text
    said = notes(measured, recommend(measured))
    assert said[0] == "not measured: openvino float32: not installed"
    assert said[-1].startswith("Recommended here: --provider cpu --precision int8 (1.00 s a case")


def test_memory_that_is_unknown_is_said_so() -> None:
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(measurements_table([measurement(peak_memory_bytes=None)]))
    assert "unknown" in console.export_text()
