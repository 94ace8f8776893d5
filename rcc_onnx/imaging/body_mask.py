"""The body in one slice: the patient without table and air (docs/pipeline.md section 1).

Opening and closing work on 64 pixels at a time: the mask is packed into one string of bits, row
after row, so that a step to the next column is a shift by one bit and a step to the next row a
shift by whole words. Between two rows lies at least one spare bit that starts as background.

Regions are joined from runs, not pixels: a slice has a quarter of a million pixels but some hundred
runs, stretches of one kind in raster order, foreground and background by turns. Regions of the mask
are connected through 8 neighbours, its background through 4.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]
Indices = NDArray[np.intp]
Words = NDArray[np.uint64]

FOREGROUND_ABOVE = -300
"""Values above this are foreground: HU, or stored values in the notebook profile."""
_WORD = 64
_SPARE = 1
"""Columns between a row and the next: bits that spill into them must not reach the next row."""
_ONE, _LAST = np.uint64(1), np.uint64(_WORD - 1)


def body_mask(foreground: Mask) -> Mask | None:
    """Return the body among the foreground pixels of one slice.

    Opening and closing with the 3x3 cross, holes filled, then the largest region (8 neighbours), of
    equals the first in raster order.

    Args:
        foreground: shape (rows, columns). Not changed.

    Returns:
        A new array of the same shape, or None if nothing is left after the opening. The outermost
        rows and columns are never body: outside the image counts as background.
    """
    return largest_filled(open_and_close(foreground))


def largest_filled(mask: Mask) -> Mask | None:
    """Return the largest region of the mask once its holes are filled; None if the mask is empty.

    Of regions with equally many pixels, the first in raster order.

    Args:
        mask: shape (rows, columns), with background all round its border. Not changed.
    """
    runs = _Runs.of(mask)
    if runs is None:
        return None
    starts, ends, region = runs.filled()
    pixels = np.bincount(region, weights=ends - starts)[region]
    # argmax takes the first of equals, and stretches are in raster order.
    largest = region == region[np.argmax(pixels)]
    return _painted(starts[largest], ends[largest], mask.shape)


def fill_holes(mask: Mask) -> Mask:
    """Return the mask with all background that is not connected with the image's border."""
    framed = np.pad(mask, 1)
    runs = _Runs.of(framed)
    if runs is None:
        return np.zeros_like(mask)
    starts, ends, _ = runs.filled()
    return _painted(starts, ends, framed.shape)[1:-1, 1:-1]


@dataclass(frozen=True)
class _Runs:
    """The runs of a flat mask, numbered from 0 in raster order: even ones are background.

    As the border is background, the mask starts and ends with it, and a run of foreground never
    continues in the next row. One of background does, but only from border to border, where both
    parts are outside anyway.

    Attributes:
        edges: where a run ends and the next one starts; run n is edges[n - 1] to edges[n].
        columns, size: pixels in a row, and in all.
    """

    edges: Indices
    columns: int
    size: int

    @classmethod
    def of(cls, mask: Mask) -> "_Runs | None":
        """Return the runs of a mask; None without foreground."""
        flat = mask.ravel()
        edges = np.flatnonzero(flat[1:] != flat[:-1]) + 1
        return cls(edges, mask.shape[1], mask.size) if edges.size else None

    def filled(self) -> tuple[Indices, Indices, Indices]:
        """Fill the holes; return stretches in raster order: first index, first index after, region.

        Outside is the background that is connected with run 0. Between two runs of it that follow
        each other, everything is foreground or enclosed by it. The first run in between touches the
        outside, so it belongs to the region that encloses: regions after filling are the regions
        before that touch the outside.
        """
        region = _joined(self.edges.size + 1, *self._neighbours())
        outside = np.flatnonzero(region == region[0])
        before, after = outside[:-1], outside[1:]
        return self.edges[before], self.edges[after - 1], region[before + 1]

    def _neighbours(self) -> tuple[Indices, Indices]:
        """Pairs of runs of one kind, of which the second touches the first from the row below."""
        bounds = np.concatenate(([0], self.edges, [self.size]))
        starts, ends = bounds[:-1], bounds[1:]
        run = np.arange(starts.size)
        is_mask = run & 1
        # As many edges lie at or before an index as runs lie before the one it is in. Foreground
        # looks one pixel further to both sides: that is what 8 neighbours have more than 4.
        # A run of the other kind at the left is skipped; one at the right is lost in the halving.
        first = np.searchsorted(self.edges, starts + self.columns - is_mask, "right")
        last = np.searchsorted(self.edges, ends + self.columns - 1 + is_mask, "right")
        first += (first ^ run) & 1
        count = np.maximum((last - first) // 2 + 1, 0)
        upper = np.repeat(run, count)
        step = np.arange(upper.size) - np.repeat(np.cumsum(count) - count, count)
        return upper, np.repeat(first, count) + 2 * step


def _joined(count: int, first: Indices, second: Indices) -> Indices:
    """Return the smallest member of the region of each of `count` runs, given pairs that touch.

    Every round makes the smaller root of a pair the parent of the larger one, lets all point to
    their roots, and keeps the pairs whose roots still differ.
    """
    root = np.arange(count)
    while first.size:
        root[np.maximum(first, second)] = np.minimum(first, second)
        above = root[root]
        while not np.array_equal(above, root):
            root, above = above, above[above]
        first, second = root[first], root[second]
        differ = first != second
        first, second = first[differ], second[differ]
    return root


def _painted(starts: Indices, ends: Indices, shape: tuple[int, ...]) -> Mask:
    """Return a mask of the stretches, which are in order and do not touch."""
    edges = np.stack((starts, ends), axis=1).ravel()
    lengths = np.diff(edges, prepend=0, append=shape[0] * shape[1])
    is_inside = np.arange(lengths.size) % 2 == 1
    return np.repeat(is_inside, lengths).reshape(shape)


def open_and_close(mask: Mask) -> Mask:
    """Erode, dilate, dilate and erode; outside the image counts as background.

    Equal to SciPy's `binary_closing(binary_opening(mask))` with its default cross:

    - The first erosion takes the outermost pixels, because their outer neighbours are background.
    - So the first dilation stays in the image, and the second spills over its border by one pixel:
      left and right into spare bits, above and below out of the string.
    - The last erosion must treat those as background. It does so above and below; the outermost
      columns, whose outer neighbours may be spare bits that are set, are cleared at the end.

    Args:
        mask: shape (rows, columns). Not changed.

    Returns:
        A new mask of that shape. Its outermost rows and columns are background.
    """
    columns = mask.shape[1]
    words_a_row = -(-(columns + _SPARE) // _WORD)
    words = _packed(mask, words_a_row)
    words = _eroded(words, words_a_row)
    words = _dilated(_dilated(words, words_a_row), words_a_row)
    closed = _unpacked(_eroded(words, words_a_row), mask.shape)
    closed[:, 0] = closed[:, columns - 1] = False
    return closed


def _packed(mask: Mask, words_a_row: int) -> Words:
    wide = np.zeros((len(mask), words_a_row * _WORD), dtype=bool)
    wide[:, : mask.shape[1]] = mask
    # Little-endian words, whatever the machine: bit n of the string is bit n % 64 of word n // 64.
    packed = np.packbits(wide, axis=None, bitorder="little").view("<u8")
    return packed.astype(np.uint64, copy=False)


def _unpacked(words: Words, shape: tuple[int, int]) -> Mask:
    octets = words.astype("<u8", copy=False).view(np.uint8)
    wide = np.unpackbits(octets, bitorder="little").view(np.bool_)
    return np.ascontiguousarray(wide.reshape(shape[0], -1)[:, : shape[1]])


def _eroded(words: Words, words_a_row: int) -> Words:
    eroded = words & _next_column(words)
    eroded &= _previous_column(words)
    eroded[words_a_row:] &= words[:-words_a_row]
    eroded[:-words_a_row] &= words[words_a_row:]
    eroded[:words_a_row] = eroded[-words_a_row:] = 0
    return eroded


def _dilated(words: Words, words_a_row: int) -> Words:
    dilated = words | _next_column(words)
    dilated |= _previous_column(words)
    dilated[words_a_row:] |= words[:-words_a_row]
    dilated[:-words_a_row] |= words[words_a_row:]
    return dilated


def _next_column(words: Words) -> Words:
    """Move every bit to the next: a pixel takes the value of its left neighbour."""
    moved = words << _ONE
    moved[1:] |= words[:-1] >> _LAST
    return moved


def _previous_column(words: Words) -> Words:
    """Move every bit to the one before: a pixel takes the value of its right neighbour."""
    moved = words >> _ONE
    moved[:-1] |= words[1:] << _LAST
    return moved
