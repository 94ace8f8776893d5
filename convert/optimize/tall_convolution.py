"""One 3D convolution as a chain of 2D convolutions on tall images, whose results are added up."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from convert.optimize.onnx_graph import Array
from convert.optimize.slice_stacking import Size, TallLayout

BLANKING = 1e30
"""Subtracted from every value in a blank row before a ReLU, which makes it zero."""

SMALL_INPUT = 2
"""Inputs of up to so many channels are concatenated for one convolution: with so little work a
value, each further pass over the output would cost more than the copies."""


@dataclass(frozen=True)
class Kernel:
    """A 3D convolution of odd lengths, step 1 and "same" padding.

    Attributes:
        weights: (out, in, slices, rows, columns).
        bias: (out,).
        blank: make values in the blank rows so low that a ReLU sets them to zero.
    """

    weights: Array
    bias: Array
    blank: bool


def add_convolution(layout: TallLayout, source: str, kernel: Kernel) -> str:
    """Write the convolution of a source volume; return the name of the tall image."""
    writer, size = layout.writer, layout.size(source)
    small, large = _split(layout, source, kernel)
    steps = [step for name, part in large for step in _steps(name, part, layout.pitch(size))]
    if small:
        # First in the chain, where a convolution of little work has nothing to add to.
        steps.insert(0, _concatenated(layout, small, size))
    total = ""
    for step in steps:
        inputs = [step.image, writer.weight(step.weights)]
        if not total:
            inputs.append(writer.weight(kernel.bias))
        result = writer.add("Conv", inputs, **step.attributes)
        total = writer.add("Add", [result, total]) if total else result
    return total


_Terms = list[tuple[str, Array]]
"""Tall images, each with its 3D weights."""


def _split(layout: TallLayout, source: str, kernel: Kernel) -> tuple[_Terms, _Terms]:
    """Return what is to be convolved: the images of few channels, and the others."""
    size, weights = layout.size(source), kernel.weights
    small: _Terms = []
    large: _Terms = []
    start = 0
    for part in layout.volume(source, clean=weights.shape[3] > 1):
        part_weights = weights[:, start : start + part.channels]
        start += part.channels
        if part.shift is not None:
            constant = part_weights * part.shift.reshape(1, -1, 1, 1, 1)
            small.append((layout.inside(size), constant.sum(axis=1, keepdims=True)))
        if part.scale is not None:
            part_weights = part_weights * part.scale.reshape(1, -1, 1, 1, 1)
        terms = small if part.channels <= SMALL_INPUT else large
        terms.append((part.name, part_weights))
    if kernel.blank:
        clearing = np.zeros((len(weights), 1, *weights.shape[2:]))
        z, y, x = (length // 2 for length in weights.shape[2:])
        clearing[:, :, z, y, x] = BLANKING
        small.append((layout.blanks(size), clearing))
    return small, large


@dataclass(frozen=True)
class _Step:
    """One 2D convolution."""

    image: str
    weights: Array
    attributes: dict[str, Any]


def _steps(image: str, weights: Array, pitch: int) -> Iterator[_Step]:
    """Split a 3D convolution into 2D ones: one for each row of the kernel.

    Each takes the kernel's slices as its rows, `pitch` apart, and is moved up or down by its
    padding, so no image has to be copied.
    """
    slices, rows, columns = weights.shape[2:]
    if slices == 1:
        yield _Step(image, weights[:, :, 0], _reach(rows, columns, 1, 0))
        return
    for row in range(rows):
        down = row - rows // 2
        yield _Step(image, weights[:, :, :, row], _reach(slices, columns, pitch, down))


def _reach(rows: int, columns: int, pitch: int, down: int) -> dict[str, Any]:
    """Return the attributes of a convolution that is centred `down` rows further down."""
    y, x = rows // 2 * pitch, columns // 2
    return {
        "kernel_shape": [rows, columns],
        "dilations": [pitch, 1],
        "pads": [y - down, x, y + down, x],
    }


def _concatenated(layout: TallLayout, small: _Terms, size: Size) -> _Step:
    """Return one convolution of all small images, each moved for every row of its kernel."""
    images: list[str] = []
    weights: list[Array] = []
    for image, kernel in small:
        rows = kernel.shape[3]
        for row in range(rows):
            if kernel[:, :, :, row].any():
                images.append(_moved(layout, image, size, row - rows // 2))
                weights.append(kernel[:, :, :, row])
    joined = layout.writer.add("Concat", images, axis=1) if len(images) > 1 else images[0]
    together = np.concatenate(weights, axis=1)
    slices, columns = together.shape[2:]
    return _Step(joined, together, _reach(slices, columns, layout.pitch(size), 0))


def _moved(layout: TallLayout, image: str, size: Size, down: int) -> str:
    """Write an image whose rows are those `down` rows further down in `image`, or zeros."""
    if not down:
        return image
    writer, tall = layout.writer, size[0] * layout.pitch(size)
    reach = abs(down)
    pads = writer.weight(np.array([0, 0, reach, 0, 0, 0, reach, 0]))
    padded = writer.add("Pad", [image, pads])
    return writer.slice(padded, reach + down, reach + down + tall, axis=2)
