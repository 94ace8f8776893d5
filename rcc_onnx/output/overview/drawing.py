"""Panels of an overview: planes drawn with contours, marks, letters, scale bar and caption.

Everything that Pillow draws is here: text, smooth lines on any ground, and the palette. A page is
grey, but for a few inks and their blends with what is under them, so that 256 colours are enough: a
third of the bytes and of the time to write, looking the same.
"""

import unicodedata
from dataclasses import dataclass
from functools import cache
from itertools import chain
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageDraw, ImageFilter, ImageFont

from rcc_onnx.output.overview.reformat import Plane, Point
from rcc_onnx.types import Structure

Colour = tuple[int, int, int]

WHITE: Colour = (255, 255, 255)
BLACK: Colour = (0, 0, 0)
INK: Colour = (24, 28, 33)
GREY_INK: Colour = (92, 98, 107)
PAGE: Colour = (250, 250, 249)
AMBER: Colour = (255, 232, 184)
# Orange and sky blue of Okabe and Ito: distinct with any colour vision, and in grey by lightness
# beside the black rim that every line has.
LESION: Colour = (255, 159, 28)
KIDNEY: Colour = (86, 195, 245)

FINE = 4
"""Strokes are drawn this many times larger, then made smaller: smooth edges."""
BLUR = 1.6
"""Radius, in pixels, by which a mask is blurred to find lines at a distance from its edge."""
MARGIN = 8
"""Pixels round a mask in which its line lies."""


@cache
def font(size: int) -> ImageFont.ImageFont | ImageFont.FreeTypeFont:
    """Return the font that comes with Pillow: the same on every machine."""
    return ImageFont.load_default(size)


def drawable(text: str) -> str:
    """Return text in letters that the font has: accents are left out, the rest becomes `?`."""
    plain = unicodedata.normalize("NFKD", text)
    return "".join(
        letter if " " <= letter <= "~" else "?"
        for letter in plain
        if not unicodedata.combining(letter)
    )


def width_of(text: str, size: int) -> float:
    return float(font(size).getlength(text))


def cut(text: str, size: int, width: float) -> str:
    """Return the text, its middle left out where it is wider than `width`."""
    if width_of(text, size) <= width:
        return text
    for length in range(len(text) - 1, 0, -1):
        head, tail = text[: length - length // 3], text[len(text) - length // 3 :]
        if width_of(f"{head}...{tail}", size) <= width:
            return f"{head}...{tail}"
    return ""


def wrapped(text: str, size: int, width: float) -> list[str]:
    """Return lines of whole words that fit; a word that is too wide is cut."""
    lines: list[str] = []
    for word in text.split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and width_of(longer, size) <= width:
            lines[-1] = longer
        else:
            lines.append(cut(word, size, width))
    return lines


def write(  # noqa: PLR0913, PLR0917  where, what, how
    picture: Image.Image,
    at: tuple[float, float],
    text: str,
    size: int,
    colour: Colour = INK,
    anchor: str = "la",
    *,
    rim: int = 0,
    bold: bool = False,
) -> None:
    """Write text; `rim` is the width of a black edge, for text on pictures."""
    draw = ImageDraw.Draw(picture)
    draw.fontmode = "L"
    if rim:
        draw.text(at, text, colour, font(size), anchor, stroke_width=rim, stroke_fill=BLACK)
        return
    # The font has one weight; a thin stroke makes it bold.
    weight = max(size / 40, 0.5) if bold else 0
    draw.text(at, text, colour, font(size), anchor, stroke_width=weight, stroke_fill=colour)


def stroke(
    picture: Image.Image,
    points: list[tuple[float, float]],
    colour: Colour,
    width: float,
) -> None:
    """Draw a smooth line through (x, y) points, with a black rim."""
    margin = int(width) + 4
    left = int(min(x for x, _ in points)) - margin
    top = int(min(y for _, y in points)) - margin
    right = int(max(x for x, _ in points)) + margin
    bottom = int(max(y for _, y in points)) + margin
    fine = [((x - left) * FINE, (y - top) * FINE) for x, y in points]
    for ink, thick in ((BLACK, width + 2), (colour, width)):
        mask = Image.new("L", ((right - left) * FINE, (bottom - top) * FINE))
        ImageDraw.Draw(mask).line(fine, 255, round(thick * FINE), joint="curve")
        picture.paste(ink, (left, top), mask.reduce(FINE))


def outline(
    picture: Image.Image, mask: Image.Image, at: tuple[int, int], colour: Colour, width: float
) -> None:
    """Draw a smooth line along the edge of a mask, with a black rim.

    The mask is "L", 255 inside; its left upper corner lies at (x, y) of the picture, and it may
    stick out.
    """
    found = mask.getbbox()
    if found is None:
        return
    # Only what lies in the picture, and room for the line round it.
    left = max(found[0], -at[0]) - MARGIN
    top = max(found[1], -at[1]) - MARGIN
    right = min(found[2], picture.width - at[0]) + MARGIN
    bottom = min(found[3], picture.height - at[1]) + MARGIN
    if right - left <= 2 * MARGIN or bottom - top <= 2 * MARGIN:
        return
    part = mask.crop((left, top, right, bottom))
    soft = part.filter(ImageFilter.GaussianBlur(BLUR))
    for ink, thick in ((BLACK, width + 1.6), (colour, width)):
        picture.paste(ink, (at[0] + left, at[1] + top), soft.point(_covers(thick)))


@cache
def _covers(width: float) -> list[int]:
    """Return how much of a pixel a line covers, 0 to 255, by the blurred mask's value there.

    A blurred edge falls along its normal as the normal distribution does, so its value tells how
    far away the edge is, and the line is equally wide everywhere.
    """
    edge = NormalDist(sigma=BLUR)
    distances = [abs(edge.inv_cdf(value / 255)) for value in range(1, 255)]
    covers = [round(255 * min(max(width / 2 + 0.5 - away, 0), 1)) for away in distances]
    return [0, *covers, 0]


# --- Panels ---------------------------------------------------------------------------------------

COLOURS = {
    Structure.RIGHT_KIDNEY: KIDNEY,
    Structure.LEFT_KIDNEY: KIDNEY,
    Structure.SUSPECTED_LESION: LESION,
}
BARS_CM = (0.5, 1, 2, 5, 10)
"""Lengths that a scale bar may have."""


@dataclass(frozen=True)
class View:
    """A part of a plane, shown as a picture in the middle of a panel.

    Attributes:
        corner: (row, column) of the plane at the picture's left upper corner.
        scale_yx: pixels of the panel for a row and a column of the plane.
        width, height: of the picture.
        panel: width and height of the panel.
    """

    corner: Point
    scale_yx: tuple[float, float]
    width: int
    height: int
    panel: tuple[int, int]

    @property
    def left_top(self) -> tuple[int, int]:
        """Place of the picture in the panel."""
        return (self.panel[0] - self.width) // 2, (self.panel[1] - self.height) // 2

    def in_picture(self, point: Point) -> tuple[float, float]:
        """Return x and y in the picture."""
        return (
            (point[1] - self.corner[1]) * self.scale_yx[1],
            (point[0] - self.corner[0]) * self.scale_yx[0],
        )

    def at(self, point: Point) -> tuple[float, float]:
        """Return x and y in the panel."""
        (left, top), (x, y) = self.left_top, self.in_picture(point)
        return left + x, top + y


def panel(
    plane: Plane, size: tuple[int, int], text: int, zoom_mm: float | None = None
) -> Image.Image:
    """Draw a picture of `size` (width, height): the whole plane, or a square of `zoom_mm` of it.

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
    picture.paste(shown, view.left_top)
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
    """Draw the edge of a mask of the plane on the view's picture, which starts at its corner."""
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
    rows, columns = plane.values.shape
    height_mm, width_mm = rows * plane.mm_yx[0], columns * plane.mm_yx[1]
    pixels_a_mm = min(size[0] / width_mm, size[1] / height_mm)
    width = max(min(round(width_mm * pixels_a_mm), size[0]), 1)
    height = max(min(round(height_mm * pixels_a_mm), size[1]), 1)
    return View((0.0, 0.0), (height / rows, width / columns), width, height, size)


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
    return View((corner[0], corner[1]), (scales[0], scales[1]), width, height, size)


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
        start, end = (np.array(view.at(point)) for point in plane.line)
        along = end - start
        length = float(np.hypot(*along)) or 1.0
        across = np.array([-along[1], along[0]]) / length * line * 4
        for ends in ((start, end), (start - across, start + across), (end - across, end + across)):
            stroke(picture, [(float(x), float(y)) for x, y in ends], WHITE, line * 0.8)


def _letters(picture: Image.Image, plane: Plane, text: int, level: float | None) -> None:
    """Write the patient's sides at the middle of each edge, or a little above the mark."""
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
    """Draw at the lower right the longest bar that takes up to a third of the width."""
    fitting = [length for length in BARS_CM if length * pixels_a_cm <= picture.width / 3]
    length = fitting[-1] if fitting else BARS_CM[0]
    right, bottom = picture.width - 16, picture.height - 18
    left, tick = right - length * pixels_a_cm, text * 0.3
    bar = [(left, bottom - tick), (left, bottom), (right, bottom), (right, bottom - tick)]
    stroke(picture, bar, WHITE, max(text / 9, 2))
    label = f"{length:g} cm"
    middle = max((left + right) / 2, left + width_of(label, text) / 2 - (right - left))
    write(picture, (middle, bottom - tick - 4), label, text, WHITE, "md", rim=2)


# --- Palette --------------------------------------------------------------------------------------

GREYS = 192
"""Levels of grey: steps of 1.3 of 255, too small to see."""
SPREAD = 12
"""Channels of a pixel that differ by no more are grey; the inks of words differ by less."""
RAMPS: tuple[tuple[Colour, Colour, int], ...] = (
    (BLACK, LESION, 20),
    (BLACK, KIDNEY, 20),
    (INK, AMBER, 12),
    (PAGE, LESION, 6),
    (PAGE, KIDNEY, 6),
)
"""Blends of inks with what is under them, and in how many steps."""


def indexed(page: Image.Image) -> Image.Image:
    """Return a page ("RGB") as "P": greys to the nearest level, colours to the nearest blend."""
    red, green, blue = page.split()
    spread = ImageChops.lighter(
        ImageChops.difference(red, green), ImageChops.difference(green, blue)
    )
    coloured = spread.point([255 * (value > SPREAD) for value in range(256)])
    indices = green.point([round(value * (GREYS - 1) / 255) for value in range(256)])
    colours = page.quantize(palette=_colours(), dither=Image.Dither.NONE)
    from_colours = Image.fromarray(np.asarray(colours) + np.uint8(GREYS))
    indices.paste(from_colours, mask=coloured)
    indices.putpalette(bytes(chain(*_greys(), *_blends())))
    return indices


def _greys() -> list[Colour]:
    levels = [round(level * 255 / (GREYS - 1)) for level in range(GREYS)]
    return [(level, level, level) for level in levels]


def _blends() -> list[Colour]:
    blends = []
    for start, end, steps in RAMPS:
        for step in range(1, steps + 1):
            red, green, blue = (
                round(a + (b - a) * step / steps) for a, b in zip(start, end, strict=True)
            )
            blends.append((red, green, blue))
    return blends


@cache
def _colours() -> Image.Image:
    palette = Image.new("P", (1, 1))
    palette.putpalette(bytes(chain(*_blends())))
    return palette
