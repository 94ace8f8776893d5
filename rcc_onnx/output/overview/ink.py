"""Drawing: text, lines and contours on a picture, smooth and readable on any ground."""

import unicodedata
from functools import cache
from statistics import NormalDist

from PIL import Image, ImageDraw, ImageFilter, ImageFont

Colour = tuple[int, int, int]

WHITE: Colour = (255, 255, 255)
BLACK: Colour = (0, 0, 0)
INK: Colour = (24, 28, 33)
GREY_INK: Colour = (92, 98, 107)
PAGE: Colour = (250, 250, 249)
AMBER: Colour = (255, 232, 184)
# Orange and sky blue of Okabe and Ito: told apart with any colour vision, and in grey by lightness
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
    """The font that comes with Pillow: the same on every machine."""
    return ImageFont.load_default(size)


def drawable(text: str) -> str:
    """The text in letters that the font has: accents are left out, the rest becomes `?`."""
    plain = unicodedata.normalize("NFKD", text)
    return "".join(
        one if " " <= one <= "~" else "?" for one in plain if not unicodedata.combining(one)
    )


def width_of(text: str, size: int) -> float:
    return float(font(size).getlength(text))


def cut(text: str, size: int, width: float) -> str:
    """The text, its middle left out where it is wider than `width`."""
    if width_of(text, size) <= width:
        return text
    for length in range(len(text) - 1, 0, -1):
        head, tail = text[: length - length // 3], text[len(text) - length // 3 :]
        if width_of(f"{head}...{tail}", size) <= width:
            return f"{head}...{tail}"
    return ""


def wrapped(text: str, size: int, width: float) -> list[str]:
    """Lines of whole words that fit; a word that is too wide is cut."""
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
    """Text; `rim` is the width of a black edge, for text on pictures."""
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
    """A smooth line through (x, y) points, with a black rim."""
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
    """A smooth line along the edge of a mask, with a black rim.

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
    """How much of a pixel a line of `width` covers, 0 to 255, by the blurred mask's value there.

    A blurred edge falls along its normal as the normal distribution does, so its value tells how
    far away the edge is, and the line is equally wide everywhere.
    """
    edge = NormalDist(sigma=BLUR)
    distances = [abs(edge.inv_cdf(value / 255)) for value in range(1, 255)]
    covers = [round(255 * min(max(width / 2 + 0.5 - one, 0), 1)) for one in distances]
    return [0, *covers, 0]
