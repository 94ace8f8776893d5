"""Images as matrices: a row for each pixel, a column for each channel, in any order of pixels.

With channels side by side, a pixel is moved by copying one stretch of memory, wherever it goes. So
taking an image apart, putting it together, halving and doubling it are one Gather each, or none: a
step may leave its pixels in the order in which it made them, and the next one looks them up.
"""

from dataclasses import dataclass, field

import numpy as np

from convert.optimize.onnx_graph import Array, GraphReader, GraphWriter


@dataclass(frozen=True)
class Rows:
    """An image as rows.

    Attributes:
        name: of the tensor (batch, many, channels).
        places: int64 (rows, columns) of the image, the matrix row of each pixel. Two pixels may
            share one, and rows that stand for no pixel hold anything.
    """

    name: str
    many: int
    channels: int
    places: Array

    @property
    def in_order(self) -> bool:
        return np.array_equal(self.places.ravel(), np.arange(self.many))


@dataclass
class RowKeeper:
    """Moves images between their plain form and rows, each at most once.

    Plain is (batch, channels, rows, columns). A tensor is known by its name in the source graph.
    """

    graph: GraphReader
    writer: GraphWriter
    _rows: dict[str, Rows] = field(default_factory=dict)
    _plain: dict[str, str] = field(default_factory=dict)

    def is_image(self, name: str) -> bool:
        """Whether a source tensor is an image of known size."""
        shape = self.graph.shape(name)
        return len(shape) == 3 and all(shape)

    def size(self, name: str) -> tuple[int, int]:
        """Rows and columns."""
        _, rows, columns = self.graph.shape(name)
        return rows, columns

    def has_rows(self, name: str) -> bool:
        return name in self._rows

    def keep(self, name: str, rows: Rows) -> None:
        """Say what the rows of a source tensor are."""
        self._rows[name] = rows

    def keep_plain(self, name: str) -> None:
        """Say that a source tensor was written under its own name."""
        self._plain[name] = name

    def rows(self, name: str) -> Rows:
        """A source tensor as rows, made if need be."""
        if name not in self._rows:
            channels = self.graph.shape(name)[0]
            last = self.writer.add("Transpose", [self.plain(name)], perm=[0, 2, 3, 1])
            places = in_order(self.size(name))
            matrix = self.reshaped(last, places.size, channels)
            self._rows[name] = Rows(matrix, places.size, channels, places)
        return self._rows[name]

    def plain(self, name: str) -> str:
        """The name of the plain form, made if need be."""
        if name not in self._plain and name in self._rows:
            rows = self._rows[name]
            last = self.reshaped(self.ordered(rows), *self.size(name), rows.channels)
            self._plain[name] = self.writer.add("Transpose", [last], perm=[0, 3, 1, 2])
        return self._plain.get(name, name)

    def ordered(self, rows: Rows) -> str:
        """The matrix with its pixels in the order of memory: (batch, pixels, channels)."""
        return rows.name if rows.in_order else self.taken(rows.name, rows.places.ravel())

    def taken(self, name: str, places: Array) -> str:
        """Rows of a matrix by their numbers: (batch, *shape of the numbers, channels)."""
        return self.writer.add("Gather", [name, self.writer.weight(places)], axis=1)

    def reshaped(self, name: str, *shape: int) -> str:
        """`name` with another shape behind the batch."""
        return self.writer.add("Reshape", [name, self.writer.weight(np.array([0, *shape]))])


def in_order(size: tuple[int, int]) -> Array:
    """Places of pixels that lie in the order of memory."""
    return np.arange(np.prod(size)).reshape(size)
