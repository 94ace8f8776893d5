"""Erosion and dilation of a mask with the 3x3 cross, 64 pixels at a time.

The mask is packed into one string of bits, row after row, so that a step to the next column is a
shift by one bit and a step to the next row a shift by whole words. Between two rows lie at least
two spare bits that start as background.
"""

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]
Words = NDArray[np.uint64]

_WORD = 64
_SPARE = 2
"""Columns that two dilations in a row may spill into without reaching the next row."""
_ONE, _LAST = np.uint64(1), np.uint64(_WORD - 1)


def opened_and_closed(mask: Mask) -> Mask:
    """Erosion, dilation, dilation, erosion; outside the image counts as background.

    Equal to SciPy's `binary_closing(binary_opening(mask))` with its default cross:

    - What a dilation spills over the image's left or right border lies in spare bits, at most two
      columns deep, and comes back only to pixels it came from. So two dilations in the larger frame
      are two dilations in the image. Above and below, it falls out of the string.
    - An erosion takes the outermost pixels, because their outer neighbours are background. In the
      last one those spare bits may be set, so the outermost columns are cleared by hand.

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
    """Every bit one place further: a pixel takes the value of its left neighbour."""
    moved = words << _ONE
    moved[1:] |= words[:-1] >> _LAST
    return moved


def _previous_column(words: Words) -> Words:
    """Every bit one place back: a pixel takes the value of its right neighbour."""
    moved = words >> _ONE
    moved[:-1] |= words[1:] << _LAST
    return moved
