"""Makes equal networks equal in their bytes.

tf2onnx numbers names with a counter that runs on between conversions and orders weights by its own
search, so a network converted twice differs in its bytes. Here names follow from the graph alone,
nodes and weights follow the path back from the output, and nothing is kept that depends on when,
where or in which process the file was made.
"""

import re
from collections.abc import Iterator

import onnx

_COUNTER = re.compile(r"__\d+")
"""What tf2onnx appends to make a name unique."""


def canonicalize(model: onnx.ModelProto, input_name: str, output_name: str) -> onnx.ModelProto:
    """Copy a graph of one input and one output with names and order that depend on nothing else.

    Drops nodes and weights that do not reach the output, inner shapes, doc strings, metadata and
    unused operator sets. Names of nodes still contain the Keras layer that they come from.
    """
    graph = model.graph
    weights = {weight.name: weight for weight in graph.initializer}
    producers = {name: node for node in graph.node for name in node.output if name}
    nodes = list(_from_input_to_output(graph.output[0].name, producers))

    names = {graph.input[0].name: input_name, "": ""}
    new_nodes, new_weights, taken = [], [], {input_name, output_name}
    for node in nodes:
        name = _free_name(node, taken)
        for position, source in enumerate(node.input):
            if source in weights and source not in names:
                names[source] = f"{name}/{position}"
                weight = onnx.TensorProto()
                weight.CopyFrom(weights[source])
                weight.name, weight.doc_string = names[source], ""
                new_weights.append(weight)
        for position, result in enumerate(node.output):
            names.setdefault(result, f"{name}:{position}")
            if result == graph.output[0].name:
                names[result] = output_name
        new_nodes.append(_renamed(node, name, names))

    return onnx.helper.make_model(
        onnx.helper.make_graph(
            new_nodes,
            "network",
            [onnx.helper.make_tensor_value_info(input_name, onnx.TensorProto.FLOAT, None)],
            [onnx.helper.make_tensor_value_info(output_name, onnx.TensorProto.FLOAT, None)],
            new_weights,
        ),
        opset_imports=[entry for entry in model.opset_import if entry.domain == ""],
        ir_version=model.ir_version,
        producer_name="rcc-onnx convert",
    )


def _from_input_to_output(
    output: str, producers: dict[str, onnx.NodeProto]
) -> Iterator[onnx.NodeProto]:
    """Yield nodes after those they need: depth first, inputs in turn."""
    done: set[str] = set()
    waiting = [output]
    while waiting:
        node = producers.get(waiting[-1])
        if node is None or node.output[0] in done:
            waiting.pop()
            continue
        needed = [
            name
            for name in node.input
            if name in producers and producers[name].output[0] not in done
        ]
        if needed:
            waiting.extend(reversed(needed))
            continue
        done.add(node.output[0])
        waiting.pop()
        yield node


def _free_name(node: onnx.NodeProto, taken: set[str]) -> str:
    """Return the node's name without tf2onnx's counter and the network's; numbered if taken."""
    plain = _COUNTER.sub("", node.name).removeprefix("network/") or node.op_type
    name, number = plain, 1
    while name in taken:
        number += 1
        name = f"{plain}_{number}"
    taken.add(name)
    return name


def _renamed(node: onnx.NodeProto, name: str, names: dict[str, str]) -> onnx.NodeProto:
    copy = onnx.NodeProto()
    copy.CopyFrom(node)
    copy.name, copy.doc_string = name, ""
    for position, source in enumerate(node.input):
        copy.input[position] = names[source]
    for position, result in enumerate(node.output):
        copy.output[position] = names[result]
    attributes = sorted(node.attribute, key=lambda attribute: attribute.name)
    del copy.attribute[:]
    copy.attribute.extend(attributes)
    return copy
