"""ONNX: LSTM and GRU operators, dense layers as Gemm or MatMul and Add, and the shape plumbing exporters put around.

The walk follows one signal from the first input of the graph to its first output. What depends on weights only is
folded; what depends on shapes only is the plumbing of initial states, which have to be zero. Everything else that
touches the signal is refused by the name of its node.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from edgelstm.errors import ConversionError, UnavailableError
from edgelstm_converters.float_model import FloatDense, FloatLayer, FloatModel
from edgelstm_converters.readers import Reading
from edgelstm_converters.readers.onnx_constants import fold
from edgelstm_converters.readers.onnx_proof import prove
from edgelstm_converters.readers.onnx_recurrent import read_recurrent

LAYOUT = (
    "Transpose",
    "Squeeze",
    "Unsqueeze",
    "Reshape",
    "Identity",
    "Dropout",
    "Cast",
    "Flatten",
    "Gather",
    "Slice",
)
"""Move the signal without changing a number; that time and batch stay what they are is shown by the proof."""

ACTIVATIONS = {"Relu": "relu", "Sigmoid": "sigmoid", "Tanh": "tanh"}


class Signal:
    """The values that flow through the layers; `depth` is how many layers they have passed."""

    def __init__(self, depth: int) -> None:
        self.depth = depth


class FromShapes:
    """A value that depends on shapes only; `is_zero` where every element is 0, whatever the shape."""

    def __init__(self, is_zero: bool = False) -> None:
        self.is_zero = is_zero


def read(
    path: Path, activations: Sequence[str] | None, order: Sequence[str] | None, inputs: int | None
) -> Reading:
    """Read the layers of a graph; its own operators say order and activations."""
    if activations is not None or order is not None:
        raise ConversionError("an ONNX graph says itself in what order its layers come and what follows them")
    try:
        import onnx
        import onnx.inliner
    except ImportError:
        raise UnavailableError(f"{path}: reading it needs onnx: pip install 'edgelstm[onnx]'") from None
    from google.protobuf.message import DecodeError

    try:
        model = onnx.load(path)
        onnx.checker.check_model(model)
    except (DecodeError, onnx.checker.ValidationError, OSError, ValueError) as exc:
        reason = str(exc).strip().splitlines()[:1] or [type(exc).__name__]
        raise ConversionError(f"is damaged or no ONNX model: {reason[0]}") from None
    model = onnx.inliner.inline_local_functions(model)
    walk = _Walk(model)
    float_model = walk.walk()
    return Reading(float_model, prove(model, float_model, walk.signal_input, time_axis=walk.time_axis))


class _Walk:
    """One pass over the nodes, in their topological order, keeping what is known of every value."""

    def __init__(self, model: Any) -> None:
        from onnx import numpy_helper

        graph = model.graph
        self.opset = next((o.version for o in model.opset_import if o.domain in ("", "ai.onnx")), 17)
        self.values: dict[str, Any] = {t.name: numpy_helper.to_array(t) for t in graph.initializer}
        inputs = [value for value in graph.input if value.name not in self.values]
        if not inputs or not graph.output:
            raise ConversionError("the graph has no input or no output")
        self.signal_input = inputs[0].name
        self.values[self.signal_input] = Signal(0)
        for state in inputs[1:]:  # states that the caller carries; a stream begins at zero
            self.values[state.name] = FromShapes(is_zero=True)
        self.nodes = _needed_for(graph, graph.output[0].name)
        self.output = graph.output[0].name
        self.layers: list[FloatLayer] = []
        self.time_axis = 0
        self.open_dense = False  # the last layer is a dense one that a bias or an activation may follow

    def walk(self) -> FloatModel:
        for node in self.nodes:
            self._visit(node)
        if not isinstance(self.values.get(self.output), Signal) or not self.layers:
            raise ConversionError(
                f'output "{self.output}" does not come from an LSTM, a GRU or a dense layer'
            )
        if self.values[self.output].depth != len(self.layers):
            raise ConversionError(f'output "{self.output}" leaves out layers; a chain is expected')
        for before, after in zip(self.layers[:-1], self.layers[1:], strict=True):
            if after.inputs != before.units:
                raise ConversionError(
                    f'layer "{before.name}" gives {before.units} values but "{after.name}" after it takes {after.inputs}'
                )
        return FloatModel(self.layers[0].inputs, tuple(self.layers))

    def _visit(self, node: Any) -> None:
        known = [self._value(node, name) for name in node.input]
        if any(isinstance(value, Signal) for value in known):
            result = self._signal(node, known)
        elif all(value is None or isinstance(value, np.ndarray) for value in known):
            result = self._fold(node, known)
        else:
            result = [FromShapes(_is_zero(node, known))] * len(node.output)
        self.values.update(zip(node.output, result, strict=False))

    def _value(self, node: Any, name: str) -> Any:
        if not name:
            return None
        if name not in self.values:
            raise _refused(node, f'its input "{name}" is not known')
        return self.values[name]

    def _fold(self, node: Any, known: list[Any]) -> list[Any]:
        folded = fold(node, [value for value in known if value is not None], self.opset)
        if folded is None:
            raise _refused(node, "it has no input from the signal and could not be computed beforehand")
        return [np.asarray(value) for value in folded]

    def _signal(self, node: Any, known: list[Any]) -> list[Any]:
        kind, signal = node.op_type, next(value for value in known if isinstance(value, Signal))
        if kind in ("Shape", "Size"):
            return [FromShapes()]
        if signal.depth != len(self.layers):
            raise _refused(node, "it reads an earlier layer again; a chain of layers is expected")
        if kind in ("LSTM", "GRU"):
            if self._before_time and _attribute(node, "layout", 0) == 1:
                self.time_axis = 1
            return self._recurrent(node, known)
        if kind in LAYOUT and isinstance(known[0], Signal):
            if kind == "Transpose" and self._before_time and list(_attribute(node, "perm", []))[:2] == [1, 0]:
                self.time_axis = 1 - self.time_axis
            return [signal, FromShapes()]
        return [self._dense(node, known)]

    @property
    def _before_time(self) -> bool:
        """Whether no layer yet has told the axis of time from that of the batch."""
        return all(isinstance(layer, FloatDense) for layer in self.layers)

    def _recurrent(self, node: Any, known: list[Any]) -> list[Any]:
        if not isinstance(known[0], Signal):
            raise _refused(node, "its sequence is not the signal")
        for position, what in ((5, "initial_h"), (6, "initial_c")):
            state = known[position] if len(known) > position else None
            zero = state is None or (isinstance(state, np.ndarray) and not state.any())
            if not zero and not (isinstance(state, FromShapes) and state.is_zero):
                raise _refused(node, f"{what} is not zero; a trained initial state cannot be converted yet")
        self.layers.append(read_recurrent(node, known, self._name(node)))
        self.open_dense = False
        return [Signal(len(self.layers)), Signal(len(self.layers)), FromShapes()]

    def _dense(self, node: Any, known: list[Any]) -> Signal:
        kind, constants = node.op_type, [value for value in known if isinstance(value, np.ndarray)]
        last = self.layers[-1] if self.layers else None
        if kind in ("Gemm", "MatMul") and isinstance(known[0], Signal) and constants:
            self.layers.append(_gemm(node, constants, self._name(node)))
            self.open_dense = True
        elif kind == "Add" and len(constants) == 1 and self.open_dense and isinstance(last, FloatDense):
            self.layers[-1] = replace(last, bias=last.bias + _bias(node, constants[0], last.units))
        elif kind in ACTIVATIONS and self.open_dense and isinstance(last, FloatDense):
            self.layers[-1] = replace(last, activation=ACTIVATIONS[kind])
            self.open_dense = False
        else:
            raise _refused(
                node,
                "cannot be converted here; LSTM, GRU, Gemm, MatMul, Add of a bias, "
                f"{', '.join(ACTIVATIONS)} after a dense layer and changes of layout can",
            )
        return Signal(len(self.layers))

    def _name(self, node: Any) -> str:
        name = (node.name or node.op_type).strip("/").replace("/", ".") or node.op_type
        taken = {layer.name for layer in self.layers}
        return name if name not in taken else f"{name}_{len(self.layers)}"


def _gemm(node: Any, constants: list[Any], name: str) -> FloatDense:
    weights = constants[0]
    if weights.ndim != 2:
        raise _refused(node, f"its matrix has shape {weights.shape}")
    if _attribute(node, "transA", 0):
        raise _refused(node, "it transposes the signal")
    if not _attribute(node, "transB", 0):
        weights = weights.T
    weights = weights.astype(np.float32) * np.float32(_attribute(node, "alpha", 1.0))
    bias = np.zeros(len(weights), np.float32)
    if len(constants) > 1:
        bias += _bias(node, constants[1], len(weights)) * np.float32(_attribute(node, "beta", 1.0))
    return FloatDense(name, np.ascontiguousarray(weights), bias)


def _bias(node: Any, values: Any, units: int) -> Any:
    if values.size not in (1, units):
        raise _refused(
            node, f"its bias has shape {values.shape}, expected {units} values, the same at every sample"
        )
    return np.broadcast_to(values.reshape(-1), (units,)).astype(np.float32)


def _is_zero(node: Any, known: list[Any]) -> bool:
    """Whether a node that depends on shapes gives zeros: made so, or moved from zeros."""
    if node.op_type == "ConstantOfShape":
        from onnx import numpy_helper

        value = _attribute(node, "value", None)
        return value is None or not numpy_helper.to_array(value).any()
    moved = known[:1] if node.op_type != "Concat" else known
    return node.op_type in (*LAYOUT, "Expand", "Concat", "Split") and all(
        value.is_zero if isinstance(value, FromShapes) else isinstance(value, np.ndarray) and not value.any()
        for value in moved
    )


def _needed_for(graph: Any, output: str) -> list[Any]:
    """Return the nodes that `output` depends on, in the order of the graph."""
    wanted, needed = {output}, []
    for node in reversed(graph.node):
        if wanted.intersection(node.output):
            needed.append(node)
            wanted.update(node.input)
    return needed[::-1]


def _attribute(node: Any, name: str, default: Any) -> Any:
    from onnx import helper

    return next((helper.get_attribute_value(a) for a in node.attribute if a.name == name), default)


def _refused(node: Any, why: str) -> ConversionError:
    return ConversionError(f'node "{node.name or node.output[0]}" ({node.op_type}): {why}')
