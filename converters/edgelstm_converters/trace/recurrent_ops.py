"""The recurrent operators of ONNX (https://onnx.ai/onnx/operators): attributes, gate order, biases, states."""

from __future__ import annotations

from typing import Any

import numpy as np

from edgelstm_converters.float_model import FloatGru, FloatLayer, FloatLstm, Floats
from edgelstm_converters.gate_order import GRU, LSTM, ONNX_GRU, ONNX_LSTM, reorder
from edgelstm_converters.layers import FloatRnn
from edgelstm_converters.trace.arithmetic_ops import hard_sigmoid, numeric
from edgelstm_converters.trace.clocks import clocked
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
from edgelstm_converters.trace.layout_ops import moved
from edgelstm_converters.trace.reversal import turned
from edgelstm_converters.trace.run import Traced, Value, Walk, WrongAxis, codes_of

DEFAULTS = {"LSTM": ("Sigmoid", "Tanh", "Tanh"), "GRU": ("Sigmoid", "Tanh"), "RNN": ("Tanh",)}
ACTIVATIONS = {"Sigmoid": "sigmoid", "Tanh": "tanh", "Relu": "relu", "Identity": "linear"}
GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}
INPUTS = (
    "X",
    "W",
    "R",
    "B",
    "lengths",
    "initial_h",
    "initial_c",
    "P",
    "projection",
    "projection_bias",
    "norm",
)
"""Of ONNX, and the projection that TFLite has; and what it normalises gates with, factors and what is added, (1, 2, rows)."""
MOST_CLIP = 128.0
NO_CLIP, SQUASHING = 17.0, {"sigmoid", "tanh", "hard_sigmoid", "hard_sigmoid_6"}
"""From here on a sigmoid or tanh is 0 or 1 in float32, to half of its last digit."""
WAYS = {"forward": ("forward",), "reverse": ("reverse",), "bidirectional": ("forward", "reverse")}


def _recurrent(walk: Walk, node: Node, inputs: list[Value]) -> list[Value]:
    if not isinstance(inputs[0], Traced):
        raise node.refused("its sequence is not the signal")
    given = dict(zip(INPUTS, inputs, strict=False))
    batch_first = bool(node.attributes.get("layout", 0))
    codes = np.swapaxes(codes_of(inputs[0]), 0, 1) if batch_first else codes_of(inputs[0])
    _check_lengths(node, given.get("lengths"), len(codes))
    direction = str(node.attributes.get("direction", "forward"))
    if direction not in WAYS:
        raise node.refused(f"direction is {direction}, expected one of {', '.join(WAYS)}")
    found = []
    for number, way in enumerate(WAYS[direction]):
        one, own = _direction(node, given, number, way, batch_first)
        turn = way == "reverse"
        rows = turned(walk.expressions, codes, 0) if turn else codes
        sequence, memory = _along(walk, one, own, rows)
        found.append((turned(walk.expressions, sequence, 0) if turn else sequence, sequence[-1], memory))
    y = np.stack([sequence for sequence, _, _ in found], axis=1)
    ends = [np.stack(parts) for parts in list(zip(*found, strict=True))[1:]]
    if batch_first:
        y, ends = y.transpose(2, 0, 1, 3), [part.transpose(1, 0, 2) for part in ends]
    return [Traced(np.ascontiguousarray(part)) for part in (y, *ends)]


def _direction(
    node: Node, given: dict[str, Value], number: int, way: str, batch_first: bool
) -> tuple[Node, dict[str, Value]]:
    """Return a node of one direction, and its inputs, out of one of `way` or of both."""
    count = len(WAYS[str(node.attributes.get("direction", "forward"))])
    own = dict(given)
    for key in (key for key in INPUTS if key not in ("X", "lengths")):
        value = given.get(key)
        axis = 1 if batch_first and key.startswith("initial") else 0
        if value is None:
            continue
        size = np.shape(value.codes if isinstance(value, Traced) else value)[axis]
        if size != count:
            raise node.refused(f"its {key} is of {size} directions, expected {count}")
        own[key] = moved(value, lambda a, axis=axis: np.take(a, [number], axis))  # type: ignore[misc]
    attributes = dict(node.attributes)
    words = list(attributes.get("activations") or DEFAULTS[node.op] * count)
    each = len(words) // count
    attributes["activations"] = words[number * each : (number + 1) * each]
    for key in ("activation_alpha", "activation_beta"):
        values = list(attributes.get(key) or [])
        if len(values) == len(words):
            attributes[key] = values[number * each : (number + 1) * each]
    name = f"{node.name or node.op}_reverse" if count > 1 and way == "reverse" else node.name
    return Node(node.op, node.inputs, node.outputs, attributes, name), own


def _along(walk: Walk, node: Node, given: dict[str, Value], codes: Codes) -> tuple[Codes, Codes]:
    """Return what a node gives for rows (steps, batch, width) in the order in which they are run, and its last memory."""
    if codes.ndim != 3:
        raise node.refused(
            f"it reads {codes.ndim} axes, expected samples, batch and values: so torch writes a scripted loop over a cell, which no engine "
            "takes; save it with torch.jit.trace"
        )
    steps, batch, width = codes.shape
    batch_first = bool(node.attributes.get("layout", 0))
    states = {
        what: _state(walk, node, what, given.get(what), batch_first) for what in ("initial_h", "initial_c")
    }
    layer = read_recurrent(node, given, states)
    for what, units in (("initial_h", layer.units), ("initial_c", getattr(layer, "cells", 0))):
        state = given.get(what)
        if units and state is not None and codes_of(state).shape[-1] != units:
            raise node.refused(
                f"its {what} has {codes_of(state).shape[-1]} values, expected {units}. ONNX has no projection (proj_size of PyTorch): "
                "convert the module, its state_dict or a program of torch.export (.pt2)"
            )
    if layer.inputs != width:
        raise node.refused(f"its matrix takes {layer.inputs} values, but its sequence has {width}")
    if (codes != codes[:, :1]).any():
        raise WrongAxis("the axis of the batch is taken for that of time")
    named, times = _per_step(codes[:, 0])
    if times[0] > 1:  # behind something that reads as many
        named, times = _per_step(clocked(walk.expressions, codes[:, 0], 0, 1, int(times[-1])))
    number = walk.expressions.add(Expression("layer", layer.units, (named,), layer, layer.name))
    rows = np.stack([vector(number, layer.units, int(step)) for step in times])
    sequence = np.broadcast_to(rows[:, None, :], (steps, batch, layer.units))
    inner = walk.expressions.add(Expression("cell state", layer.units, (named,), layer, layer.name))
    memory = np.broadcast_to(vector(inner, layer.units, int(times[-1])), (batch, layer.units))
    return np.ascontiguousarray(sequence), memory


def _per_step(codes: Codes) -> tuple[Codes, Codes]:
    """Return what the layer reads at a step, from the last of the steps (where nothing is zero any more), and the steps + 1."""
    times = time_of(codes).max(axis=1)
    if (np.diff(times) != 1).any():
        raise WrongAxis("what the layer reads does not go on from step to step")
    return relative(codes[-1], int(times[-1])), times


def _check_lengths(node: Node, lengths: Value, steps: int) -> None:
    if lengths is None:
        return
    known = None if isinstance(lengths, Traced) else np.asarray(lengths).reshape(-1)
    if known is None or (known != steps).any():
        what = (
            "depend on the signal"
            if known is None
            else f"are {', '.join(map(str, known))} of {steps} samples"
        )
        raise node.refused(
            f"its sequence_lens {what}: behind its end a sequence is zeros, and a stream has no end; export without packed sequences"
        )


def _state(walk: Walk, node: Node, what: str, state: Value, batch_first: bool) -> Floats | None:
    """Return what a stream begins with, None for zeros: those of a state that the caller carries are zero then, too."""
    if state is None:
        return None
    codes = codes_of(state)
    rows = (codes.swapaxes(0, 1) if batch_first and codes.ndim == 3 else codes).reshape(-1, codes.shape[-1])
    kinds = {walk.expressions.of(code).kind for code in codes[~is_constant(codes)]}
    if kinds - {"state"}:
        raise node.refused(
            f"{what} is computed from the signal, which no stream can know beforehand; if this is a loop over a cell that was "
            "scripted, save it with torch.jit.trace, which writes its steps out, or use the layer in place of the loop"
        )
    if kinds:
        return None
    if (rows != rows[:1]).any():
        raise node.refused(f"{what} is not the same for every stream of the batch")
    values = numbers(rows[0])
    return values if values.any() else None


def read_recurrent(node: Node, given: dict[str, Value], states: dict[str, Floats | None]) -> FloatLayer:
    """Return the layer of an LSTM, GRU or RNN node. Raises ConversionError, naming it, for what no layer here computes."""
    attributes, kind = node.attributes, node.op
    words = [
        _activation(node, n, word) for n, word in enumerate(attributes.get("activations") or DEFAULTS[kind])
    ]
    clip = _clip(node, words)
    w, r, b, p = _weights(node, given)
    name, gates = node.name or kind, GATES[kind]
    units = len(w) // gates
    input_bias, hidden_bias = np.split(b, 2)
    hidden, cell = states["initial_h"], states["initial_c"]
    try:
        if kind == "RNN":
            return FloatRnn(name, w, r, input_bias + hidden_bias, words[0], initial_hidden=hidden)
        if kind == "GRU":
            if words != ["sigmoid", "tanh"]:
                raise node.refused(f"activations are {', '.join(words)}, which a GRU here cannot have")
            four = [reorder(part, ONNX_GRU, GRU) for part in (w, r, input_bias, hidden_bias)]
            after = bool(attributes.get("linear_before_reset", 0))
            return FloatGru(name, four[0], four[1], four[2], four[3], after, initial_hidden=hidden)
        parts = tuple(reorder(part, ONNX_LSTM, LSTM) for part in (w, r, input_bias + hidden_bias))
        coupled = bool(attributes.get("input_forget", 0))
        rows = np.r_[0:units, 2 * units : 4 * units] if coupled else np.r_[0 : gates * units]
        norm: list[Floats | None] = [None, None]
        if given.get("norm") is not None:
            norm = [
                np.ascontiguousarray(reorder(numeric(part), ONNX_LSTM, LSTM)[rows])
                for part in given["norm"][0]
            ]
        return FloatLstm(
            name, *(np.ascontiguousarray(part[rows]) for part in parts),
            gate_activation=words[0], cell_activation=words[1], output_activation=words[2], coupled=coupled,
            cell_clip=float(attributes.get("cell_clip", 0.0)), gate_clip=clip,
            projection_clip=0.0 if given.get("projection") is None else float(attributes.get("projection_clip", 0.0)),
            norm_factor=norm[0], norm_shift=norm[1], norm_epsilon=float(attributes.get("norm_epsilon", 1e-5)), peephole=_peephole(p, units, coupled),
            initial_hidden=hidden, initial_cell=cell,
            projection_weights=_first(given.get("projection")), projection_bias=_first(given.get("projection_bias")),
        )  # fmt: skip
    except ValueError as exc:
        raise node.refused(str(exc)) from None


def _clip(node: Node, words: list[str]) -> float:
    """Return the limit of what activations read, 0 where there is none, or they are at their end before it, in float32."""
    clip = float(node.attributes.get("clip", 0.0) or 0.0)
    if not clip or (clip >= NO_CLIP and SQUASHING.issuperset(words)):
        return 0.0
    if node.op != "LSTM":
        raise node.refused(
            f"it limits what its activations read to {clip:g} (clip), which of the layers here an LSTM alone does; of sigmoid and "
            f"tanh {NO_CLIP:g} or more is no limit. Export it without"
        )
    if not 2.0**-16 <= clip < MOST_CLIP:
        raise node.refused(
            f"it limits what its activations read to {clip:g} (clip), expected 1.53e-05 to {MOST_CLIP:g}"
        )
    return clip


def _first(value: Value) -> Floats | None:
    return None if value is None else np.asarray(value[0], np.float32)


def _peephole(p: Floats | None, units: int, coupled: bool) -> Floats | None:
    """Return the rows i, f, o (without f where it is coupled) of ONNX's i, o, f."""
    if p is None or not p.any():
        return None
    i, o, f = p.reshape(3, units)
    return np.stack([i, o] if coupled else [i, f, o])


def _activation(node: Node, place: int, word: str) -> str:
    """Return our name of an activation, its alpha and beta taken into account."""
    if word == "HardSigmoid":
        alpha, beta = (list(node.attributes.get(key, [])) for key in ("activation_alpha", "activation_beta"))
        slope = float(alpha[min(place, len(alpha) - 1)]) if alpha else 0.2
        offset = float(beta[min(place, len(beta) - 1)]) if beta else 0.5
        found = hard_sigmoid(slope, offset)
        if found is None:
            raise node.refused(
                f"its HardSigmoid has slope {slope:g} and offset {offset:g}; 1/5 or 1/6, and 1/2, can be"
            )
        return found
    if word not in ACTIVATIONS:
        raise node.refused(
            f"activation {word} cannot be converted; {', '.join(ACTIVATIONS)}, HardSigmoid can"
        )
    return ACTIVATIONS[word]


def _weights(node: Node, given: dict[str, Value]) -> tuple[Floats, Floats, Floats, Floats | None]:
    """Return W, R, both biases in one, and the peepholes, of one direction, their shapes checked."""
    matrices = given["W"], given["R"]
    if not all(isinstance(value, np.ndarray) and value.ndim == 3 and len(value) == 1 for value in matrices):
        raise node.refused("W and R are not constant matrices of one direction")
    w, r = (numeric(value[0]) for value in matrices)
    others = {key: given.get(key) for key in ("B", "P")}
    for key, value in others.items():
        if isinstance(value, Traced):
            raise node.refused(f"{key} is not constant")
    b = np.zeros(2 * len(w), np.float32) if others["B"] is None else numeric(others["B"]).reshape(-1)
    p = None if others["P"] is None else numeric(others["P"]).reshape(-1)
    gates, projection = GATES[node.op], given.get("projection")
    units = len(w) // gates
    hidden = units if projection is None else len(projection[0])
    if r.shape != (gates * units, hidden) or len(w) != len(r) or len(b) != 2 * len(w):
        raise node.refused(
            f"W, R and B have shapes {w.shape}, {r.shape} and {b.shape}, which do not belong together"
        )
    if p is not None and p.size != 3 * units:
        raise node.refused(f"P has {p.size} numbers, expected {3 * units}")
    return w, r, b, p


def _dynamic_quantize_lstm(walk: Walk, node: Node, inputs: list[Value]) -> list[Value]:
    """ONNX Runtime's LSTM of int8 weights (com.microsoft): W (directions, inputs, 4 units), a scale each or per column."""
    x, w, r, b, lengths, h, c, peephole, w_scale, w_zero, r_scale, r_zero = inputs[:12]

    def plain(weights: Any, scale: Any, zero: Any) -> Any:
        walk.note_scale(scale)
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
