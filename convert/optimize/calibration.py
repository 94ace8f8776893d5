"""In what range each tensor of a network lies, seen on sample inputs: what 8 bits must cover."""

from collections.abc import Iterable, Mapping

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper

from convert.optimize.onnx_graph import GraphReader
from rcc_onnx.runtime.session import import_runtime

Range = tuple[float, float]

_SAME_RANGE = ("Concat", "MaxPool", "Resize")
"""Operators whose inputs and output share one range, so that integers pass through unchanged."""


def observed_ranges(
    model: onnx.ModelProto, batches: Iterable[NDArray[np.float32]]
) -> dict[str, Range]:
    """Smallest and largest value of every tensor over all batches, zero included.

    Tensors that are joined, pooled or repeated get the range of all of them together.
    """
    graph = GraphReader(model)
    names = [name for node in graph.nodes for name in node.output if len(graph.shape(name)) >= 3]
    # tf2onnx's graphs hold float32 but for shapes, which have one axis.
    names = [graph.input, *(name for name in names if name != graph.output)]
    watched = _with_extremes(model, names)
    options = import_runtime().SessionOptions()
    options.log_severity_level = 3
    session = import_runtime().InferenceSession(
        watched.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    lowest = np.zeros(len(names))
    highest = np.zeros(len(names))
    for batch in batches:
        low, high = session.run(["lowest", "highest"], {graph.input: batch})
        lowest, highest = np.minimum(lowest, low), np.maximum(highest, high)
    ranges = dict(zip(names, zip(lowest.tolist(), highest.tolist(), strict=True), strict=True))
    return _shared(graph, ranges)


def _with_extremes(model: onnx.ModelProto, names: list[str]) -> onnx.ModelProto:
    """The network with two outputs more: the extremes of all tensors, which need not be kept."""
    watched = onnx.ModelProto()
    watched.CopyFrom(model)
    graph = watched.graph
    for kind, output in (("ReduceMin", "lowest"), ("ReduceMax", "highest")):
        ends = [f"{output}/{number}" for number in range(len(names))]
        for name, end in zip(names, ends, strict=True):
            graph.node.append(helper.make_node(kind, [name], [f"{end}/value"], keepdims=0))
            graph.node.append(helper.make_node("Reshape", [f"{end}/value", "one"], [end]))
        graph.node.append(helper.make_node("Concat", ends, [output], axis=0))
        graph.output.append(helper.make_tensor_value_info(output, TensorProto.FLOAT, [len(names)]))
    graph.initializer.append(helper.make_tensor("one", TensorProto.INT64, [1], [1]))
    return watched


def _shared(graph: GraphReader, ranges: Mapping[str, Range]) -> dict[str, Range]:
    """Unite the ranges of tensors that integers pass between."""
    owner = {name: name for name in ranges}

    def find(name: str) -> str:
        while owner[name] != name:
            name = owner[name]
        return name

    for node in graph.nodes:
        if node.op_type in _SAME_RANGE:
            for name in node.input:
                if name in owner and node.output[0] in owner:
                    owner[find(name)] = find(node.output[0])
    united: dict[str, Range] = {}
    for name, (low, high) in ranges.items():
        before = united.get(find(name), (0.0, 0.0))
        united[find(name)] = (min(low, before[0]), max(high, before[1]))
    return {name: united[find(name)] for name in ranges}
