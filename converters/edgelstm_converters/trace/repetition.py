"""Vectors that stand at every row of a sequence of their own, as RepeatVector of Keras makes them of what an encoder ends with.

Such a sequence counts its rows from 1, whatever the step of the vector was: an expression of the kind "repeated". So a cell
that reads it is found like any other.
"""

from __future__ import annotations

import numpy as np

from edgelstm_converters.trace.expressions import (
    EXPRESSION,
    TIME,
    Codes,
    Expression,
    Expressions,
    expression_of,
    is_constant,
    place_of,
    relative,
    time_of,
)

COMPUTED = ("matmul", "sum", "product", "function")


def repeated(expressions: Expressions, codes: Codes, axis: int, count: int) -> Codes:
    """Return `codes`, whose `axis` has one row, with `count` rows there, each at a step of its own."""
    varies = ~is_constant(codes)
    if count < 2 or not varies.any():
        return np.repeat(codes, count, axis)
    last = int(time_of(codes[varies]).max())
    named = codes.copy()
    named[varies] = _Repetition(expressions, count).of(relative(codes[varies], last))
    steps = np.arange(1, count + 1, dtype=np.int64).reshape(
        [-1 if n == axis else 1 for n in range(codes.ndim)]
    )
    return np.ascontiguousarray(np.where(varies, named + steps * TIME, codes))


class _Repetition:
    """What is computed of the ends of both directions is computed of their repetitions instead, at the same cost."""

    def __init__(self, expressions: Expressions, count: int) -> None:
        self.expressions, self.count = expressions, count
        self.known: dict[int, int] = {}
        self.past: dict[int, bool] = {}

    def of(self, codes: Codes) -> Codes:
        """Return relative codes of elements that vary, of the newest row, as elements of one of the rows."""
        found = np.empty_like(codes)
        whole = codes - place_of(codes)
        for start in np.unique(whole):
            chosen = whole == start
            found[chosen] = self._number(np.int64(start)) * EXPRESSION + place_of(codes[chosen])
        return found

    def _number(self, start: np.int64) -> int:
        """Return the expression that stands for the vector that begins with the code `start`."""
        if int(start) not in self.known:
            number = int(start >> np.int64(48))
            vector = self.expressions.table[number]
            if vector.kind in COMPUTED and not time_of(np.array(start)) and not self._reads_past(number):
                arguments = tuple(self._argument(argument) for argument in vector.arguments)
                made = Expression(vector.kind, vector.size, arguments, vector.detail, vector.name)
            else:
                codes = (start + np.arange(vector.size, dtype=np.int64),)
                made = Expression("repeated", vector.size, codes, f"{self.count} rows", f"{vector.name}/rows")
            self.known[int(start)] = self.expressions.add(made)
        return self.known[int(start)]

    def _argument(self, codes: Codes) -> Codes:
        found, varies = codes.copy(), ~is_constant(codes)
        found[varies] = self.of(codes[varies])
        return found

    def _reads_past(self, number: int) -> bool:
        """Whether an earlier step has a part in it, as in what a cell gives that is spelled out."""
        if number not in self.past:
            found = self.expressions.table[number]
            read = np.concatenate([part.reshape(-1) for part in found.arguments] or [np.zeros(0, np.int64)])
            read = read[~is_constant(read)]
            inner = (self.expressions.table[int(n)] for n in np.unique(expression_of(read)))
            self.past[number] = bool(time_of(read).any()) or any(each.kind == "state" for each in inner)
            if not self.past[number] and found.kind in COMPUTED:
                self.past[number] = any(self._reads_past(int(n)) for n in np.unique(expression_of(read)))
        return self.past[number]
