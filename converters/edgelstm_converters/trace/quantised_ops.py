"""Operators of graphs that were quantised to int8: weights are the whole numbers that they were, times their scale; what is computed
stands in real numbers, without the rounding between operators, which is done anew (docs/convert.md).

Exporters take a relu into the limits of int8: what is quantised with the lowest number for zero has none below it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from edgelstm_converters.trace.arithmetic_ops import ARITHMETIC, function_of, sum_of
from edgelstm_converters.trace.expressions import Floats
from edgelstm_converters.trace.graph import Node
from edgelstm_converters.trace.run import Operator, Traced, Value, Walk, codes_of, settled

IN_INT8 = frozenset(
    {"DynamicQuantizeLSTM", "DynamicQuantizeLinear", "MatMulInteger", "QuantizeLinear", "DequantizeLinear", "QLinearMatMul", "QLinearAdd", "QGemm"}
)  # fmt: skip
"""With one of these an engine may compute in int8 (ONNX Runtime does where weights alone are), and agrees with real numbers to a few digits."""


def _limited(walk: Walk, node: Node, value: Value, zero: Any) -> Value:
    """Return a value as it is after it was quantised, but for rounding, and for a limit that is no more than its range."""
    zero = np.zeros(1, np.uint8) if zero is None else np.asarray(zero)
    if zero.reshape(-1)[0] != np.iinfo(zero.dtype).min:
        return value
    return settled(function_of(walk, "relu", codes_of(value), node.label))


def _known(node: Node, value: Value) -> Any:
    if isinstance(value, Traced):
        raise node.refused("its scale or zero depends on the signal")
    return value


def _real(walk: Walk, node: Node, value: Value, scale: Value, zero: Value, axis: int = -1) -> Value:
    """Return what whole numbers stand for; what depends on the signal stands in real numbers already."""
    if isinstance(value, Traced):
        return value
    numbers = np.asarray(value).astype(np.float32)

    def along(part: Value) -> Floats:
        found = np.asarray(_known(node, part), np.float32).reshape(-1)
        shape = [1] * numbers.ndim
        if found.size > 1:
            shape[axis] = -1
        return found.reshape(shape)

    less = numbers if zero is None else numbers - along(zero)
    if scale is None:
        return less
    walk.note_scale(_known(node, scale))
    return (less * along(scale)).astype(np.float32)


def _quantize(walk: Walk, node: Node, inputs: list[Value]) -> list[Value]:
    return [_limited(walk, node, inputs[0], _known(node, inputs[2] if len(inputs) > 2 else None))]


def _dequantize(walk: Walk, node: Node, inputs: list[Value]) -> list[Value]:
    if node.attributes.get("block_size", 0) and not isinstance(inputs[0], Traced):
        raise node.refused("its scale goes by blocks, which cannot be converted")
    value, scale, zero = [*inputs, None][:3]
    return [_real(walk, node, value, scale, zero, int(node.attributes.get("axis", 1)))]


def _dynamic(walk: Walk, node: Node, inputs: list[Value]) -> list[Value]:
    """Scale and zero come of the signal; in real numbers they are one and zero."""
    return [inputs[0], np.ones((), np.float32), np.zeros((), np.uint8)]


def _matmul_integer(walk: Walk, node: Node, inputs: list[Value]) -> list[Value]:
    one, other, zeros = inputs[0], inputs[1], [*inputs[2:4], None, None][:2]
    if isinstance(other, Traced):
        raise node.refused("its matrix depends on the signal")
    walk.whole = True
    plain: Operator = ARITHMETIC["MatMul"]
    return plain(walk, node, [one, _real(walk, node, other, None, zeros[1])])


def _matmul(walk: Walk, node: Node, inputs: list[Value]) -> list[Value]:
    """QLinearMatMul: each of two values and the result has its scale and its zero."""
    parts = [_real(walk, node, *inputs[first : first + 3]) for first in (0, 3)]
    if all(isinstance(part, Traced) for part in parts):
        raise node.refused("it multiplies two values that both depend on the signal")
    plain: Operator = ARITHMETIC["MatMul"]
    (found,) = plain(walk, node, parts)
    return [_limited(walk, node, found, _known(node, inputs[7]))]


def _add(walk: Walk, node: Node, inputs: list[Value]) -> list[Value]:
    one, other = (codes_of(_real(walk, node, *inputs[first : first + 3])) for first in (0, 3))
    found = settled(sum_of(walk, one, other, node.label))
    return [_limited(walk, node, found, _known(node, inputs[7] if len(inputs) > 7 else None))]


def _gemm(walk: Walk, node: Node, inputs: list[Value]) -> list[Value]:
    """QGemm of ONNX Runtime: the bias is in steps of both scales multiplied."""
    if isinstance(inputs[3], Traced):
        raise node.refused("its matrix depends on the signal")
    axis = 0 if node.attributes.get("transB", 0) else 1
    matrix = _real(walk, node, inputs[3], inputs[4], inputs[5], axis)
    bias = None
    if len(inputs) > 6 and inputs[6] is not None:
        step = np.asarray(_known(node, inputs[1]), np.float32) * np.asarray(
            _known(node, inputs[4]), np.float32
        )
        bias = _real(walk, node, inputs[6], step, None)
    plain: Operator = ARITHMETIC["Gemm"]
    (found,) = plain(walk, node, [inputs[0], matrix, bias])
    return [_limited(walk, node, found, _known(node, inputs[8])) if len(inputs) > 8 else found]


QUANTISED: dict[str, Operator] = {
    "QuantizeLinear": _quantize, "DequantizeLinear": _dequantize, "DynamicQuantizeLinear": _dynamic,
    "MatMulInteger": _matmul_integer, "QLinearMatMul": _matmul, "QLinearAdd": _add, "QGemm": _gemm,
}  # fmt: skip
