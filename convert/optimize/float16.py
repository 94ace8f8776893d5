"""Rewrites a network for GPUs: weights and inner values in float16, the ends in float32.

After the last convolution it goes on in float32, so that small probabilities, of which the pipeline
adds up half a million, are not rounded to zero. Normalisation is taken into the weights before they
are rounded.
"""

import numpy as np
import onnx
from onnx import TensorProto

from convert.errors import QuantizeError
from convert.optimize.fold_batchnorm import folded, scale_and_shift
from convert.optimize.onnx_graph import Array, GraphReader, GraphWriter, attributes_of

_CONVOLUTIONS = frozenset(("Conv", "ConvTranspose"))
_LARGEST = float(np.finfo(np.float16).max)


def in_half_floats(model: onnx.ModelProto, emulated: bool = False) -> onnx.ModelProto:
    """A network of one input and one output, its inner shapes stated, with float16 inside.

    Args:
        model: in float32.
        emulated: compute in float32 and round to float16 after every step. That is what GPUs give
            that add up in float32, and can be run on a CPU: ONNX Runtime's own way with float16
            there leaves the rounding between steps out.

    Raises:
        QuantizeError: a weight is too large for float16, or an operator has no such form.
    """
    rewriter = _Rewriter(GraphReader(model), emulated)
    rewriter.run()
    try:
        return rewriter.writer.model(model)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise QuantizeError(f"the network has no form in float16: {error}") from error


class _Rewriter:
    """One walk over the source graph. Tensors keep their names, those in float16 as well."""

    def __init__(self, graph: GraphReader, emulated: bool) -> None:
        self.graph = graph
        self.emulated = emulated
        self.writer = GraphWriter(reserved=graph.names)
        self._before = _before_convolutions(graph)
        self._done: set[str] = set()
        self._half: dict[str, str] = {}
        """Tensors in float16 by their source names."""

    def run(self) -> None:
        for node in self.graph.nodes:
            if node.output[0] in self._done:
                continue
            self.writer.at = node.name or node.output[0]
            if node.output[0] in self._before:
                self._halved(node)
            else:
                self._as_it_is(node)

    def _as_it_is(self, node: onnx.NodeProto) -> None:
        """A node in float32, after the last convolution."""
        inputs = []
        for name in node.input:
            value = self.graph.constant(name)
            inputs.append(self._wide(name) if value is None else self.writer.weight(value))
        self.writer.copy(node, inputs)

    def _halved(self, node: onnx.NodeProto) -> None:
        """A node in float16; a convolution with what scales and shifts its channels."""
        found = folded(self.graph, node) if node.op_type in _CONVOLUTIONS else None
        factors = scale_and_shift(self.graph, node)
        if found is not None:
            inputs = [self._narrow(node.input[0]), self._weight(found.weights)]
            inputs.append(self._weight(found.bias))
            answer = self.writer.add(node.op_type, inputs, **attributes_of(node))
            self._keep(found.output, answer)
            self._done |= found.covered
            return
        if factors is not None:
            (source,) = (name for name in node.input if self.graph.constant(name) is None)
            along = (-1, *[1] * (len(self.graph.shape(node.output[0])) - 1))
            scale, shift = (self._weight(one.reshape(along)) for one in factors)
            answer = self.writer.add("Mul", [self._narrow(source), scale])
            self._keep(node.output[0], self.writer.add("Add", [answer, shift]))
            return
        inputs = []
        for place, name in enumerate(node.input):
            value = self.graph.constant(name)
            if value is None:
                inputs.append(self._narrow(name) if name else "")
            elif value.dtype.kind == "f" and not (node.op_type == "Resize" and place > 0):
                inputs.append(self._weight(value))
            else:
                # Shapes; and the factors of a Resize, which are float32 by definition.
                inputs.append(self.writer.weight(value))
        self._keep(node.output[0], self.writer.add(node.op_type, inputs, **attributes_of(node)))

    def _keep(self, source: str, name: str) -> None:
        """Say what a source tensor is called; rounded here if nothing else rounds it."""
        if self.emulated:
            name = self.writer.add("Cast", [name], to=TensorProto.FLOAT16)
            name = self.writer.add("Cast", [name], to=TensorProto.FLOAT)
        self._half[source] = name

    def _narrow(self, name: str) -> str:
        if name not in self._half:
            if self.emulated:
                self._keep(name, name)
            else:
                self._half[name] = self.writer.add("Cast", [name], to=TensorProto.FLOAT16)
        return self._half[name]

    def _wide(self, name: str) -> str:
        if name not in self._half or self.emulated:
            return self._half.get(name, name)
        return self.writer.add("Cast", [self._half[name]], to=TensorProto.FLOAT)

    def _weight(self, value: Array) -> str:
        largest = float(np.abs(value).max(initial=0))
        if not largest <= _LARGEST:
            raise QuantizeError(
                f"a weight of {largest:.3g} is too large for float16, which ends at {_LARGEST:.0f}"
            )
        half = value.astype(np.float16)
        return self.writer.weight(half.astype(np.float32) if self.emulated else half)


def _before_convolutions(graph: GraphReader) -> set[str]:
    """The tensors that convolutions give, and those from which one is still to come."""
    before: set[str] = set()
    for node in reversed(graph.nodes):
        if node.op_type in _CONVOLUTIONS or not before.isdisjoint(node.output):
            before.update(node.output)
            before.update(name for name in node.input if name)
    return before
