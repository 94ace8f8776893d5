"""One 3D convolution as a chain of 2D convolutions on tall images, which add up in place."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from convert.optimize.onnx_graph import Array, GraphWriter
from convert.optimize.slice_stacking import Size, Stacker

BLANKING = 1e30
"""Taken from every value in a blank row before a ReLU, which makes it zero."""

SMALL_INPUT = 2
"""Inputs of up to so many channels are joined to one image for one convolution: with so little work
a value, each further pass over the output would cost more than the copies."""


@dataclass(frozen=True)
class Kernel:
    """A 3D convolution of odd lengths, step 1 and "same" padding.

    Attributes:
        weights: (out, in, slices, rows, columns).
        bias: (out,).
        blank: make values in the blank rows so low that a ReLU clears them.
    """

    weights: Array
    bias: Array
    blank: bool


def convolved(stacker: Stacker, source: str, kernel: Kernel) -> str:
    """Append the convolution of a source volume; gives the name of the tall image."""
    writer, size = stacker.writer, stacker.size(source)
    small, large = _split(stacker, source, kernel)
    steps = [step for name, own in large for step in _steps(name, own, stacker.pitch(size))]
    if small:
        # First in the chain, where a convolution of little work has nothing to add to.
        steps.insert(0, _joined(stacker, small, size))
    total = ""
    for step in steps:
        inputs = [step.image, writer.weight(step.weights)]
        if not total:
            inputs.append(writer.weight(kernel.bias))
        more = writer.add("Conv", inputs, **step.attributes)
        total = writer.add("Add", [more, total]) if total else more
    return total


_Terms = list[tuple[str, Array]]
"""Tall images, each with the 3D weights it meets."""


def _split(stacker: Stacker, source: str, kernel: Kernel) -> tuple[_Terms, _Terms]:
    """What is to be convolved: the images of few channels, and the others."""
    size, weights = stacker.size(source), kernel.weights
    small: _Terms = []
    large: _Terms = []
    start = 0
    for part in stacker.volume(source, clean=weights.shape[3] > 1):
        own = weights[:, start : start + part.channels]
        start += part.channels
        if part.shift is not None:
            constant = (own * part.shift.reshape(1, -1, 1, 1, 1)).sum(axis=1, keepdims=True)
            small.append((stacker.inside(size), constant))
        if part.scale is not None:
            own = own * part.scale.reshape(1, -1, 1, 1, 1)
        (small if part.channels <= SMALL_INPUT else large).append((part.name, own))
    if kernel.blank:
        clearing = np.zeros((len(weights), 1, *weights.shape[2:]))
        z, y, x = (length // 2 for length in weights.shape[2:])
        clearing[:, :, z, y, x] = BLANKING
        small.append((stacker.blanks(size), clearing))
    return small, large


@dataclass(frozen=True)
class _Step:
    """One 2D convolution."""

    image: str
    weights: Array
    attributes: dict[str, Any]


def _steps(image: str, weights: Array, pitch: int) -> Iterator[_Step]:
    """A 3D convolution as 2D ones: one for each row of the kernel.

    Each takes the kernel's slices as its rows, `pitch` apart, and is moved up or down by its
    padding, so no image has to be copied.
    """
    slices, rows, columns = weights.shape[2:]
    if slices == 1:
        yield _Step(image, weights[:, :, 0], _reach(rows, columns, 1, 0))
        return
    for row in range(rows):
        own = weights[:, :, :, row]
        yield _Step(image, own, _reach(slices, columns, pitch, row - rows // 2))


def _reach(rows: int, columns: int, pitch: int, down: int) -> dict[str, Any]:
    """Attributes of a convolution that looks `down` rows further down than its centre."""
    y, x = rows // 2 * pitch, columns // 2
    return {
        "kernel_shape": [rows, columns],
        "dilations": [pitch, 1],
        "pads": [y - down, x, y + down, x],
    }


def _joined(stacker: Stacker, small: _Terms, size: Size) -> _Step:
    """All small images, moved as the rows of their kernels ask for, in one convolution."""
    images: list[str] = []
    weights: list[Array] = []
    for image, kernel in small:
        rows = kernel.shape[3]
        for row in range(rows):
            if kernel[:, :, :, row].any():
                images.append(_moved(stacker, image, size, row - rows // 2))
                weights.append(kernel[:, :, :, row])
    joined = stacker.writer.add("Concat", images, axis=1) if len(images) > 1 else images[0]
    together = np.concatenate(weights, axis=1)
    slices, columns = together.shape[2:]
    return _Step(joined, together, _reach(slices, columns, stacker.pitch(size), 0))


def _moved(stacker: Stacker, image: str, size: Size, down: int) -> str:
    """The image whose every row is the one `down` rows further down in `image`, or zeros."""
    if not down:
        return image
    writer: GraphWriter = stacker.writer
    tall = size[0] * stacker.pitch(size)
    reach = abs(down)
    pads = writer.weight(np.array([0, 0, reach, 0, 0, 0, reach, 0]))
    padded = writer.add("Pad", [image, pads])
    start, end = (writer.weight(np.array([one])) for one in (reach + down, reach + down + tall))
    return writer.add("Slice", [padded, start, end, writer.weight(np.array([2]))])
