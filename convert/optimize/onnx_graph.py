"""Reads one ONNX graph and writes another, for rewriting passes."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

Array = NDArray[Any]


@dataclass(frozen=True)
class Rewritten:
    """The outcome of a pass over a network.

    Attributes:
        model: the rewritten network; None if it is left as it is.
        note: why it is left, or what was rewritten.
    """

    model: onnx.ModelProto | None
    note: str


class GraphReader:
    """Look-ups in a graph of one input and one output whose shapes were inferred.

    Attributes:
        nodes: in an order in which each follows those it needs.
    """

    def __init__(self, model: onnx.ModelProto) -> None:
        graph = model.graph
        self.nodes: tuple[onnx.NodeProto, ...] = tuple(graph.node)
        self.input: str = graph.input[0].name
        self.output: str = graph.output[0].name
        self._weights = {weight.name: weight for weight in graph.initializer}
        self._consumers: dict[str, list[onnx.NodeProto]] = {}
        for node in self.nodes:
            for name in node.input:
                self._consumers.setdefault(name, []).append(node)
        self._shapes: dict[str, tuple[int, ...]] = {}
        for value in (*graph.input, *graph.value_info, *graph.output):
            sizes = [dimension.dim_value for dimension in value.type.tensor_type.shape.dim]
            self._shapes[value.name] = tuple(sizes[1:])

    @property
    def names(self) -> frozenset[str]:
        """Names of all tensors."""
        return frozenset(name for node in self.nodes for name in (*node.input, *node.output))

    def constant(self, name: str) -> Array | None:
        """Return the value of a weight, or None for a tensor that is computed."""
        weight = self._weights.get(name)
        return None if weight is None else numpy_helper.to_array(weight)

    def shape(self, name: str) -> tuple[int, ...]:
        """Return sizes without the batch; () if unknown, 0 for a single size that is unknown."""
        return self._shapes.get(name, ())

    def consumers(self, name: str) -> list[onnx.NodeProto]:
        """Return the nodes that take `name`; one that takes it twice is there twice."""
        return self._consumers.get(name, [])

    def only_consumer(self, name: str) -> onnx.NodeProto | None:
        """Return the single node that takes `name`; None if `name` is also the output."""
        takers = self.consumers(name)
        return takers[0] if len(takers) == 1 and name != self.output else None


@dataclass
class GraphWriter:
    """Collects nodes and weights. Names are made from `at`, the source node that is rewritten.

    Attributes:
        reserved: names that the source uses, which new tensors must not get.
    """

    reserved: frozenset[str] = frozenset()
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    weights: list[onnx.TensorProto] = field(default_factory=list)
    at: str = "network"
    _taken: dict[str, int] = field(default_factory=dict)
    _known: dict[tuple[str, tuple[int, ...], bytes], str] = field(default_factory=dict)

    def add(self, kind: str, inputs: list[str], output: str = "", **attributes: Any) -> str:
        """Append a node and return the name of its only output."""
        output = output or self._name(kind)
        self.nodes.append(helper.make_node(kind, inputs, [output], output, **attributes))
        return output

    def copy(self, node: onnx.NodeProto, inputs: list[str]) -> None:
        """Append a source node with other inputs."""
        twin = onnx.NodeProto()
        twin.CopyFrom(node)
        del twin.input[:]
        twin.input.extend(inputs)
        self.nodes.append(twin)

    def weight(self, value: Array) -> str:
        """Store a weight and return its name; float64 becomes float32, equal ones are one."""
        if value.dtype == np.float64:
            value = value.astype(np.float32)
        value = np.asarray(value, order="C")
        key = (value.dtype.str, value.shape, value.tobytes())
        if key not in self._known:
            self._known[key] = self._name("weight")
            self.weights.append(numpy_helper.from_array(value, self._known[key]))
        return self._known[key]

    def slice(self, name: str, start: int, end: int, axis: int) -> str:
        """Append a Slice of one axis and return the name of its output."""
        limits = [self.weight(np.array([value])) for value in (start, end, axis)]
        return self.add("Slice", [name, *limits])

    def model(self, source: onnx.ModelProto) -> onnx.ModelProto:
        """Return all that was written, with inputs, outputs and operator set of the source.

        Raises what `onnx.checker.check_model` raises.
        """
        graph = helper.make_graph(
            self.nodes,
            "network",
            list(source.graph.input),
            list(source.graph.output),
            self.weights,
        )
        made = helper.make_model(
            graph,
            opset_imports=[entry for entry in source.opset_import if entry.domain == ""],
            ir_version=source.ir_version,
            producer_name=source.producer_name,
        )
        onnx.checker.check_model(made, full_check=True)
        return made

    def _name(self, part: str) -> str:
        base = f"{self.at}/{part}"
        while True:
            self._taken[base] = self._taken.get(base, 0) + 1
            name = f"{base}_{self._taken[base]}"
            if name not in self.reserved:
                return name


def attributes_of(node: onnx.NodeProto) -> dict[str, Any]:
    return {entry.name: helper.get_attribute_value(entry) for entry in node.attribute}
