"""Volumes as tall images: the slices one below the other, with blank rows between.

ONNX Runtime's CPU provider is fast at 2D convolution in its own blocked layout and slow at 3D. In a
tall image, the neighbour of a pixel in the next slice lies a fixed number of rows further down. So
a 3D convolution is a sum of 2D ones whose kernels reach over slices by dilation, and nothing is
copied. The blank rows stand for the zeros round each slice, which "same" padding asks for.

A stacked tensor has the shape (batch, channels, slices * (rows + gap), columns). It is "clean" when
its blank rows hold zeros; what a convolution writes there is garbage.
"""

import math
from dataclasses import dataclass, replace

import numpy as np

from convert.optimize.onnx_graph import Array, GraphReader, GraphWriter, attributes_of
from convert.optimize.rewriter import Layout

Size = tuple[int, int, int]
"""Slices, rows, columns of a volume."""


@dataclass(frozen=True)
class Part:
    """Some channels of a volume in a tall image; their values are image * scale + shift.

    Attributes:
        name: of the tall image.
        clean: whether its blank rows hold zeros.
        scale, shift: one value a channel, or None. They are still to be applied, by the weights of
            the next convolution, since on their own they would cost a pass over memory.
    """

    name: str
    channels: int
    clean: bool
    scale: Array | None = None
    shift: Array | None = None

    def scaled(self, scale: Array, shift: Array) -> "Part":
        """Return the part with another scale and shift to apply, after those it has."""
        before = np.zeros(self.channels) if self.shift is None else self.shift
        total = shift + scale * before
        scales = scale if self.scale is None else scale * self.scale
        return replace(
            self,
            scale=None if (scales == 1).all() else scales,
            shift=total if total.any() else None,
        )


Volume = tuple[Part, ...]
"""Parts that follow each other on the channel axis."""


def choose_gaps(graph: GraphReader) -> dict[Size, int]:
    """Return how many blank rows follow each slice, for volumes of every size in the graph.

    As many as the largest kernel reaches. Where volumes are largest the number is even, so that
    pooling and enlarging between there and the next size keep rows in place; further down, where
    volumes are small, an odd number saves more than moving rows costs.
    """
    gaps: dict[Size, int] = {}
    for node in graph.nodes:
        for name in (*node.input, *node.output):
            shape = graph.shape(name)
            if len(shape) == 4 and all(shape):
                size = (shape[1], shape[2], shape[3])
                reach = 1
                if node.op_type == "Conv":
                    reach = int(attributes_of(node)["kernel_shape"][1]) // 2
                gaps[size] = max(gaps.get(size, 1), reach)
    if len(gaps) > 1:
        largest = max(gaps, key=math.prod)
        gaps[largest] += gaps[largest] % 2
    return gaps


class TallLayout(Layout[Volume]):
    """Volumes (batch, channels, slices, rows, columns) as tall images."""

    axes = 4

    def __init__(self, graph: GraphReader, writer: GraphWriter) -> None:
        super().__init__(graph, writer)
        self.gaps = choose_gaps(graph)
        self._blanks: dict[Size, str] = {}

    def size(self, name: str) -> Size:
        """Return slices, rows and columns of a source tensor."""
        _, slices, rows, columns = self.graph.shape(name)
        return slices, rows, columns

    def pitch(self, size: Size) -> int:
        """Return how many rows lie from a slice to the same place in the next one."""
        return size[1] + self.gaps[size]

    def volume(self, name: str, clean: bool) -> Volume:
        """Return a source tensor in parts, with scales and shifts to apply; clean if asked for."""
        parts = self.get(name)
        if clean:
            size = self.size(name)
            parts = tuple(self._cleaned(part, size) for part in parts)
            self.keep(name, parts)
        return parts

    def whole(self, name: str, clean: bool) -> Part:
        """Return a source tensor in one part, with nothing left to apply; clean if asked for."""
        size = self.size(name)
        parts = tuple(self._applied(part) for part in self.get(name))
        if clean:
            parts = tuple(self._cleaned(part, size) for part in parts)
        if len(parts) > 1:
            joined = self.writer.add("Concat", [part.name for part in parts], axis=1)
            channels = sum(part.channels for part in parts)
            parts = (Part(joined, channels, all(part.clean for part in parts)),)
        self.keep(name, parts)
        return parts[0]

    def from_plain(self, name: str) -> Volume:
        size, channels = self.size(name), self.graph.shape(name)[0]
        pads = np.zeros(10, np.int64)
        pads[8] = self.gaps[size]
        padded = self.writer.add("Pad", [self.plain(name), self.writer.weight(pads)])
        return (self.as_tall(padded, channels, size, clean=True),)

    def to_plain(self, name: str) -> str:
        size = self.size(name)
        deep = self.as_deep(self.whole(name, clean=False), size)
        return self.writer.slice(deep, 0, size[1], axis=3)

    def as_tall(self, name: str, channels: int, size: Size, clean: bool) -> Part:
        """Write volumes whose slices end with their blank rows as a tall image."""
        tall = self.reshaped(name, channels, size[0] * self.pitch(size), size[2])
        return Part(tall, channels, clean)

    def as_deep(self, part: Part, size: Size) -> str:
        """Write a tall image as volumes whose slices end with their blank rows."""
        return self.reshaped(part.name, part.channels, size[0], self.pitch(size), size[2])

    def _applied(self, part: Part) -> Part:
        """Apply the scale and shift of a part."""
        name, clean = part.name, part.clean
        if part.scale is not None:
            name = self.writer.add("Mul", [name, self.writer.weight(_by_channel(part.scale))])
        if part.shift is not None:
            name = self.writer.add("Add", [name, self.writer.weight(_by_channel(part.shift))])
            clean = False
        return Part(name, part.channels, clean)

    def _cleaned(self, part: Part, size: Size) -> Part:
        """Set the blank rows of a part to zero, whatever they held."""
        if part.clean:
            return part
        inside = self.writer.weight(self._row_marks(size) == 0)
        # Not a product: garbage may be infinite, and infinity times zero is not a number.
        zero = self.writer.weight(np.zeros((1, 1, 1, 1), np.float32))
        return replace(part, name=self.writer.add("Where", [inside, part.name, zero]), clean=True)

    def blanks(self, size: Size) -> str:
        """Return an image (batch, 1, tall, columns) of -1 in the blank rows and 0 elsewhere.

        It is computed from the network's input, of which it keeps nothing but the batch size: a
        constant would be carried through convolutions when the file is loaded, and become large.
        """
        if size not in self._blanks:
            add, weight = self.writer.add, self.writer.weight
            axes = 1 + len(self.graph.shape(self.graph.input))
            first = np.zeros(axes - 1, np.int64)
            along = np.arange(1, axes)
            corner = add(
                "Slice", [self.graph.input, weight(first), weight(first + 1), weight(along)]
            )
            corner = add("Reshape", [corner, weight(np.array([0, 1, 1, 1]))])
            nothing = add("Mul", [corner, weight(np.zeros((), np.float32))])
            marked = add("Add", [nothing, weight(-self._row_marks(size))])
            wide = weight(np.array([1, 1, 1, size[2]]))
            self._blanks[size] = add("Expand", [marked, wide])
        return self._blanks[size]

    def inside(self, size: Size) -> str:
        """Return an image of 1 where slices are and 0 in the blank rows."""
        unit = self.writer.weight(np.ones((), np.float32))
        return self.writer.add("Add", [self.blanks(size), unit])

    def _row_marks(self, size: Size) -> Array:
        """Return float32 (1, 1, tall, 1): 1 in the blank rows, 0 elsewhere."""
        marks = np.zeros((size[0], self.pitch(size)), np.float32)
        marks[:, size[1] :] = 1
        return marks.reshape(1, 1, -1, 1)


def _by_channel(values: Array) -> Array:
    return values.reshape(1, -1, 1, 1)
