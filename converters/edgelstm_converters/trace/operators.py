"""The table of operators, and NumPy's for those that see constants only."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from edgelstm_converters.trace.arithmetic_ops import ARITHMETIC, FUNCTIONS
from edgelstm_converters.trace.attention_ops import ATTENTION, of_weighted
from edgelstm_converters.trace.convolution_ops import CONVOLUTION
from edgelstm_converters.trace.function_ops import FUNCTION_OPS, chosen
from edgelstm_converters.trace.graph import Node
from edgelstm_converters.trace.grid_ops import GRIDS, on_grids
from edgelstm_converters.trace.layout_ops import LAYOUT
from edgelstm_converters.trace.limits import LIMITS
from edgelstm_converters.trace.quantised_ops import QUANTISED
from edgelstm_converters.trace.recurrent_ops import RECURRENT
from edgelstm_converters.trace.run import Operator, Traced, Value, Walk
from edgelstm_converters.trace.sizes import MOST, may_be_folded
from edgelstm_converters.trace.vector_ops import VECTORS
from edgelstm_converters.trace.window_ops import WINDOWS


def _where(walk: Walk, node: Node, inputs: list[Value]) -> list[Value]:
    """A choice by constants moves elements; by the signal it computes."""
    chooses = isinstance(inputs[0], Traced) and all(
        isinstance(v, Traced) or np.isfinite(v).all() for v in inputs[1:]
    )
    return (chosen if chooses else LAYOUT["Where"])(walk, node, inputs)


_ALONG_TIME: dict[str, Operator] = {
    **LAYOUT, **ARITHMETIC, **LIMITS, **FUNCTION_OPS, **CONVOLUTION, **VECTORS, **ATTENTION, **RECURRENT, **QUANTISED,
}  # fmt: skip
OPERATORS: dict[str, Operator] = {
    **_ALONG_TIME, **WINDOWS, "Where": _where, "ReduceSum": of_weighted(WINDOWS["ReduceSum"]), **GRIDS, **{op: on_grids(_ALONG_TIME[op]) for op in ("Conv", "AveragePool")}
}  # fmt: skip


def _divide(a: Any, b: Any) -> Any:
    """Whole numbers are divided as ONNX does it, towards zero."""
    if a.dtype.kind in "iu":
        return np.trunc(a / b).astype(a.dtype)
    return a / b


def _full(node: Node, shape: Any) -> Any:
    size = int(np.prod(shape, dtype=np.float64))
    if size > MOST:
        raise node.refused(f"it makes a tensor of {size:,} numbers, more than is reasonable for a stream")
    value = np.asarray(node.attributes.get("value", np.zeros(1, np.float32))).reshape(-1)
    return np.full(np.asarray(shape).astype(np.int64), value[0], value.dtype)


PLAIN: dict[str, Callable[..., Any]] = {
    "Add": np.add, "Sub": np.subtract, "Mul": np.multiply, "Div": _divide, "Neg": np.negative, "Mod": np.mod,
    "Abs": np.abs, "Floor": np.floor, "Ceil": np.ceil, "Sqrt": np.sqrt, "Rsqrt": lambda v: 1 / np.sqrt(v), "Reciprocal": np.reciprocal, "Exp": np.exp, "Log": np.log, "Sin": np.sin, "Cos": np.cos, "Sign": np.sign, "Pow": np.power,
    "MatMul": np.matmul, "Equal": np.equal, "NotEqual": np.not_equal, "Less": np.less, "Greater": np.greater, "LessOrEqual": np.less_equal,
    "GreaterOrEqual": np.greater_equal, "And": np.logical_and, "Or": np.logical_or, "Not": np.logical_not,
    "Min": lambda *v: np.minimum.reduce(v), "Max": lambda *v: np.maximum.reduce(v),
    "IsNaN": np.isnan, "Sigmoid": FUNCTIONS["sigmoid"], "Tanh": np.tanh, "Relu": FUNCTIONS["relu"],
}  # fmt: skip


def compute(walk: Walk, node: Node, inputs: list[Value]) -> list[Value]:
    """Return the outputs of a node whose inputs are all constant."""
    if node.op == "Constant":
        return [np.asarray(node.attributes["value"])]
    if node.op == "ConstantOfShape":
        return [_full(node, inputs[0])]
    if node.op == "Range":
        first, limit, step = (np.asarray(value).reshape(-1)[0] for value in inputs)
        if abs((float(limit) - float(first)) / float(step)) > 1 << 22:
            raise node.refused("it counts further than is reasonable for a stream")
        return [np.arange(first, limit, step, dtype=first.dtype)]
    if node.op == "DequantizeLinear":
        return QUANTISED[node.op](walk, node, inputs)
    if node.op in LAYOUT:
        return LAYOUT[node.op](walk, node, inputs)
    if node.op in PLAIN:
        with np.errstate(all="ignore"):
            return [np.asarray(PLAIN[node.op](*[np.asarray(v) for v in inputs if v is not None]))]
    folded = walk.fold(node, inputs, walk.opset) if may_be_folded(node.op) else None
    if folded is None:
        raise node.refused("it has no input from the signal and could not be computed beforehand")
    return [np.asarray(value) for value in folded]
