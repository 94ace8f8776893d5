"""A 3x3 convolution with a quarter of the products, on pixels as rows (see `pixel_rows`).

Winograd's way, F(4x4, 3x3): an image is cut into tiles of 4x4 pixels, each with a border of one. A
tile's 6x6 values are turned into 36 others by a fixed matrix, likewise each kernel's 9 weights.
Then 36 products of the two, summed over channels, and a last fixed matrix give the tile's 16
answers: 36 products where 16 * 9 were. The fixed matrices stand for multiplying polynomials by
their values at six points (Toom and Cook). Here they are matrix products too, so which points they
take costs nothing, and those were chosen that lose least to rounding in float32.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from convert.optimize.im2row import RowKeeper, Rows
from convert.optimize.onnx_graph import Array, GraphWriter

TILE: Final = 4
_TAPS: Final = 3
_WINDOW: Final = TILE + _TAPS - 1

POINTS: Final = (0.0, 0.7, -0.7, 1.4, -1.4)
"""Where the polynomials are evaluated, infinity aside. With the usual 0, 1, -1, 2, -2 a sum over 64
channels is off by 1.4e-6 at the root of the mean square; with these by 6e-7, where adding the
products one by one is off by 3e-7."""

# How long it takes, in products of a direct convolution per pixel, from times measured for layers
# of 32 to 512 channels with ONNX Runtime on two cores.
_PRODUCT: Final = 1.3
_CHANNEL_IN, _CHANNEL_OUT = 130.0, 70.0
_WEIGHTS_IN_TILES: Final = 12
"""Each run arranges the weights for its matrix products, which takes as long as so many tiles."""


@dataclass(frozen=True)
class Matrices:
    """The fixed matrices, float64: of a tile's values, of a kernel's weights, of the answers."""

    values: Array
    weights: Array
    answers: Array


def matrices() -> Matrices:
    """For both directions at once: (36, 36), (36, 9) and (16, 36)."""
    values = np.linalg.inv(_evaluation(_WINDOW)).T
    weights = _evaluation(_TAPS)
    # A factor moved from one to the other keeps both near 1.
    largest = np.abs(values).max(axis=1, keepdims=True)
    values, weights = values / largest, weights * largest
    answers = _evaluation(TILE).T
    return Matrices(*(np.kron(one, one) for one in (values, weights, answers)))


def _evaluation(coefficients: int) -> Array:
    """Values of a polynomial at all points, from its coefficients: (points, coefficients)."""
    finite = np.vander(np.array(POINTS), coefficients, increasing=True)
    # At infinity only the highest power counts.
    return np.vstack([finite, np.eye(1, coefficients, coefficients - 1)])


def share_of_time(inside: int, outside: int, size: tuple[int, int]) -> float:
    """About how long it takes, as a share of the direct convolution's time.

    Args:
        inside: channels that come in.
        outside: channels that go out.
        size: rows and columns of the image.
    """
    tiles = _tiles(size[0]) * _tiles(size[1])
    multiplied = (tiles + _WEIGHTS_IN_TILES) * _WINDOW**2 * inside * outside * _PRODUCT
    turned = tiles * TILE**2 * (_CHANNEL_IN * inside + _CHANNEL_OUT * outside)
    return float((multiplied + turned) / (np.prod(size) * _TAPS**2 * inside * outside))


def _tiles(length: int) -> int:
    return -(-length // TILE)


def convolved(keeper: RowKeeper, source: Rows, weights: Array, bias: Array) -> Rows:
    """Append the convolution of rows with a 3x3 kernel and "same" padding.

    Args:
        keeper: of the graph that is written.
        source: what is convolved.
        weights: float64 (out, in, 3, 3).
        bias: float64 (out,).
    """
    outside, inside = weights.shape[:2]
    rows, columns = source.places.shape
    tiles = _tiles(rows) * _tiles(columns)
    fixed, writer = matrices(), keeper.writer

    # One row of zeros more stands for all pixels outside the image.
    padded = writer.add("Pad", [source.name, writer.weight(np.array([0, 0, 0, 0, 1, 0]))])
    windows = keeper.taken(padded, _windows(source.places, source.many))
    flat = keeper.reshaped(windows, _WINDOW**2, tiles * inside)
    turned = writer.add("MatMul", [writer.weight(fixed.values), flat])
    matrix = keeper.reshaped(turned, _WINDOW**2, tiles, inside)
    product = writer.add("MatMul", [matrix, _turned_kernel(writer, weights, fixed)])
    flat = keeper.reshaped(product, _WINDOW**2, tiles * outside)
    answers = writer.add("MatMul", [writer.weight(fixed.answers), flat])
    many = TILE**2 * tiles
    matrix = keeper.reshaped(answers, many, outside)
    if bias.any():
        matrix = writer.add("Add", [matrix, writer.weight(bias)])
    return Rows(matrix, many, outside, _places(rows, columns))


def _turned_kernel(writer: GraphWriter, weights: Array, fixed: Matrices) -> str:
    """The kernel as (36, in, out), made from its 9 weights when the file is loaded.

    Stored turned it would take four times the room in the file.
    """
    outside, inside = weights.shape[:2]
    nine = weights.reshape(outside, inside, _TAPS**2).transpose(2, 1, 0)
    stored = writer.weight(nine.reshape(_TAPS**2, -1))
    turned = writer.add("MatMul", [writer.weight(fixed.weights), stored])
    shape = writer.weight(np.array([_WINDOW**2, inside, outside]))
    return writer.add("Reshape", [turned, shape])


def _windows(places: Array, blank: int) -> Array:
    """Rows of all tiles with their borders, (36, tiles); `blank` where there is no pixel."""
    down, across = (_tiles(length) * TILE for length in places.shape)
    framed = np.full((down + 2, across + 2), blank)
    framed[1 : 1 + places.shape[0], 1 : 1 + places.shape[1]] = places
    windows = [
        framed[y : y + down : TILE, x : x + across : TILE].ravel()
        for y in range(_WINDOW)
        for x in range(_WINDOW)
    ]
    return np.stack(windows)


def _places(rows: int, columns: int) -> Array:
    """Where the answers lie: by place in the tile, then by tile."""
    down, across = _tiles(rows), _tiles(columns)
    numbers = np.arange(TILE**2 * down * across).reshape(TILE, TILE, down, across)
    return numbers.transpose(2, 0, 3, 1).reshape(down * TILE, across * TILE)[:rows, :columns]
