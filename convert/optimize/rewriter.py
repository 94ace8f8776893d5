"""The frame of a rewriting pass: one walk over a graph, with a rule for each operator.

A rule writes what a node becomes and returns True; a node without a rule, or whose rule does not
apply, is copied. Between nodes that were rewritten, tensors may stay in another layout, such as
the slices of a volume in one tall image. `Layout` holds which tensors are in it, and moves a tensor
between its plain form and the other one at most once.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Generic, TypeVar

import numpy as np
import onnx

from convert.optimize.onnx_graph import GraphReader, GraphWriter

T = TypeVar("T")


class GraphRewriter(ABC):
    """One walk over a source graph.

    Attributes:
        covered: outputs of source nodes that stand in the new graph already, as part of another.
    """

    def __init__(self, model: onnx.ModelProto) -> None:
        self.graph = GraphReader(model)
        self.writer = GraphWriter(reserved=self.graph.names)
        self.covered: set[str] = set()

    def run(self) -> None:
        """Write all nodes, in the order of the source."""
        for node in self.graph.nodes:
            if node.output[0] in self.covered:
                continue
            self.writer.at = node.name or node.output[0]
            if not self.rewrite(node):
                self.copy(node)

    @abstractmethod
    def rewrite(self, node: onnx.NodeProto) -> bool:
        """Write what a node becomes; False, and nothing written, if it is to be copied."""

    def copy(self, node: onnx.NodeProto) -> None:
        """Write a node as it is, on plain tensors."""
        inputs = []
        for name in node.input:
            value = self.graph.constant(name)
            inputs.append(self.plain(name) if value is None else self.writer.weight(value))
        self.writer.copy(node, inputs)

    def plain(self, name: str) -> str:
        """Return the name in the new graph of a source tensor in its own layout and type."""
        return name


class Layout(ABC, Generic[T]):
    """Source tensors in another layout than (batch, channels, *size), by their source names.

    Attributes:
        axes: how many axes behind the batch a tensor has that can be in this layout.
    """

    axes: int

    def __init__(self, graph: GraphReader, writer: GraphWriter) -> None:
        self.graph = graph
        self.writer = writer
        self._moved: dict[str, T] = {}
        self._plain: dict[str, str] = {}

    @abstractmethod
    def from_plain(self, name: str) -> T:
        """Write the nodes that bring a plain tensor into this layout."""

    @abstractmethod
    def to_plain(self, name: str) -> str:
        """Write the nodes that bring a tensor back; return the name of their output."""

    def fits(self, name: str) -> bool:
        """Return whether a source tensor can be in this layout: its axes and all sizes known."""
        shape = self.graph.shape(name)
        return len(shape) == self.axes and all(shape)

    def has(self, name: str) -> bool:
        return name in self._moved

    def keep(self, name: str, value: T) -> None:
        """Record a source tensor that was written in this layout."""
        self._moved[name] = value

    def keep_plain(self, name: str) -> None:
        """Record a source tensor that was written in its own layout and under its own name."""
        self._plain[name] = name

    def get(self, name: str) -> T:
        """Return a source tensor in this layout, moved if need be."""
        if name not in self._moved:
            self._moved[name] = self.from_plain(name)
        return self._moved[name]

    def plain(self, name: str) -> str:
        """Return the name of a source tensor in its own layout, moved if need be."""
        if name not in self._plain and name in self._moved:
            self._plain[name] = self.to_plain(name)
        return self._plain.get(name, name)

    def reshaped(self, name: str, *shape: int) -> str:
        """Write `name` with another shape behind the batch."""
        return self.writer.add("Reshape", [name, self.writer.weight(np.array([0, *shape]))])


L = TypeVar("L", bound=Layout)  # type: ignore[type-arg]

Rule = Callable[[onnx.NodeProto], bool]


class LayoutRewriter(GraphRewriter, Generic[L]):
    """A pass that applies its rules where both ends of a node fit its layout.

    Attributes:
        rules: by operator; `elementwise` is the rule of all others.
    """

    layout: L
    rules: Mapping[str, Rule]

    def run(self) -> None:
        super().run()
        name = self.plain(self.graph.output)
        if name != self.graph.output:
            self.writer.add("Identity", [name], self.graph.output)

    def rewrite(self, node: onnx.NodeProto) -> bool:
        rule = self.rules.get(node.op_type, self.elementwise)
        return all(map(self.layout.fits, (node.input[0], node.output[0]))) and rule(node)

    @abstractmethod
    def elementwise(self, node: onnx.NodeProto) -> bool:
        """Apply the rule of operators that have none of their own."""

    def copy(self, node: onnx.NodeProto) -> None:
        super().copy(node)
        for name in node.output:
            self.layout.keep_plain(name)

    def plain(self, name: str) -> str:
        return self.layout.plain(name)
