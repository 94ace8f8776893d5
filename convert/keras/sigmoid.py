"""The last sigmoid, written so that small probabilities stay exact.

ONNX Runtime's Sigmoid is a rational approximation: fine near 0.5, but wrong by about 1e-9 near 0,
where Keras is right to seven digits. The pipeline adds up half a million such probabilities, and on
a side without a kidney nothing else is left: there the sum was off by 3e-4 of itself. Written as
1 / (1 + exp(-x)) it is off by less than 1e-5.
"""

import onnx
from onnx import helper

_SHAPE_ONLY = ("Reshape", "Transpose", "Squeeze", "Unsqueeze", "Identity", "Slice", "Pad")
"""What may stand between the sigmoid and the network's output."""


def with_exact_sigmoid(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy in which the sigmoid that makes the only output is spelled out.

    A network that ends otherwise is given back as it is.
    """
    exact = onnx.ModelProto()
    exact.CopyFrom(model)
    graph = exact.graph
    producers = {output: node for node in graph.node for output in node.output}
    last = producers.get(graph.output[0].name)
    while last is not None and last.op_type in _SHAPE_ONLY:
        last = producers.get(last.input[0])
    if last is None or last.op_type != "Sigmoid":
        return exact
    place = list(graph.node).index(last)
    (source,), (target,) = last.input, last.output
    one, negative, power, total = (f"{target}/{part}" for part in ("one", "neg", "exp", "sum"))
    graph.initializer.append(helper.make_tensor(one, onnx.TensorProto.FLOAT, [], [1.0]))
    spelled = [
        helper.make_node("Neg", [source], [negative]),
        helper.make_node("Exp", [negative], [power]),
        helper.make_node("Add", [power, one], [total]),
        helper.make_node("Reciprocal", [total], [target]),
    ]
    nodes = [*graph.node[:place], *spelled, *graph.node[place + 1 :]]
    del graph.node[:]
    graph.node.extend(nodes)
    return exact
