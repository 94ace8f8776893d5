"""Refuses ONNX files that are unsafe to run, or are not the network that a manifest describes.

The file is read without the `onnx` package. It is a protobuf message: a row of fields, each a tag
(field number and wire type) and a value. Only the fields that decide whether a network may be run
are looked into; tensors are skipped over, never copied. Field numbers are those of onnx.proto
(message names in the constants below).

The reader is stricter than protobuf where leniency could let two readers see two networks in one
file: a message that may occur once and comes twice, or a known field with a foreign wire type, is
refused. It keeps its own stack of graphs still to be walked, so nested graphs cannot exhaust
Python's.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from rcc_onnx.bundles.manifest import NetworkEntry, TensorEntry
from rcc_onnx.errors import BundleError, OnnxFormatError

# Field numbers of onnx.proto, by message.
_MODEL_OPSET, _MODEL_GRAPH, _MODEL_TRAINING, _MODEL_FUNCTION = 8, 7, 20, 25
_TRAINING_GRAPHS = (1, 2)
_OPSET_DOMAIN, _OPSET_VERSION = 1, 2
_GRAPH_NODE, _GRAPH_INITIALIZER, _GRAPH_SPARSE, _GRAPH_INPUT, _GRAPH_OUTPUT = 1, 5, 15, 11, 12
_NODE_OP, _NODE_ATTRIBUTE, _NODE_DOMAIN = 4, 5, 7
_ATTRIBUTE_TENSORS, _ATTRIBUTE_GRAPHS, _ATTRIBUTE_SPARSE = (5, 10), (6, 11), (22, 23)
_TENSOR_NAME, _TENSOR_EXTERNAL, _TENSOR_LOCATION = 8, 13, 14
_SPARSE_TENSORS = (1, 2)
_FUNCTION_NAME, _FUNCTION_NODE, _FUNCTION_DOMAIN, _FUNCTION_DEFAULTS = 1, 7, 10, 11
_VALUE_NAME, _VALUE_TYPE = 1, 2
_TYPE_TENSOR = 1
_TENSOR_TYPE_ELEMENT, _TENSOR_TYPE_SHAPE = 1, 2
_SHAPE_DIM = 1
_DIM_VALUE, _DIM_PARAM = 1, 2

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_LONGEST_VARINT = 10
"""Bytes that 64 bits can take, seven to a byte."""
_LARGEST_FIELD = 2**29 - 1

Value = int | memoryview | None
"""A field as on the wire. None: four or eight fixed bytes, which no field read here is."""

FLOAT32 = 1
"""TensorProto.FLOAT: the element type of both networks' inputs and outputs."""
MAIN_DOMAINS = ("", "ai.onnx")
"""Two spellings of the domain of ONNX's own operators, the only ones that a network may use.

Every onnxruntime build knows these, and their meaning is fixed by the opset. "com.microsoft" (fused
operators of onnxruntime) is left out because its operators differ between releases and providers;
"ai.onnx.ml" because it holds trees and encoders, nothing a U-Net needs. A file may import a domain
as long as no node uses it: tf2onnx always imports "ai.onnx.ml".
"""


@dataclass(frozen=True)
class TensorInfo:
    """A graph's input or output.

    Attributes:
        element_type: number of TensorProto.DataType; 0 if the value is not a tensor.
        shape: a number, a name, or None for an unknown size per dimension; None if no shape is
            given.
    """

    name: str
    element_type: int
    shape: tuple[int | str | None, ...] | None


@dataclass(frozen=True)
class OnnxSummary:
    """What a file declares. Nodes of subgraphs, functions and training graphs count like others.

    Attributes:
        opsets: (domain, version) as imported, in file order.
        operators: (domain, operator) of every node.
        inputs: of the main graph, without those that are initializers.
        functions: (domain, name) of the functions that the file brings along.
        external: names of tensors whose bytes are said to lie outside the file.
    """

    opsets: tuple[tuple[str, int], ...]
    operators: frozenset[tuple[str, str]]
    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]
    functions: tuple[tuple[str, str], ...]
    external: tuple[str, ...]


def check_network(summary: OnnxSummary, entry: NetworkEntry) -> None:
    """Refuse a network that is unsafe, or that is not what `entry` says.

    Raises:
        BundleError (external-data): weights lie outside the file.
        BundleError (custom-operator): a node uses a foreign domain, or there are functions.
        BundleError (bundle-network): opset, input or output differ from the manifest.
    """
    _check_self_contained(summary, entry.file)
    versions = [version for domain, version in summary.opsets if domain in MAIN_DOMAINS]
    if versions != [entry.opset]:
        found = ", ".join(map(str, versions)) or "none"
        raise BundleError(
            f"{entry.file}: imports opset {found}, manifest.json says {entry.opset}",
            code="bundle-network",
        )
    for end, tensors, expected in (
        ("input", summary.inputs, entry.input),
        ("output", summary.outputs, entry.output),
    ):
        problem = _tensor_problem(end, tensors, expected)
        if problem:
            raise BundleError(f"{entry.file}: {problem}", code="bundle-network")


def _check_self_contained(summary: OnnxSummary, file: str) -> None:
    if summary.external:
        raise BundleError(
            f"{file}: the bytes of {len(summary.external)} tensor(s) lie outside the file (first: "
            f"{_short(summary.external[0])}). All bytes must be under the hash in manifest.json: "
            "save the network as one file.",
            code="external-data",
        )
    if summary.functions:
        domain, name = summary.functions[0]
        raise BundleError(
            f"{file}: defines functions of its own (first: {_short(name)} in domain "
            f"{_short(domain)}). Inline them before making a bundle.",
            code="custom-operator",
        )
    foreign = sorted(pair for pair in summary.operators if pair[0] not in MAIN_DOMAINS)
    if foreign:
        domain, name = foreign[0]
        raise BundleError(
            f"{file}: uses {len(foreign)} operator(s) that are not ONNX's own (first: "
            f"{_short(name)} in domain {_short(domain)}). Convert the network again without them.",
            code="custom-operator",
        )


def _tensor_problem(end: str, found: tuple[TensorInfo, ...], entry: TensorEntry) -> str:
    """Return how the inputs or outputs found differ from the manifest's entry; "" if not."""
    if len(found) != 1:
        return f"has {len(found)} {end}s, the pipeline needs exactly one"
    (tensor,) = found
    if tensor.name != entry.name:
        return f"the {end} is named {_short(tensor.name)}, manifest.json says {_short(entry.name)}"
    if tensor.element_type != FLOAT32:
        return f"the {end} has ONNX's element type {tensor.element_type}, not {FLOAT32} (float32)"
    if tensor.shape != entry.shape:
        shape = "of unknown shape" if tensor.shape is None else f"{list(tensor.shape)!r:.200}"
        return f"the {end} is {shape}, manifest.json says {list(entry.shape)}"
    return ""


def _short(name: str) -> str:
    """A name out of the file, safe to print."""
    return ascii(name if len(name) <= 80 else name[:77] + "...")


def read_onnx(data: bytes) -> OnnxSummary:
    """Summarise an ONNX file. Takes time in proportion to its length.

    Raises:
        OnnxFormatError: the bytes are not one well-formed ONNX model with one graph.
    """
    view = memoryview(data)
    walk = _Walk()
    opsets = []
    graph = _once(view, _MODEL_GRAPH)
    if graph is None:
        raise OnnxFormatError("holds no graph")
    for number, value in _fields(view):
        if number == _MODEL_OPSET:
            parts = dict(_fields(_message(value)))
            opsets.append((_text(parts, _OPSET_DOMAIN), _signed(parts, _OPSET_VERSION)))
        elif number == _MODEL_TRAINING:
            _visit(_message(value), dict.fromkeys(_TRAINING_GRAPHS, walk.graphs.append))
        elif number == _MODEL_FUNCTION:
            walk.function(_message(value))
    inputs, outputs = walk.main_graph(graph)
    walk.run()
    return OnnxSummary(
        opsets=tuple(opsets),
        operators=frozenset(walk.operators),
        inputs=inputs,
        outputs=outputs,
        functions=tuple(walk.functions),
        external=tuple(walk.external),
    )


@dataclass
class _Walk:
    """Collects what is spread over all graphs of a file; `graphs` are those still to be walked."""

    graphs: list[memoryview] = field(default_factory=list)
    operators: set[tuple[str, str]] = field(default_factory=set)
    functions: list[tuple[str, str]] = field(default_factory=list)
    external: list[str] = field(default_factory=list)

    def main_graph(
        self, graph: memoryview
    ) -> tuple[tuple[TensorInfo, ...], tuple[TensorInfo, ...]]:
        """Queue the graph; return its inputs and outputs."""
        self.graphs.append(graph)
        inputs, outputs, initial = [], [], set()
        for number, value in _fields(graph):
            if number == _GRAPH_INPUT:
                inputs.append(_tensor_info(_message(value)))
            elif number == _GRAPH_OUTPUT:
                outputs.append(_tensor_info(_message(value)))
            elif number == _GRAPH_INITIALIZER:
                initial.add(_text(dict(_fields(_message(value))), _TENSOR_NAME))
        # Old files list the weights among the inputs too; ONNX Runtime does not ask for those.
        return tuple(tensor for tensor in inputs if tensor.name not in initial), tuple(outputs)

    def run(self) -> None:
        visitors = {
            _GRAPH_NODE: self.node,
            _GRAPH_INITIALIZER: self.tensor,
            _GRAPH_SPARSE: self.sparse,
        }
        while self.graphs:
            _visit(self.graphs.pop(), visitors)

    def node(self, node: memoryview) -> None:
        parts = dict(_fields(node))
        self.operators.add((_text(parts, _NODE_DOMAIN), _text(parts, _NODE_OP)))
        _visit(node, {_NODE_ATTRIBUTE: self.attribute})

    def attribute(self, attribute: memoryview) -> None:
        _visit(
            attribute,
            dict.fromkeys(_ATTRIBUTE_TENSORS, self.tensor)
            | dict.fromkeys(_ATTRIBUTE_GRAPHS, self.graphs.append)
            | dict.fromkeys(_ATTRIBUTE_SPARSE, self.sparse),
        )

    def tensor(self, tensor: memoryview) -> None:
        parts = dict(_fields(tensor))
        # Any location but 0 (inside the file) counts, also one that is not defined yet.
        located = any(key == _TENSOR_LOCATION and value != 0 for key, value in _fields(tensor))
        if located or _TENSOR_EXTERNAL in parts:
            self.external.append(_text(parts, _TENSOR_NAME))

    def sparse(self, sparse: memoryview) -> None:
        _visit(sparse, dict.fromkeys(_SPARSE_TENSORS, self.tensor))

    def function(self, function: memoryview) -> None:
        parts = dict(_fields(function))
        self.functions.append((_text(parts, _FUNCTION_DOMAIN), _text(parts, _FUNCTION_NAME)))
        _visit(function, {_FUNCTION_NODE: self.node, _FUNCTION_DEFAULTS: self.attribute})


def _tensor_info(info: memoryview) -> TensorInfo:
    kind = _once(info, _VALUE_TYPE)
    name = _text(dict(_fields(info)), _VALUE_NAME)
    tensor = None if kind is None else _once(kind, _TYPE_TENSOR)
    if tensor is None:
        return TensorInfo(name, 0, None)
    element = _signed(dict(_fields(tensor)), _TENSOR_TYPE_ELEMENT)
    shape = _once(tensor, _TENSOR_TYPE_SHAPE)
    if shape is None:
        return TensorInfo(name, element, None)
    dims = tuple(_dim(_message(value)) for number, value in _fields(shape) if number == _SHAPE_DIM)
    return TensorInfo(name, element, dims)


def _dim(dim: memoryview) -> int | str | None:
    size: int | str | None = None
    for number, value in _fields(dim):
        # The two are alternatives: in protobuf the last one given counts.
        if number == _DIM_VALUE:
            size = _signed({number: value}, number)
        elif number == _DIM_PARAM:
            size = _text({number: value}, number)
    return size


def _visit(message: memoryview, visitors: Mapping[int, Callable[[memoryview], None]]) -> None:
    """Call the visitor of each field that has one, in order."""
    for number, value in _fields(message):
        if number in visitors:
            visitors[number](_message(value))


def _fields(message: memoryview) -> Iterator[tuple[int, Value]]:
    """Field number and value, in order: an int, a view of bytes or a message, None for a float."""
    position, end = 0, len(message)
    while position < end:
        tag, position = _varint(message, position)
        number, wire = tag >> 3, tag & 7
        if not 0 < number <= _LARGEST_FIELD:
            raise OnnxFormatError(f"has a field numbered {number}")
        if wire == _VARINT:
            number_value, position = _varint(message, position)
            yield number, number_value
            continue
        if wire == _BYTES:
            length, position = _varint(message, position)
        elif wire in (_FIXED32, _FIXED64):
            length = 4 if wire == _FIXED32 else 8
        else:
            raise OnnxFormatError(f"has a field of the unknown wire type {wire}")
        if length > end - position:
            raise OnnxFormatError("ends in the middle of a field")
        yield number, message[position : position + length] if wire == _BYTES else None
        position += length


def _varint(message: memoryview, position: int) -> tuple[int, int]:
    """An unsigned number of up to 64 bits, and the position behind it."""
    result = 0
    for index in range(_LONGEST_VARINT):
        if position + index >= len(message):
            raise OnnxFormatError("ends in the middle of a number")
        byte = message[position + index]
        result |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            return result & (2**64 - 1), position + index + 1
    raise OnnxFormatError("has a number of more than 64 bits")


def _message(value: Value) -> memoryview:
    if not isinstance(value, memoryview):
        raise OnnxFormatError("has a number where a text or a message belongs")
    return value


def _once(message: memoryview, number: int) -> memoryview | None:
    """The one value of a field that holds a message; protobuf would merge several into one."""
    found = [value for key, value in _fields(message) if key == number]
    if len(found) > 1:
        raise OnnxFormatError(f"has field {number} twice where only one is allowed")
    return _message(found[0]) if found else None


def _text(parts: Mapping[int, Value], number: int) -> str:
    try:
        return str(_message(parts.get(number, memoryview(b""))), "utf-8")
    except UnicodeDecodeError:
        raise OnnxFormatError("has a name that is not UTF-8") from None


def _signed(parts: Mapping[int, Value], number: int) -> int:
    """A number of 64 bits, in two's complement on the wire. 0 if it is not given."""
    value = parts.get(number, 0)
    if not isinstance(value, int):
        raise OnnxFormatError("has no whole number where one belongs")
    return value - 2**64 if value >= 2**63 else value
