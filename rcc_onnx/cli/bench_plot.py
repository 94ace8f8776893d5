"""The plot of `rcc-onnx bench --plot`: a bar for each setup, made of its stages."""

from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from rcc_onnx.cli.bench_report import memory_words
from rcc_onnx.diagnostics.bench import Measurement
from rcc_onnx.errors import OutputError
from rcc_onnx.types import RESEARCH_ONLY

WIDTH, LEFT, RIGHT = 1000, 210, 190
TOP, ROW, BAR = 70, 64, 30
LEGEND = 34
COLOURS = ("#4477aa", "#66ccee", "#228833", "#ccbb44", "#ee6677", "#aa3377")
"""Paul Tol's bright scheme: told apart by colour-blind readers too."""
REST_COLOUR, INK, PAPER = "#bbbbbb", "#222222", "#ffffff"


def save_plot(measurements: Sequence[Measurement], path: Path) -> None:
    """Draw the measured setups into a PNG file.

    Raises:
        OutputError: the file cannot be written.
    """
    try:
        plot(measurements).save(path, "PNG")
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror or error}") from error


def plot(measurements: Sequence[Measurement]) -> Image.Image:
    """Warm median seconds of a case by setup and stage; RGB. At least one must have run."""
    ran = [one for one in measurements if one.answers]
    stages = tuple(dict.fromkeys(stage for one in ran for stage in one.stages))
    colours = dict(zip(stages, COLOURS * (len(stages) // len(COLOURS) + 1), strict=False))
    colours["everything else"] = REST_COLOUR
    image = Image.new("RGB", (WIDTH, TOP + ROW * len(ran) + 2 * LEGEND + 20), PAPER)
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(16)
    draw.text((20, 20), "Warm seconds of a case, median", INK, ImageFont.load_default(22))
    longest = max(one.p50_s for one in ran)
    for row, one in enumerate(ran):
        _bar(draw, one, TOP + ROW * row, (WIDTH - LEFT - RIGHT) / longest, colours)
    y = TOP + ROW * len(ran)
    x = 20.0
    for name, colour in colours.items():
        draw.rectangle((x, y + 4, x + 14, y + 18), colour)
        label = name.replace("_", " ")
        draw.text((x + 20, y), label, INK, font)
        x += 44 + draw.textlength(label, font)
    draw.text((20, y + LEGEND), RESEARCH_ONLY, INK, font)
    return image


def _bar(
    draw: ImageDraw.ImageDraw,
    one: Measurement,
    y: int,
    pixels_a_second: float,
    colours: dict[str, str],
) -> None:
    font = ImageFont.load_default(16)
    draw.text((20, y + 6), one.setup.label, INK, font)
    x = float(LEFT)
    parts = {stage: one.stage_s(stage) for stage in one.stages} | {"everything else": one.rest_s}
    for name, seconds in parts.items():
        end = x + seconds * pixels_a_second
        if end - x >= 1:
            draw.rectangle((x, y, end, y + BAR), colours[name])
        x = end
    draw.text((x + 8, y), f"{one.p50_s:.2f} s", INK, font)
    small = ImageFont.load_default(12)
    cold = f"cold {one.cold_s or 0:.1f} s, peak {memory_words(one.peak_memory_bytes)} MB"
    draw.text((x + 8, y + 19), cold, INK, small)
