"""Connected regions of a mask: holes filled, and the largest piece.

Pieces of the mask hang together through 8 neighbours, its background through 4. A slice has a
quarter of a million pixels but some hundred runs: stretches of one kind in raster order, foreground
and background by turns. So runs are joined to regions, not pixels.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]
Indices = NDArray[np.intp]


def largest_filled(mask: Mask) -> Mask | None:
    """The largest piece of the mask once its holes are filled, or None if the mask is empty.

    Of pieces with equally many pixels, the one that is met first in raster order.

    Args:
        mask: shape (rows, columns), with background all round its border. Not changed.
    """
    runs = _Runs.of(mask)
    if runs is None:
        return None
    filled = runs.filled()
    pixels = np.bincount(filled.piece, weights=filled.ends - filled.starts)[filled.piece]
    # argmax takes the first of equals, and stretches are in raster order.
    largest = filled.piece == filled.piece[np.argmax(pixels)]
    return _painted(filled.starts[largest], filled.ends[largest], mask.shape)


def fill_holes(mask: Mask) -> Mask:
    """The mask and all background that has no way, through 4 neighbours, to the image's border."""
    framed = np.pad(mask, 1)
    runs = _Runs.of(framed)
    if runs is None:
        return np.zeros_like(mask)
    filled = runs.filled()
    return _painted(filled.starts, filled.ends, framed.shape)[1:-1, 1:-1]


@dataclass(frozen=True)
class _Filled:
    """Stretches of the mask with its holes filled, in raster order, as flat indices.

    Attributes:
        starts, ends: first index, and first index after.
        piece: a number that stretches of one piece share.
    """

    starts: Indices
    ends: Indices
    piece: Indices


@dataclass(frozen=True)
class _Runs:
    """The runs of a flat mask, numbered from 0 in raster order: even ones are background.

    As the border is background, the mask starts and ends with it, and a run of foreground never
    goes on in the next row. One of background does, but only from border to border, where both
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
        """None if there is no foreground."""
        flat = mask.ravel()
        edges = np.flatnonzero(flat[1:] != flat[:-1]) + 1
        return cls(edges, mask.shape[1], mask.size) if edges.size else None

    def filled(self) -> _Filled:
        """The mask with its holes filled.

        Outside is the background that hangs together with run 0. Whatever lies between two runs of
        it that follow each other is foreground or enclosed by it. The first run in between touches
        the outside, so it is no part of something inside a hole, but of the piece that encloses:
        pieces after filling are the pieces before that touch the outside.
        """
        region = _joined(self.edges.size + 1, *self._neighbours())
        outside = np.flatnonzero(region == region[0])
        before, after = outside[:-1], outside[1:]
        return _Filled(self.edges[before], self.edges[after - 1], region[before + 1])

    def _neighbours(self) -> tuple[Indices, Indices]:
        """Pairs of runs of one kind, of which the second touches the first from the row below."""
        bounds = np.concatenate(([0], self.edges, [self.size]))
        starts, ends = bounds[:-1], bounds[1:]
        run = np.arange(starts.size)
        is_mask = run & 1
        # As many edges lie at or before an index as runs lie before the one it is in. Foreground
        # looks one pixel further to both sides: that is what 8 neighbours have more than 4.
        first = np.searchsorted(self.edges, starts + self.columns - is_mask, "right")
        last = np.searchsorted(self.edges, ends + self.columns - 1 + is_mask, "right")
        first += (first ^ run) & 1
        last -= (last ^ run) & 1
        count = np.maximum((last - first) // 2 + 1, 0)
        upper = np.repeat(run, count)
        step = np.arange(upper.size) - np.repeat(np.cumsum(count) - count, count)
        return upper, np.repeat(first, count) + 2 * step


def _joined(count: int, one: Indices, other: Indices) -> Indices:
    """The smallest member of the region of each of `count` things, given pairs that touch.

    Every round hangs the larger root of a pair under the smaller one, lets all point to their
    roots, and keeps the pairs whose roots still differ.
    """
    root = np.arange(count)
    while one.size:
        root[np.maximum(one, other)] = np.minimum(one, other)
        above = root[root]
        while not np.array_equal(above, root):
            root, above = above, above[above]
        one, other = root[one], root[other]
        apart = one != other
        one, other = one[apart], other[apart]
    return root


def _painted(starts: Indices, ends: Indices, shape: tuple[int, ...]) -> Mask:
    """A mask of the stretches, which lie apart and in order."""
    edges = np.stack((starts, ends), axis=1).ravel()
    lengths = np.diff(edges, prepend=0, append=shape[0] * shape[1])
    is_inside = np.arange(lengths.size) % 2 == 1
    return np.repeat(is_inside, lengths).reshape(shape)
