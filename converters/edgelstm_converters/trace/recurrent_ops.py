"""The recurrent operators of ONNX (https://onnx.ai/onnx/operators): attributes, gate order, biases, states."""

from __future__ import annotations

from typing import Any

import numpy as np

from edgelstm_converters.float_model import FloatGru, FloatLayer, FloatLstm
from edgelstm_converters.gate_order import GRU, LSTM, ONNX_GRU, ONNX_LSTM, reorder
from edgelstm_converters.trace.expressions import (
    Codes,
    Expression,
    is_constant,
    numbers,
    relative,
    time_of,
    vector,
)
from edgelstm_converters.trace.graph import Node
from edgelstm_converters.trace.run import Traced, Value, Walk, WrongAxis, codes_of

DEFAULT_ACTIVATIONS = {"LSTM": ["Sigmoid", "Tanh", "Tanh"], "GRU": ["Sigmoid", "Tanh"]}


def _recurrent(walk: Walk, node: Node, inputs: list[Value]) -> list[Value]:
    if not isinstance(inputs[0], Traced):
        raise node.refused("its sequence is not the signal")
    given = dict(zip(("X", "W", "R", "B", "lengths", "initial_h", "initial_c", "P"), inputs, strict=False))
    batch_first = bool(node.attributes.get("layout", 0))
    codes = np.swapaxes(codes_of(inputs[0]), 0, 1) if batch_first else codes_of(inputs[0])
    steps, batch, width = codes.shape
    _check_lengths(node, given.get("lengths"), steps)
    for what in ("initial_h", "initial_c"):
        _check_state(walk, node, what, given.get(what))
    layer = read_recurrent(node, given)
    if layer.inputs != width:
        raise node.refused(f"its matrix takes {layer.inputs} values, but its sequence has {width}")
    if (codes != codes[:, :1]).any():
        raise WrongAxis("the axis of the batch is taken for that of time")
    named, times = _per_step(codes[:, 0])
    number = walk.expressions.add(Expression("layer", layer.units, (named,), layer, layer.name))
    rows = np.stack([vector(number, layer.units, int(step)) for step in times])
    sequence = np.broadcast_to(rows[:, None, None, :], (steps, 1, batch, layer.units))
    inner = walk.expressions.add(Expression("cell state", layer.units, (named,), layer, layer.name))
    memory = np.broadcast_to(vector(inner, layer.units, int(times[-1])), (1, batch, layer.units))
    found = [sequence, sequence[-1], memory]
    if batch_first:
        found = [sequence.transpose(2, 0, 1, 3), *(part.transpose(1, 0, 2) for part in found[1:])]
    return [Traced(np.ascontiguousarray(part)) for part in found]


def _per_step(codes: Codes) -> tuple[Codes, Codes]:
    """Return what the layer reads at a step, from the last of the steps (where nothing is zero any more), and the steps + 1."""
    times = time_of(codes).max(axis=1)
    if (np.diff(times) != 1).any():
        raise WrongAxis("what the layer reads does not go on from step to step")
    return relative(codes[-1], int(times[-1])), times


def _check_lengths(node: Node, lengths: Value, steps: int) -> None:
    if lengths is None:
        return
    if isinstance(lengths, Traced) or (np.asarray(lengths) != steps).any():
        raise node.refused("it has sequence_lens, and a stream has no end; export without packed sequences")


def _check_state(walk: Walk, node: Node, what: str, state: Value) -> None:
    """A stream begins at zero; a state that the caller carries is zero then, too."""
    if state is None:
        return
    codes = codes_of(state).reshape(-1)
    kinds = {walk.expressions.of(code).kind for code in codes[~is_constant(codes)]}
    if kinds - {"state"}:
        raise node.refused(f"{what} is computed from the signal, which no stream can know beforehand")
    if numbers(codes[is_constant(codes)]).any():
        raise node.refused(f"{what} is not zero; a trained initial state cannot be converted yet")


def read_recurrent(node: Node, given: dict[str, Value]) -> FloatLayer:
    """Return the layer of an LSTM or GRU node. Raises ConversionError, naming it, for what it has beyond the plain cell."""
    attributes, kind = node.attributes, node.op
    direction = attributes.get("direction", "forward")
    if direction != "forward":
        raise node.refused(f"direction is {direction}, and a stream has no future to read")
    if "clip" in attributes:
        raise node.refused("a cell clip cannot be converted yet")
    if attributes.get("input_forget", 0):
        raise node.refused("coupled gates (input_forget) cannot be converted yet")
    if kind == "RNN":
        raise node.refused("a plain recurrent layer cannot be converted yet")
    activations = list(attributes.get("activations", []))
    if activations and activations != DEFAULT_ACTIVATIONS[kind]:
        raise node.refused(
            f"activations are {', '.join(activations)}; only {', '.join(DEFAULT_ACTIVATIONS[kind])} can be"
        )
    if isinstance(given.get("P"), Traced) or np.any(given.get("P")):
        raise node.refused("peephole weights (P) cannot be converted yet")
    matrices = given["W"], given["R"]
    if not all(isinstance(value, np.ndarray) and value.ndim == 3 and len(value) == 1 for value in matrices):
        raise node.refused("W and R are not constant matrices of one direction")
    w, r = (value[0].astype(np.float32) for value in matrices)
    bias = given.get("B")
    if bias is not None and not isinstance(bias, np.ndarray):
        raise node.refused("B is not constant")
    b = np.zeros(2 * len(w), np.float32) if bias is None else bias.reshape(-1).astype(np.float32)
    gates, units = (4 if kind == "LSTM" else 3), r.shape[1]
    if r.shape != (gates * units, units) or len(w) != len(r) or len(b) != 2 * len(w):
        raise node.refused(
            f"W, R and B have shapes {w.shape}, {r.shape} and {b.shape}, which do not belong together"
        )
    name = node.name or node.op
    input_bias, hidden_bias = np.split(b, 2)
    if kind == "LSTM":
        return FloatLstm(name, *(reorder(part, ONNX_LSTM, LSTM) for part in (w, r, input_bias + hidden_bias)))
    w, r, input_bias, hidden_bias = (reorder(part, ONNX_GRU, GRU) for part in (w, r, input_bias, hidden_bias))
    return FloatGru(name, w, r, input_bias, hidden_bias, bool(attributes.get("linear_before_reset", 0)))


def _dynamic_quantize_lstm(walk: Walk, node: Node, inputs: list[Value]) -> list[Value]:
    """ONNX Runtime's LSTM of int8 weights (com.microsoft): W (directions, inputs, 4 units), a scale each or per column."""
    x, w, r, b, lengths, h, c, peephole, w_scale, w_zero, r_scale, r_zero = inputs[:12]

    def plain(weights: Any, scale: Any, zero: Any) -> Any:
        scale, zero = (np.asarray(part, np.float32).reshape(len(weights), 1, -1) for part in (scale, zero))
        return np.ascontiguousarray(((weights.astype(np.float32) - zero) * scale).transpose(0, 2, 1))

    lstm = Node("LSTM", node.inputs[:8], node.outputs, node.attributes, node.name)
    weights = plain(w, w_scale, w_zero), plain(r, r_scale, r_zero)
    return _recurrent(walk, lstm, [x, *weights, b, lengths, h, c, peephole])


RECURRENT = {
    "LSTM": _recurrent,
    "GRU": _recurrent,
    "RNN": _recurrent,
    "DynamicQuantizeLSTM": _dynamic_quantize_lstm,
}
