"""Rewrites a network for GPUs: weights and inner values in float16, input and output in float32.

What follows the last convolution stays in float32, so that small probabilities, of which the
pipeline adds up half a million, are not rounded to zero. Normalisation is folded into the weights
before they are rounded.
"""

import numpy as np
import onnx
from onnx import TensorProto

from convert.errors import QuantizeError
from convert.optimize.fold_batchnorm import fold_batchnorm, scale_and_shift
from convert.optimize.onnx_graph import Array, GraphReader, attributes_of
from convert.optimize.rewriter import GraphRewriter

_CONVOLUTIONS = frozenset(("Conv", "ConvTranspose"))
_LARGEST = float(np.finfo(np.float16).max)


def to_float16(model: onnx.ModelProto, emulated: bool = False) -> onnx.ModelProto:
    """Rewrite a network of one input and one output whose inner shapes are stated.

    Args:
        model: in float32.
        emulated: compute in float32 and round to float16 after every step. That gives the results
            of GPUs that add up in float32, on a CPU, where ONNX Runtime itself would not round
            between steps.

    Raises:
        QuantizeError: a weight is too large for float16, or an operator does not exist in it.
    """
    rewriter = _Rewriter(model, emulated)
    rewriter.run()
    try:
        return rewriter.writer.model(model)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise QuantizeError(f"the network cannot be written in float16: {error}") from error


class _Rewriter(GraphRewriter):
    """The pass. Tensors keep their names, those in float16 as well."""

    def __init__(self, model: onnx.ModelProto, emulated: bool) -> None:
        super().__init__(model)
        self.emulated = emulated
        self._before = _before_convolutions(self.graph)
        self._half: dict[str, str] = {}
        """Tensors in float16 by their source names."""

    def rewrite(self, node: onnx.NodeProto) -> bool:
        """Write a node in float16; a convolution with what scales and shifts its channels."""
        if node.output[0] not in self._before:
            return False
        folded = fold_batchnorm(self.graph, node) if node.op_type in _CONVOLUTIONS else None
        factors = scale_and_shift(self.graph, node)
        if folded is not None:
            inputs = [self._narrow(node.input[0]), self._weight(folded.weights)]
            inputs.append(self._weight(folded.bias))
            result = self.writer.add(node.op_type, inputs, **attributes_of(node))
            self._keep(folded.output, result)
            self.covered |= folded.covered
        elif factors is not None:
            (source,) = (name for name in node.input if self.graph.constant(name) is None)
            along = (-1, *[1] * (len(self.graph.shape(node.output[0])) - 1))
            scale, shift = (self._weight(factor.reshape(along)) for factor in factors)
            result = self.writer.add("Mul", [self._narrow(source), scale])
            self._keep(node.output[0], self.writer.add("Add", [result, shift]))
        else:
            inputs = [self._input(node, position) for position in range(len(node.input))]
            result = self.writer.add(node.op_type, inputs, **attributes_of(node))
            self._keep(node.output[0], result)
        return True

    def _input(self, node: onnx.NodeProto, position: int) -> str:
        name = node.input[position]
        value = self.graph.constant(name)
        if value is None:
            return self._narrow(name) if name else ""
        if value.dtype.kind == "f" and not (node.op_type == "Resize" and position > 0):
            return self._weight(value)
        # Shapes; and the factors of a Resize, which are float32 by definition.
        return self.writer.weight(value)

    def plain(self, name: str) -> str:
        """Return a tensor in float32."""
        if name not in self._half or self.emulated:
            return self._half.get(name, name)
        return self.writer.add("Cast", [self._half[name]], to=TensorProto.FLOAT)

    def _keep(self, source: str, name: str) -> None:
        """Record the name of a source tensor in float16; round it here if nothing else does."""
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

    def _weight(self, value: Array) -> str:
        largest = float(np.abs(value).max(initial=0))
        if not largest <= _LARGEST:
            raise QuantizeError(
                f"a weight of {largest:.3g} is too large for float16, which ends at {_LARGEST:.0f}"
            )
        half = value.astype(np.float16)
        return self.writer.weight(half.astype(np.float32) if self.emulated else half)


def _before_convolutions(graph: GraphReader) -> set[str]:
    """Return the outputs of convolutions, and the tensors that one is computed from."""
    before: set[str] = set()
    for node in reversed(graph.nodes):
        if node.op_type in _CONVOLUTIONS or not before.isdisjoint(node.output):
            before.update(node.output)
            before.update(name for name in node.input if name)
    return before
