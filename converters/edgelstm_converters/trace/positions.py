"""Numbers that differ from row to row of a sequence: position encodings, learned or of sines, as a sequence of their own.

The rows of such a constant become those of an expression of the kind "position", whose steps are those of the samples. So what is
computed of signal and position is the same expression at every step, and found as anything else is.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgelstm_converters.layers import FloatConv1d, FloatDense, FloatLayer, FloatPosition
from edgelstm_converters.trace.expressions import (
    EXPRESSION,
    TIME,
    Codes,
    Expression,
    Expressions,
    expression_of,
    is_constant,
    numbers,
    time_of,
)

MASKED = -1e4
"""What is added to a score that is to have no weight."""


def positioned(expressions: Expressions, codes: Codes, other: Codes, name: str) -> Codes:
    """Return the constants `other`, which meet `codes` of the same shape, as a sequence where they differ from sample to sample."""
    if codes.ndim < 2 or not is_constant(other).all() or is_constant(codes).any():
        return other
    axis = next((axis for axis in range(codes.ndim - 1) if _is_time(codes, axis)), None)
    if axis is None:
        return other
    rows = np.moveaxis(other, axis, 0)
    table = np.ascontiguousarray(numbers(rows.reshape(len(rows), -1)))
    differs = (rows != rows[:1]).any() and np.isfinite(table).all() and table.min() > MASKED
    kinds = {expressions.table[int(number)].kind for number in np.unique(expression_of(codes))}
    if not differs or "dot" in kinds:
        return other
    number = expressions.add(Expression("position", table.shape[1], (), table, f"{name}.position"))
    found = number * EXPRESSION + np.arange(table.shape[1]) + (np.arange(len(table)) + 1)[:, None] * TIME
    return np.ascontiguousarray(np.moveaxis(found.reshape(rows.shape), 0, axis))


def _is_time(codes: Codes, axis: int) -> bool:
    """Whether rows along an axis are all samples of a sequence, from the first on."""
    times = time_of(np.moveaxis(codes, axis, 0)).reshape(codes.shape[axis], -1)
    return len(times) > 1 and bool((times == np.arange(1, len(times) + 1)[:, None]).all())


def position_layers(found: Expression, table: Sequence[Expression]) -> list[FloatLayer]:
    """Return the layers of a position, each reading the one before it, the first the signal: 1, then 1 at the first row only, then the rows."""
    inputs = next(each.size for each in table if each.kind == "input")
    none = np.zeros(1, np.float32)
    first = np.array([[[-1.0, 1.0]]], np.float32)
    return [
        FloatDense(f"{found.name}.one", np.zeros((1, inputs), np.float32), none + 1.0),
        FloatConv1d(f"{found.name}.first", first, none),
        FloatPosition(found.name, found.detail),
    ]
