"""Operators that compute: products with matrices, sums, products and functions of elements."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from edgelstm.layers.activation import CELL_ACTIVATIONS
from edgelstm_converters.layers.float_layer import ACTIVATIONS
from edgelstm_converters.layers.pointwise import FUNCTIONS as POINTWISE
from edgelstm_converters.trace.expressions import (
    EXPRESSION,
    TIME,
    Codes,
    Expression,
    Floats,
    constants,
    is_constant,
    numbers,
    relative,
    time_of,
)
from edgelstm_converters.trace.graph import Node
from edgelstm_converters.trace.layout_ops import listed
from edgelstm_converters.trace.positions import positioned
from edgelstm_converters.trace.reversal import at_the_end
from edgelstm_converters.trace.run import Traced, Value, Walk, codes_of, settled

ZERO, ONE, NEVER = (constants(number)[()] for number in (0.0, 1.0, -np.inf))


def numeric(value: Value) -> Floats:
    """Return numbers to compute with; raises ValueError where one of them is not finite, as in a mask."""
    found = np.asarray(value, np.float32)
    if not np.isfinite(found).all():
        raise ValueError("its weights hold numbers that are not finite")
    return found


def by_step(walk: Walk, kind: str, arguments: list[Codes], detail: Any, name: str) -> Codes:
    """Return the codes of an element-by-element expression, one expression for each step that occurs."""
    steps = np.max([time_of(argument) for argument in arguments], axis=0)
    result = np.empty(arguments[0].shape, np.int64)
    order = np.argsort(steps, kind="stable")
    for chosen in np.split(order, np.flatnonzero(np.diff(steps[order])) + 1):
        step = steps[chosen[0]]
        named = [relative(argument[chosen], int(step)) for argument in arguments]
        rows = np.stack([at_the_end(walk.expressions, part) for part in named], axis=1)
        _, first, back = np.unique(rows, axis=0, return_index=True, return_inverse=True)
        occurring = np.argsort(first)  # in the order in which they occur, which is the same at every step
        rank = np.empty_like(occurring)
        rank[occurring] = np.arange(len(occurring))
        kept = rows[np.sort(first)]
        number = walk.expressions.add(
            Expression(
                kind, len(kept), tuple(np.ascontiguousarray(column) for column in kept.T), detail, name
            )
        )
        result[chosen] = number * EXPRESSION + step * TIME + rank[back.reshape(-1)]
    return result


def sum_of(walk: Walk, a: Codes, b: Codes, name: str) -> Codes:
    """Return the codes of a + b, constants summed, zeros left out."""
    return _pairs(walk, "sum", a, b, name)


def product_of(walk: Walk, a: Codes, b: Codes, name: str) -> Codes:
    """Return the codes of a * b, constants multiplied, ones left out."""
    return _pairs(walk, "product", a, b, name)


def _pairs(walk: Walk, kind: str, a: Codes, b: Codes, name: str) -> Codes:
    a, b = (np.ascontiguousarray(part) for part in np.broadcast_arrays(a, b))
    a, b = positioned(walk.expressions, b, a, name), positioned(walk.expressions, a, b, name)
    shape, a, b = a.shape, a.reshape(-1), b.reshape(-1)
    result = np.empty(a.shape, np.int64)
    known = is_constant(a) & is_constant(b)
    x, y = numbers(a[known]), numbers(b[known])
    result[known] = constants(x + y if kind == "sum" else x * y)
    open_ = ~known
    neutral = ZERO if kind == "sum" else ONE
    if kind == "sum":  # a mask: what is added to it does not matter
        masked = open_ & ((a == NEVER) | (b == NEVER))
        result[masked] = NEVER
        open_ &= ~masked
    for one, other in ((a, b), (b, a)):
        same = open_ & (one == neutral)
        result[same] = other[same]
        open_ &= ~same
        if kind == "product":
            none = open_ & (one == ZERO)
            result[none] = ZERO
            open_ &= ~none
    if open_.any():
        result[open_] = by_step(walk, kind, [a[open_], b[open_]], None, name)
    return result.reshape(shape)


def function_of(walk: Walk, function: str, codes: Codes, name: str) -> Codes:
    """Return the codes of a function of every element."""
    flat = np.ascontiguousarray(codes).reshape(-1)
    result = np.empty(flat.shape, np.int64)
    known = is_constant(flat)
    result[known] = constants({**POINTWISE, **FUNCTIONS}[function](numbers(flat[known])))
    if not known.all():
        result[~known] = by_step(walk, "function", [flat[~known]], function, name)
    return result.reshape(codes.shape)


def matmul_of(walk: Walk, codes: Codes, weights: Floats, name: str) -> Codes:
    """Return the codes of `weights @ row` for every row along the last axis; weights (outputs, inputs)."""
    outputs = len(weights)
    return by_row(
        walk, codes, outputs, lambda row: Expression("matmul", outputs, (row,), weights, name),
        lambda row: constants(weights @ numbers(row)),
    )  # fmt: skip


def by_row(
    walk: Walk,
    codes: Codes,
    size: int,
    made: Callable[[Codes], Expression],
    known: Callable[[Codes], Codes] | None = None,
) -> Codes:
    """Return the codes of a vector of `size` that is computed of every row along the last axis, each row once.

    made   makes the expression of a row of relative codes
    known  computes it of a row of constants; without, such a row is an expression as others are
    """
    rows = np.ascontiguousarray(codes.reshape(-1, codes.shape[-1]))
    steps = time_of(rows).max(axis=1)
    named = at_the_end(walk.expressions, relative(rows, steps[:, None]))
    result = np.empty((len(rows), size), np.int64)
    numbers_of: dict[bytes, int] = {}
    for n, row in enumerate(named):
        if known is not None and is_constant(row).all():
            result[n] = known(row)
            continue
        key = row.tobytes()
        if key not in numbers_of:
            numbers_of[key] = walk.expressions.add(made(row))
        result[n] = numbers_of[key] * EXPRESSION + steps[n] * TIME + np.arange(size)
    return result.reshape(*codes.shape[:-1], size)


FUNCTIONS: dict[str, Callable[[Floats], Floats]] = {
    name: function for name, function in ACTIVATIONS.items() if name in CELL_ACTIVATIONS
}
"""The functions of one number that layers have as their activation; others become a table (curves.py)."""


def hard_sigmoid(slope: float, offset: float) -> str | None:
    """Return the name of the hard sigmoid `slope * x + offset` limited to 0..1, None where it is not one of ours."""
    if abs(offset - 0.5) > 1e-6:
        return None
    return next(
        (n for n, k in (("hard_sigmoid", 0.2), ("hard_sigmoid_6", 1 / 6)) if abs(slope - k) < 1e-6), None
    )


def _function(function: str) -> Any:
    def operator(walk: Walk, node: Node, inputs: list[Value]) -> list[Value]:
        return [settled(function_of(walk, function, codes_of(inputs[0]), node.label))]

    return operator


def _matmul(walk: Walk, node: Node, inputs: list[Value]) -> list[Value]:
    left, right = inputs[:2]
    if isinstance(right, Traced):
        codes, matrix = np.swapaxes(right.codes, -1, -2), numeric(left)
    else:
        codes, matrix = left.codes, np.swapaxes(numeric(right), -1, -2)
    matrix = matrix.reshape(matrix.shape[-2:]) if matrix.size == np.prod(matrix.shape[-2:]) else matrix
    if matrix.ndim != 2:
        raise node.refused(f"its matrix has shape {matrix.shape}")
    if codes.shape[-1] != matrix.shape[1]:
        raise node.refused(f"it multiplies {codes.shape[-1]} values with a matrix for {matrix.shape[1]}")
    found = matmul_of(walk, codes, matrix, node.label)
    return [settled(np.swapaxes(found, -1, -2) if isinstance(right, Traced) else found)]


def _gemm(walk: Walk, node: Node, inputs: list[Value]) -> list[Value]:
    given = node.attributes
    if isinstance(inputs[1], Traced):
        raise node.refused("its matrix depends on the signal")
    codes = codes_of(inputs[0])
    codes = codes.T if given.get("transA", 0) else codes
    matrix = numeric(inputs[1])
    matrix = (matrix if given.get("transB", 0) else matrix.T) * np.float32(given.get("alpha", 1.0))
    if matrix.ndim != 2 or codes.shape[-1] != matrix.shape[1]:
        raise node.refused(f"it multiplies {codes.shape[-1]} values with a matrix for {matrix.shape[1:]}")
    found = matmul_of(walk, codes, matrix, node.label)
    if len(inputs) > 2 and inputs[2] is not None:
        beta = constants(given.get("beta", 1.0))
        found = sum_of(walk, found, product_of(walk, codes_of(inputs[2]), beta, node.label), node.label)
    return [settled(found)]


def _binary(kind: str) -> Any:
    def operator(walk: Walk, node: Node, inputs: list[Value]) -> list[Value]:
        a, b = codes_of(inputs[0]), codes_of(inputs[1])
        name = node.label
        if walk.whole and kind == "product":  # of a product of whole numbers, perhaps
            for value in inputs[:2]:
                walk.note_scale([] if isinstance(value, Traced) else value)
        if kind == "sub":
            return [settled(sum_of(walk, a, product_of(walk, b, constants(-1.0), name), name))]
        if kind == "div":
            if isinstance(inputs[1], Traced):  # by the size of a vector, perhaps, see normalization.py
                return [settled(product_of(walk, a, function_of(walk, "reciprocal", b, name), name))]
            return [settled(product_of(walk, a, constants(1.0 / numeric(inputs[1])), name))]
        return [settled((sum_of if kind == "sum" else product_of)(walk, a, b, name))]

    return operator


def _sum(walk: Walk, node: Node, inputs: list[Value]) -> list[Value]:
    total = codes_of(inputs[0])
    for value in inputs[1:]:
        total = sum_of(walk, total, codes_of(value), node.label)
    return [settled(total)]


def _neg(walk: Walk, node: Node, inputs: list[Value]) -> list[Value]:
    return [settled(product_of(walk, codes_of(inputs[0]), constants(-1.0), node.label))]


def _reduce(share: bool, *, square: bool = False, root: bool = False) -> Any:
    def operator(walk: Walk, node: Node, inputs: list[Value]) -> list[Value]:
        """Sum or mean along axes: a product with a row of equal numbers; of squares, and the root of that."""
        codes = inputs[0].codes
        codes = product_of(walk, codes, codes, node.label) if square else codes
        axes = listed(node, inputs, 1, "axes") or list(range(codes.ndim))
        axes = sorted(axis % codes.ndim for axis in axes)
        ends = list(range(codes.ndim - len(axes), codes.ndim))
        rows = np.moveaxis(codes, axes, ends)
        rows = rows.reshape(*rows.shape[: codes.ndim - len(axes)], -1)
        row = np.full((1, rows.shape[-1]), 1.0 / rows.shape[-1] if share else 1.0, np.float32)
        found = matmul_of(walk, rows, row, node.label)[..., 0]
        found = function_of(walk, "sqrt", found, node.label) if root else found
        return [settled(np.expand_dims(found, tuple(axes)) if node.attributes.get("keepdims", 1) else found)]

    return operator


def _batch_norm(walk: Walk, node: Node, inputs: list[Value]) -> list[Value]:
    """https://onnx.ai/onnx/operators/onnx__BatchNormalization.html, with the statistics of training."""
    if node.attributes.get("training_mode", 0):
        raise node.refused("it is in training mode: export the network after eval()")
    if any(isinstance(value, Traced) for value in inputs[1:5]):
        raise node.refused(
            "its mean or variance depends on the signal, as in what tf2onnx makes of a LayerNormalization of Keras 2: convert the file of "
            "Keras, or float TFLite"
        )
    scale, bias, mean, variance = (np.asarray(value, np.float64) for value in inputs[1:5])
    factor = scale / np.sqrt(variance + node.attributes.get("epsilon", 1e-5))
    codes, name = inputs[0].codes, node.label
    shape = (1, -1, *[1] * (codes.ndim - 2))
    scaled = product_of(walk, codes, constants(factor.reshape(shape)), name)
    return [settled(sum_of(walk, scaled, constants((bias - mean * factor).reshape(shape)), name))]


def _hard_sigmoid(walk: Walk, node: Node, inputs: list[Value]) -> list[Value]:
    """hard_sigmoid(x) = limit(x / 5 + 1/2, 0, 1), so limit(a x + b, 0, 1) = hard_sigmoid(5 a x + 5 b - 5/2)."""
    slope, offset = node.attributes.get("alpha", 0.2), node.attributes.get("beta", 0.5)
    codes, name = codes_of(inputs[0]), node.label
    known = hard_sigmoid(slope, offset)
    if known is None:
        steeper = product_of(walk, codes, constants(5.0 * slope), name)
        codes, known = sum_of(walk, steeper, constants(5.0 * offset - 2.5), name), "hard_sigmoid"
    return [settled(function_of(walk, known, codes, name))]


ARITHMETIC = {
    "MatMul": _matmul, "Gemm": _gemm, "Add": _binary("sum"), "Sub": _binary("sub"), "Mul": _binary("product"),
    "Div": _binary("div"), "Sum": _sum, "Neg": _neg, "BatchNormalization": _batch_norm,
    "ReduceMean": _reduce(True), "ReduceSum": _reduce(False),
    "ReduceSumSquare": _reduce(False, square=True), "ReduceL2": _reduce(False, square=True, root=True),
    "HardSigmoid": _hard_sigmoid, "Sigmoid": _function("sigmoid"), "Tanh": _function("tanh"), "Relu": _function("relu"),
}  # fmt: skip
