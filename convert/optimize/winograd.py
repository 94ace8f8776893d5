"""A 3x3 convolution with a quarter of the products, on pixels as rows (see `im2row`).

Winograd's method, F(4x4, 3x3): an image is cut into tiles of 4x4 pixels, each with a border of one.
A fixed matrix transforms the 6x6 values of a tile into 36 others, and another one the 9 weights of
a kernel. Then 36 products of the two, summed over channels, and a last fixed matrix give the 16
outputs of the tile: 36 products in place of 16 * 9. The fixed matrices multiply polynomials by
their values at six points (Toom and Cook). Here they are applied as matrix products, so any points
cost the same, and those were chosen that lose least to rounding in float32.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from convert.optimize.im2row import RowLayout, Rows
from convert.optimize.onnx_graph import Array, GraphWriter

TILE: Final = 4
_TAPS: Final = 3
_WINDOW: Final = TILE + _TAPS - 1

POINTS: Final = (0.0, 0.7, -0.7, 1.4, -1.4)
"""Where the polynomials are evaluated, infinity aside. With the usual 0, 1, -1, 2, -2 a sum over 64
channels is off by 1.4e-6 at the root of the mean square; with these by 6e-7, where adding the
products one by one is off by 3e-7."""

# Costs, in products of a direct convolution per pixel, from times measured for layers of 32 to 512
# channels with ONNX Runtime on two cores.
_PRODUCT: Final = 1.3
_CHANNEL_IN, _CHANNEL_OUT = 130.0, 70.0
_WEIGHTS_IN_TILES: Final = 12
"""Each run arranges the weights for its matrix products, which takes as long as so many tiles."""


@dataclass(frozen=True)
class Matrices:
    """The fixed matrices, float64, of a tile's values, a kernel's weights and the outputs."""

    values: Array
    weights: Array
    outputs: Array


def matrices() -> Matrices:
    """Return the matrices for both directions at once: (36, 36), (36, 9) and (16, 36)."""
    values = np.linalg.inv(_evaluation(_WINDOW)).T
    weights = _evaluation(_TAPS)
    # A factor moved from one to the other keeps both near 1.
    largest = np.abs(values).max(axis=1, keepdims=True)
    values, weights = values / largest, weights * largest
    outputs = _evaluation(TILE).T
    return Matrices(*(np.kron(matrix, matrix) for matrix in (values, weights, outputs)))


def _evaluation(coefficients: int) -> Array:
    """Return the matrix from coefficients of a polynomial to its values at all points."""
    finite = np.vander(np.array(POINTS), coefficients, increasing=True)
    # At infinity only the highest power counts.
    return np.vstack([finite, np.eye(1, coefficients, coefficients - 1)])


def share_of_time(inside: int, outside: int, size: tuple[int, int]) -> float:
    """Estimate the time that it takes, as a share of the direct convolution's.

    Args:
        inside: channels that come in.
        outside: channels that go out.
        size: rows and columns of the image.
    """
    tiles = _tiles(size[0]) * _tiles(size[1])
    products = (tiles + _WEIGHTS_IN_TILES) * _WINDOW**2 * inside * outside * _PRODUCT
    transforms = tiles * TILE**2 * (_CHANNEL_IN * inside + _CHANNEL_OUT * outside)
    return float((products + transforms) / (np.prod(size) * _TAPS**2 * inside * outside))


def _tiles(length: int) -> int:
    return -(-length // TILE)


def add_convolution(layout: RowLayout, source: Rows, weights: Array, bias: Array) -> Rows:
    """Write the convolution of rows with a 3x3 kernel and "same" padding.

    Args:
        layout: of the graph that is written.
        source: the image.
        weights: float64 (out, in, 3, 3).
        bias: float64 (out,).
    """
    outside, inside = weights.shape[:2]
    rows, columns = source.indices.shape
    tiles = _tiles(rows) * _tiles(columns)
    fixed, writer = matrices(), layout.writer

    # An extra row of zeros stands for all pixels outside the image.
    padded = writer.add("Pad", [source.name, writer.weight(np.array([0, 0, 0, 0, 1, 0]))])
    windows = layout.taken(padded, _windows(source.indices, source.count))
    flat = layout.reshaped(windows, _WINDOW**2, tiles * inside)
    transformed = writer.add("MatMul", [writer.weight(fixed.values), flat])
    matrix = layout.reshaped(transformed, _WINDOW**2, tiles, inside)
    product = writer.add("MatMul", [matrix, _transformed_kernel(writer, weights, fixed)])
    flat = layout.reshaped(product, _WINDOW**2, tiles * outside)
    outputs = writer.add("MatMul", [writer.weight(fixed.outputs), flat])
    count = TILE**2 * tiles
    matrix = layout.reshaped(outputs, count, outside)
    if bias.any():
        matrix = writer.add("Add", [matrix, writer.weight(bias)])
    return Rows(matrix, count, outside, _output_indices(rows, columns))


def _transformed_kernel(writer: GraphWriter, weights: Array, fixed: Matrices) -> str:
    """Write the kernel as (36, in, out), computed from its 9 weights when the file is loaded.

    Stored as 36 values it would make the file four times as large.
    """
    outside, inside = weights.shape[:2]
    nine = weights.reshape(outside, inside, _TAPS**2).transpose(2, 1, 0)
    stored = writer.weight(nine.reshape(_TAPS**2, -1))
    transformed = writer.add("MatMul", [writer.weight(fixed.weights), stored])
    shape = writer.weight(np.array([_WINDOW**2, inside, outside]))
    return writer.add("Reshape", [transformed, shape])


def _windows(indices: Array, blank: int) -> Array:
    """Return the rows of all tiles with borders, (36, tiles); `blank` where there is no pixel."""
    down, across = (_tiles(length) * TILE for length in indices.shape)
    framed = np.full((down + 2, across + 2), blank)
    framed[1 : 1 + indices.shape[0], 1 : 1 + indices.shape[1]] = indices
    windows = [
        framed[y : y + down : TILE, x : x + across : TILE].ravel()
        for y in range(_WINDOW)
        for x in range(_WINDOW)
    ]
    return np.stack(windows)


def _output_indices(rows: int, columns: int) -> Array:
    """Return the row of each output: by position in the tile, then by tile."""
    down, across = _tiles(rows), _tiles(columns)
    numbers = np.arange(TILE**2 * down * across).reshape(TILE, TILE, down, across)
    return numbers.transpose(2, 0, 3, 1).reshape(down * TILE, across * TILE)[:rows, :columns]
