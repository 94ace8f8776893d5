"""Panels: true proportions, marks and letters in their place, text that fits."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from rcc_onnx.output.overview import overview
from rcc_onnx.output.overview.drawing import (
    KIDNEY,
    LESION,
    WHITE,
    cut,
    drawable,
    indexed,
    outline,
    panel,
    width_of,
    wrapped,
)
from rcc_onnx.output.overview.reformat import Plane
from rcc_onnx.results import AnalysedCase
from rcc_onnx.types import Structure
from tests.support.pictures import extent, near

MM = 1.5
"""A line is about so wide, in the plane; a mark may be off by it."""


def a_plane(**changes) -> Plane:
    labels = np.zeros((100, 80), np.uint8)
    labels[20:50, 10:40] = Structure.RIGHT_KIDNEY
    labels[30:40, 20:30] = Structure.SUSPECTED_LESION
    plane = Plane("axial", "slice 1", np.full((100, 80), 90, np.uint8), labels, (2.0, 4.0),
                  ("R", "L", "A", "P"), (35.0, 25.0))  # fmt: skip
    return replace(plane, **changes)


@pytest.mark.parametrize(
    ("size", "zoom_mm", "colour", "expected"),
    [
        # 200 x 320 mm in 640 x 640 pixels: 2 pixels a mm, 120 pixels of black above and below.
        ((640, 640), None, KIDNEY, (120 + 20 * 4, 120 + 50 * 4, 10 * 8, 40 * 8)),
        ((640, 640), None, LESION, (120 + 30 * 4, 120 + 40 * 4, 20 * 8, 30 * 8)),
        # 320 pixels for 200 mm: 1.6 a mm, 64 pixels of black on either side.
        ((640, 320), None, KIDNEY, (64, 160, 64 + 64, 64 + 256)),
        # 5 pixels a mm; the middle, row 35 and column 25, is in the middle of the panel.
        ((400, 400), 80, LESION, (150, 250, 100, 300)),
    ],
)
def test_a_panel_has_true_proportions(size, zoom_mm, colour, expected) -> None:
    picture = panel(a_plane(), size, 20, zoom_mm)
    assert extent(near(picture, colour)) == pytest.approx(expected, abs=2 * MM)


def test_a_zoom_at_the_edge_stays_in_the_plane() -> None:
    for middle in ((0.0, 0.0), (100.0, 80.0), (50.0, 0.0)):
        for size in ((400, 300), (300, 400)):
            panel(a_plane(middle=middle), size, 20, zoom_mm=500)
            panel(a_plane(middle=middle), size, 20, zoom_mm=30)


@pytest.mark.parametrize(("mm", "cm"), [(4.0, 10), (2.0, 5), (1.0, 2), (0.4, 1)])
def test_the_scale_bar_is_as_long_as_it_says(mm: float, cm: float) -> None:
    nothing = np.zeros((80, 80), np.uint8)
    picture = panel(a_plane(labels=nothing, values=nothing, mm_yx=(mm, mm)), (640, 640), 20)
    line = near(picture, WHITE, 60)[-19]
    assert line.sum() == pytest.approx(cm * 10 * 8 / mm, abs=5)


def test_outlines_change_no_pixel_far_from_the_edge() -> None:
    picture, mask = Image.new("RGB", (100, 100), (90, 90, 90)), Image.new("L", (100, 100))
    mask.paste(255, (25, 20, 65, 60))
    outline(picture, mask, (5, 10), LESION, 3)
    changed = (np.asarray(picture) != 90).any(axis=2)
    y, x = np.indices(changed.shape)
    distance = np.abs(np.maximum(np.abs(y - 49.5), np.abs(x - 49.5)) - 20)
    assert distance[changed].max() < 4
    assert changed[distance < 1].all()


def test_a_mask_without_pixels_and_one_that_is_full_are_drawn() -> None:
    for labels in (np.zeros((100, 80), np.uint8), np.full((100, 80), 3, np.uint8)):
        panel(a_plane(labels=labels), (200, 200), 16)


def test_palettes_change_nothing_that_one_sees(placed: AnalysedCase) -> None:
    page = overview(placed)
    few = indexed(page)
    assert few.mode == "P"
    off = np.abs(np.asarray(few.convert("RGB")).astype(int) - np.asarray(page)).max(axis=2)
    # Blends of inks with what is under them may be off, at the very edge of a line.
    assert (off <= 4).mean() > 0.97
    assert (off <= 24).mean() > 0.999
    greys = Image.fromarray(np.arange(256, dtype=np.uint8).repeat(3).reshape(16, 16, 3))
    levels = np.asarray(indexed(greys).convert("RGB"))[..., 0].ravel()
    assert np.abs(levels.astype(int) - np.arange(256)).max() <= 1


@settings(max_examples=30, deadline=None)
@given(st.text(max_size=60), st.integers(30, 500))
def test_any_name_fits(name: str, width: int) -> None:
    text = drawable(name)
    assert text.isascii()
    assert width_of(cut(text, 24, width), 24) <= width
    assert all(width_of(line, 24) <= width for line in wrapped(text, 24, width))


def test_accents_are_left_out_and_other_scripts_marked() -> None:
    assert drawable("Müller é 東京") == "Muller e ??"
