"""Images as matrices: a row for each pixel, a column for each channel, in any order of pixels.

With channels side by side, a pixel is moved by copying one stretch of memory, wherever it goes. So
taking an image apart, putting it together, halving and doubling it are one Gather each, or none: a
step may leave its pixels in the order in which it made them, and the next one looks them up.
"""

from dataclasses import dataclass

import numpy as np

from convert.optimize.onnx_graph import Array
from convert.optimize.rewriter import Layout


@dataclass(frozen=True)
class Rows:
    """An image as rows.

    Attributes:
        name: of the tensor (batch, count, channels).
        count: of rows.
        indices: int64 (rows, columns) of the image, the matrix row of each pixel. Two pixels may
            share one, and rows that stand for no pixel hold anything.
    """

    name: str
    count: int
    channels: int
    indices: Array

    @property
    def in_order(self) -> bool:
        return np.array_equal(self.indices.ravel(), np.arange(self.count))


class RowLayout(Layout[Rows]):
    """Images (batch, channels, rows, columns) as rows."""

    axes = 3

    def size(self, name: str) -> tuple[int, int]:
        """Return rows and columns of a source tensor."""
        _, rows, columns = self.graph.shape(name)
        return rows, columns

    def from_plain(self, name: str) -> Rows:
        channels = self.graph.shape(name)[0]
        last = self.writer.add("Transpose", [self.plain(name)], perm=[0, 2, 3, 1])
        indices = in_order(self.size(name))
        matrix = self.reshaped(last, indices.size, channels)
        return Rows(matrix, indices.size, channels, indices)

    def to_plain(self, name: str) -> str:
        rows = self.get(name)
        last = self.reshaped(self.ordered(rows), *self.size(name), rows.channels)
        return self.writer.add("Transpose", [last], perm=[0, 3, 1, 2])

    def ordered(self, rows: Rows) -> str:
        """Return the matrix with its pixels in the order of memory: (batch, pixels, channels)."""
        return rows.name if rows.in_order else self.taken(rows.name, rows.indices.ravel())

    def taken(self, name: str, indices: Array) -> str:
        """Take rows of a matrix by number: (batch, *shape of the numbers, channels)."""
        return self.writer.add("Gather", [name, self.writer.weight(indices)], axis=1)


def in_order(size: tuple[int, int]) -> Array:
    """Return the indices of pixels that lie in the order of memory."""
    return np.arange(np.prod(size)).reshape(size)
