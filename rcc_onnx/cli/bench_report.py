"""Tables, notes and the plot of `rcc-onnx bench`, and its files."""

from collections.abc import Iterator
from pathlib import Path
from statistics import median

from PIL import Image, ImageDraw, ImageFont
from rich.table import Table
from rich.text import Text

from rcc_onnx.diagnostics.bench import BenchReport, SetupFigures
from rcc_onnx.errors import OutputError
from rcc_onnx.system.documents import document_bytes
from rcc_onnx.types import Precision

OTHER = "everything else"
"""What no stage covers."""


def bench_tables(report: BenchReport) -> Iterator[Table]:
    """Yield the tables: setups, their stages, and the cases if there are several."""
    table = Table("setup", title="A case on this machine", title_justify="left")
    for name in ("cold s", "warm p50 s", "p95 s", "slices/s", "peak MB"):
        table.add_column(name, justify="right")
    for result in report.setups:
        row = ["not measured"]
        if result.figures:
            found = result.figures
            seconds = (found.cold_s, found.warm_p50_s, found.warm_p95_s)
            row = [f"{value:.2f}" for value in seconds]
            row += [f"{found.slices_per_s:.1f}", _megabytes(found.peak_memory_bytes)]
        table.add_row(result.setup.label, *row)
    yield table
    stages = {label: _stages(figures) for label, figures in _measured(report).items()}
    yield _median_table("stage", stages, "{:.3f}")
    cases = {
        label: {f"{case.study} ({case.slices} slices)": median(case.warm_s) for case in found.cases}
        for label, found in _measured(report).items()
    }
    if any(len(of_setup) > 1 for of_setup in cases.values()):
        yield _median_table("case", cases, "{:.2f}")


def notes(report: BenchReport) -> Iterator[str]:
    """Yield what could not be measured, what ran, and what to use, a line each."""
    for result in report.setups:
        if result.refused:
            yield f"not measured: {result.setup.label}: {result.refused}"
    for label, figures in _measured(report).items():
        runs = sum(len(case.warm_s) for case in figures.cases)
        provider = figures.provider
        yield (
            f"{label}: onnxruntime {provider.onnxruntime}, {provider.threads} threads, models "
            f"{figures.bundle}, {runs} warm runs"
        )
    setup = report.recommended.setup
    options = f"--provider {setup.provider}"
    if setup.precision is not Precision.FLOAT32:
        options += f" --precision {setup.precision}"
    yield f"Recommended here: {options} ({report.recommended.reason})."
    yield report.notice


def save(report: BenchReport, json_file: Path | None, plot_file: Path | None) -> None:
    """Write the report as JSON and the plot as PNG. Raises OutputError if that is not possible."""
    try:
        if json_file is not None:
            json_file.write_bytes(document_bytes(report))
        if plot_file is not None:
            plot(report).save(plot_file, "PNG")
    except OSError as error:
        raise OutputError(f"cannot write the figures: {error}") from error


def _measured(report: BenchReport) -> dict[str, SetupFigures]:
    """Return the figures of the setups that ran, by label."""
    return {result.setup.label: result.figures for result in report.setups if result.figures}


def _stages(figures: SetupFigures) -> dict[str, float]:
    """Return median warm seconds by stage, in words."""
    stages = {stage.replace("_", " "): s for stage, s in figures.stages_p50_s.items()}
    return {**stages, OTHER: figures.other_p50_s}


def _median_table(what: str, columns: dict[str, dict[str, float]], form: str) -> Table:
    """Return a table of seconds: a row for each stage or case, a column for each setup."""
    table = Table(what, title=f"Warm seconds by {what}, median", title_justify="left")
    for label in columns:
        table.add_column(label, justify="right", overflow="fold")
    names = dict.fromkeys(name for column in columns.values() for name in column)
    for name in names:
        cells = (form.format(column[name]) if name in column else "" for column in columns.values())
        table.add_row(Text(name), *cells)
    return table


def _megabytes(size: int | None) -> str:
    return "unknown" if size is None else f"{size / 1e6:.0f}"


# --- The plot ------------------------------------------------------------------------------------

WIDTH, LEFT, RIGHT = 1000, 210, 190
TOP, ROW, BAR, LEGEND = 70, 64, 30, 34
COLORS = ("#4477aa", "#66ccee", "#228833", "#ccbb44", "#ee6677")
"""Paul Tol's bright scheme: color-blind readers can tell them apart too."""
OTHER_COLOR, INK, PAPER = "#bbbbbb", "#222222", "#ffffff"


def plot(report: BenchReport) -> Image.Image:
    """Return warm median seconds of a case: a bar for each setup, made of its stages; RGB."""
    ran = _measured(report)
    names = dict.fromkeys(name for figures in ran.values() for name in _stages(figures))
    colors = dict(zip((name for name in names if name != OTHER), COLORS, strict=False))
    colors[OTHER] = OTHER_COLOR
    image = Image.new("RGB", (WIDTH, TOP + ROW * len(ran) + 2 * LEGEND + 20), PAPER)
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(16)
    draw.text((20, 20), "Warm seconds of a case, median", INK, ImageFont.load_default(22))
    longest = max(figures.warm_p50_s for figures in ran.values())
    for row, (label, figures) in enumerate(ran.items()):
        draw.text((20, TOP + ROW * row + 6), label, INK, font)
        _draw_bar(draw, figures, TOP + ROW * row, (WIDTH - LEFT - RIGHT) / longest, colors)
    x, y = 20.0, TOP + ROW * len(ran)
    for name, color in colors.items():
        draw.rectangle((x, y + 4, x + 14, y + 18), color)
        draw.text((x + 20, y), name, INK, font)
        x += 44 + draw.textlength(name, font)
    draw.text((20, y + LEGEND), report.notice, INK, font)
    return image


def _draw_bar(
    draw: ImageDraw.ImageDraw,
    figures: SetupFigures,
    y: int,
    pixels_per_second: float,
    colors: dict[str, str],
) -> None:
    x = float(LEFT)
    for name, seconds in _stages(figures).items():
        end = x + seconds * pixels_per_second
        if end - x >= 1:
            draw.rectangle((x, y, end, y + BAR), colors[name])
        x = end
    draw.text((x + 8, y), f"{figures.warm_p50_s:.2f} s", INK, ImageFont.load_default(16))
    peak = _megabytes(figures.peak_memory_bytes)
    small = ImageFont.load_default(12)
    draw.text((x + 8, y + 19), f"cold {figures.cold_s:.1f} s, peak {peak} MB", INK, small)
