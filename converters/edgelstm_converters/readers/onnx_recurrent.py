"""The LSTM and GRU operators of ONNX (https://onnx.ai/onnx/operators): attributes, gate order, biases."""

from __future__ import annotations

from typing import Any

import numpy as np

from edgelstm.errors import ConversionError
from edgelstm_converters.float_model import FloatGru, FloatLayer, FloatLstm
from edgelstm_converters.gate_order import GRU, LSTM, ONNX_GRU, ONNX_LSTM, reorder

DEFAULT_ACTIVATIONS = {"LSTM": ["Sigmoid", "Tanh", "Tanh"], "GRU": ["Sigmoid", "Tanh"]}


def read_recurrent(node: Any, known: list[Any], name: str) -> FloatLayer:
    """Return the layer of an LSTM or GRU node; `known` holds X, W, R, B, sequence_lens, initial_h, ... as far as given.

    Raises ConversionError, by the name of the node, for what it has beyond the plain cell.
    """
    from onnx import helper

    attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}

    def refuse(why: str) -> ConversionError:
        return ConversionError(f'node "{node.name or node.output[0]}" ({node.op_type}): {why}')

    direction = attributes.get("direction", b"forward").decode()
    if direction != "forward":
        raise refuse(f"direction is {direction}, and a stream has no future to read")
    if "clip" in attributes:
        raise refuse("a cell clip cannot be converted yet")
    if attributes.get("input_forget", 0):
        raise refuse("coupled gates (input_forget) cannot be converted yet")
    activations = [text.decode() for text in attributes.get("activations", [])]
    if activations and activations != DEFAULT_ACTIVATIONS[node.op_type]:
        raise refuse(
            f"activations are {', '.join(activations)}; only {', '.join(DEFAULT_ACTIVATIONS[node.op_type])} can be"
        )
    if len(known) > 7 and known[7] is not None:
        raise refuse("peephole weights (P) cannot be converted yet")
    if len(known) > 4 and known[4] is not None:
        raise refuse("it has sequence_lens, and a stream has no end; export without packed sequences")
    matrices = known[1:3]
    if not all(isinstance(value, np.ndarray) and value.ndim == 3 and len(value) == 1 for value in matrices):
        raise refuse("W and R are not constant matrices of one direction")
    w, r = (value[0].astype(np.float32) for value in matrices)
    given = known[3] if len(known) > 3 else None
    if given is not None and not isinstance(given, np.ndarray):
        raise refuse("B is not constant")
    b = np.zeros(2 * len(w), np.float32) if given is None else given.reshape(-1).astype(np.float32)
    gates = 4 if node.op_type == "LSTM" else 3
    units = r.shape[1]
    if r.shape != (gates * units, units) or len(w) != len(r) or len(b) != 2 * len(w):
        raise refuse(
            f"W, R and B have shapes {w.shape}, {r.shape} and {b.shape}, which do not belong together"
        )
    input_bias, hidden_bias = np.split(b, 2)
    if node.op_type == "LSTM":
        return FloatLstm(name, *(reorder(part, ONNX_LSTM, LSTM) for part in (w, r, input_bias + hidden_bias)))
    w, r, input_bias, hidden_bias = (reorder(part, ONNX_GRU, GRU) for part in (w, r, input_bias, hidden_bias))
    reset_after = bool(attributes.get("linear_before_reset", 0))
    return FloatGru(name, w, r, input_bias, hidden_bias, reset_after)
