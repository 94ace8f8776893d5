"""A plane drawn into a panel: picture, contours, marks, letters, scale bar, caption."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from rcc_onnx.output.overview.ink import (
    BLACK,
    KIDNEY,
    LESION,
    WHITE,
    Colour,
    cut,
    outline,
    stroke,
    width_of,
    write,
)
from rcc_onnx.output.overview.planes import Plane, Point
from rcc_onnx.types import Structure

COLOURS = {
    Structure.RIGHT_KIDNEY: KIDNEY,
    Structure.LEFT_KIDNEY: KIDNEY,
    Structure.SUSPECTED_LESION: LESION,
}
BARS_CM = (0.5, 1, 2, 5, 10)
"""Lengths that a scale bar may have."""


@dataclass(frozen=True)
class View:
    """Which part of a plane a panel shows, and where.

    Attributes:
        corner: (row, column) of the plane at the picture's left upper corner.
        scale_yx: pixels of the panel for a row and a column of the plane.
        left, top, width, height: of the picture in the panel.
    """

    corner: Point
    scale_yx: tuple[float, float]
    left: int
    top: int
    width: int
    height: int

    def in_picture(self, point: Point) -> tuple[float, float]:
        """x and y in the picture."""
        return (
            (point[1] - self.corner[1]) * self.scale_yx[1],
            (point[0] - self.corner[0]) * self.scale_yx[0],
        )

    def at(self, point: Point) -> tuple[float, float]:
        """x and y in the panel."""
        x, y = self.in_picture(point)
        return self.left + x, self.top + y


def panel(
    plane: Plane, size: tuple[int, int], text: int, zoom_mm: float | None = None
) -> Image.Image:
    """A picture of `size` (width, height) with the whole plane, or a square of `zoom_mm` of it.

    `text` is the size of letters, from which lines take their width.
    """
    picture = Image.new("RGB", size, BLACK)
    view = _fitted(plane, size) if zoom_mm is None else _zoomed(plane, size, zoom_mm)
    rows = (view.corner[0], view.corner[0] + view.height / view.scale_yx[0])
    columns = (view.corner[1], view.corner[1] + view.width / view.scale_yx[1])
    # Rounding must not leave the plane.
    height, width = plane.values.shape
    part = (columns[0], rows[0], min(columns[1], width), min(rows[1], height))
    pixels = (view.width, view.height)
    grey = Image.fromarray(plane.values).resize(pixels, Image.Resampling.BICUBIC, box=part)
    shown = grey.convert("RGB")
    line = text / 8
    for structure, colour in COLOURS.items():
        _contour(shown, plane.labels == structure, view, colour, line)
    picture.paste(shown, (view.left, view.top))
    _marks(picture, plane, view, line, is_zoom=zoom_mm is not None)
    _letters(picture, plane, text, None if plane.level is None else view.at((plane.level, 0))[1])
    _scale_bar(picture, view.scale_yx[1] / plane.mm_yx[1] * 10, text)
    caption = (plane.name, plane.position) if zoom_mm is None else ("zoom",)
    for number, line_of_it in enumerate(caption):
        # As far as the letter in the middle.
        shown_text = cut(line_of_it, text, size[0] / 2 - text - 12)
        write(picture, (12, 9 + number * text * 1.25), shown_text, text, WHITE, rim=2)
    return picture


def _contour(
    shown: Image.Image, inside: NDArray[np.bool_], view: View, colour: Colour, line: float
) -> None:
    """The edge of a mask of the plane, on the picture of the view (which starts at its corner)."""
    rows, columns = (np.flatnonzero(inside.any(axis=axis)) for axis in (1, 0))
    if not rows.size:
        return
    # The mask's own part, with an empty pixel round it: most of a plane is no mask.
    part = np.zeros((rows[-1] - rows[0] + 3, columns[-1] - columns[0] + 3), np.uint8)
    part[1:-1, 1:-1] = inside[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    (left, top), (right, bottom) = (
        view.in_picture(corner)
        for corner in ((rows[0] - 1, columns[0] - 1), (rows[-1] + 2, columns[-1] + 2))
    )
    size = max(round(right) - round(left), 1), max(round(bottom) - round(top), 1)
    smooth = Image.fromarray(part * np.uint8(255)).resize(size, Image.Resampling.BILINEAR)
    edge = smooth.point([255 * (value > 127) for value in range(256)])
    outline(shown, edge, (round(left), round(top)), colour, line)


def _fitted(plane: Plane, size: tuple[int, int]) -> View:
    height_mm, width_mm = plane.size_mm
    pixels_a_mm = min(size[0] / width_mm, size[1] / height_mm)
    width = max(min(round(width_mm * pixels_a_mm), size[0]), 1)
    height = max(min(round(height_mm * pixels_a_mm), size[1]), 1)
    rows, columns = plane.values.shape
    return View(
        (0.0, 0.0),
        (height / rows, width / columns),
        (size[0] - width) // 2,
        (size[1] - height) // 2,
        width,
        height,
    )


def _zoomed(plane: Plane, size: tuple[int, int], zoom_mm: float) -> View:
    pixels_a_mm = min(size) / zoom_mm
    corner, scales, lengths = [], [], []
    for axis in range(2):
        scale = pixels_a_mm * plane.mm_yx[axis]
        shown = min(size[1 - axis] / scale, plane.values.shape[axis])
        first = min(max(plane.middle[axis] - shown / 2, 0.0), plane.values.shape[axis] - shown)
        corner.append(first)
        scales.append(scale)
        lengths.append(max(int(shown * scale), 1))
    height, width = lengths
    return View(
        (corner[0], corner[1]),
        (scales[0], scales[1]),
        (size[0] - width) // 2,
        (size[1] - height) // 2,
        width,
        height,
    )


def _marks(picture: Image.Image, plane: Plane, view: View, line: float, *, is_zoom: bool) -> None:
    if plane.box is not None:
        top, bottom, left, right = plane.box
        # A little off the edges, so that the contour stays to be seen.
        gap = 2 * line
        (x0, y0), (x1, y1) = view.at((top, left)), view.at((bottom, right))
        corners = [(x0 - gap, y0 - gap), (x1 + gap, y0 - gap), (x1 + gap, y1 + gap)]
        corners += [(x0 - gap, y1 + gap), (x0 - gap, y0 - gap)]
        stroke(picture, corners, LESION, line * 0.6)
    if plane.level is not None:
        x0, y = view.at((plane.level, 0))
        for left in (x0, x0 + view.width - 6 * line):
            stroke(picture, [(left, y), (left + 6 * line, y)], WHITE, line * 0.7)
    if plane.line is not None and is_zoom:
        one, other = (np.array(view.at(end)) for end in plane.line)
        along = other - one
        length = float(np.hypot(*along)) or 1.0
        across = np.array([-along[1], along[0]]) / length * line * 4
        for ends in ((one, other), (one - across, one + across), (other - across, other + across)):
            stroke(picture, [(float(x), float(y)) for x, y in ends], WHITE, line * 0.8)


def _letters(picture: Image.Image, plane: Plane, text: int, level: float | None) -> None:
    """The patient's sides, at the middle of each edge, or a little above the mark at `level`."""
    left, right, top, bottom = plane.letters
    width, height = picture.size
    large = round(text * 1.35)
    middle = height / 2
    if level is not None and abs(level - middle) < large:
        middle = level - large
    places = (
        (left, (12, middle), "lm"),
        (right, (width - 12, middle), "rm"),
        (top, (width / 2, 9), "ma"),
        (bottom, (width / 2, height - 9), "md"),
    )
    for letter, at, anchor in places:
        write(picture, at, letter, large, WHITE, anchor, rim=2)


def _scale_bar(picture: Image.Image, pixels_a_cm: float, text: int) -> None:
    """Right below: the longest of the lengths that takes up to a third of the width."""
    fitting = [length for length in BARS_CM if length * pixels_a_cm <= picture.width / 3]
    length = fitting[-1] if fitting else BARS_CM[0]
    right, bottom = picture.width - 16, picture.height - 18
    left, tick = right - length * pixels_a_cm, text * 0.3
    bar = [(left, bottom - tick), (left, bottom), (right, bottom), (right, bottom - tick)]
    stroke(picture, bar, WHITE, max(text / 9, 2))
    label = f"{length:g} cm"
    middle = max((left + right) / 2, left + width_of(label, text) / 2 - (right - left))
    write(picture, (middle, bottom - tick - 4), label, text, WHITE, "md", rim=2)
