"""A page in 256 colours: a third of the bytes and of the time to write, looking the same.

A page is grey, but for a few inks and their blends with what is under them.
"""

from functools import cache
from itertools import chain

import numpy as np
from PIL import Image, ImageChops

from rcc_onnx.output.overview.ink import AMBER, BLACK, INK, KIDNEY, LESION, PAGE, Colour

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
"""What inks blend with, and in how many steps."""


def indexed(page: Image.Image) -> Image.Image:
    """The page ("RGB") as "P", with greys to the nearest level and colours to the nearest blend."""
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
