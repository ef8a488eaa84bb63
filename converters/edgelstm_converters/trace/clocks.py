"""Sequences that have a row at every n-th row of another one, as a convolution or pool with a stride makes them, or that begin late.

Such a sequence counts its rows from 1, whatever rows of the other one they stand at: an expression of the kind "every", as one that was
turned around is a sequence of its own. So a cell that reads it is found like any other. In the model its layers have a period and, where
rows are missing at the beginning, run `when` those have passed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from edgelstm.layers import INPUT
from edgelstm_converters.layers import FloatConv1d, FloatDense, FloatLayer, FloatPool
from edgelstm_converters.trace.ahead import OF_ONE_ROW
from edgelstm_converters.trace.expressions import (
    EXPRESSION,
    Codes,
    Expression,
    Expressions,
    expression_of,
    is_constant,
    place_of,
    relative,
    time_of,
)


@dataclass(frozen=True, slots=True)
class Clock:
    """A row at row `first` of the samples, and at every `stride`-th from there on; `rows` of the sequence that it is taken of."""

    first: int = 0
    stride: int = 1
    rows: int = 0

    def of(self, outer: Clock) -> Clock:
        """Return the clock of rows of a sequence that has the clock `outer`."""
        first = outer.first + outer.stride * self.first
        return Clock(first, self.stride * outer.stride, outer.rows or self.rows)

    def phase(self, backward: bool) -> int:
        """Return at which of its rows a layer first runs, counted from where it begins."""
        return (self.rows - 1 - self.first if backward else self.first) % self.stride

    @property
    def begins_late(self) -> bool:
        return self.first >= self.stride


EVERY_SAMPLE = Clock()


def clocked(expressions: Expressions, codes: Codes, axis: int, stride: int, rows: int) -> Codes:
    """Return `codes`, whose rows along `axis` stand at every `stride`-th row of `rows`, as a sequence of its own."""
    moved = np.moveaxis(codes, axis, 0)
    times = time_of(moved).reshape(len(moved), -1).max(axis=1)
    if stride == 1 and times[0] == 1:
        return codes
    last = relative(moved[-1], int(times[-1]))
    varies = ~is_constant(last)
    named, whole = last.copy(), last - place_of(last)
    for start in np.unique(whole[varies]):
        size = expressions.table[int(start >> np.int64(48))].size
        vector = (start + np.arange(size, dtype=np.int64),)
        number = expressions.add(
            Expression("every", size, vector, f"{times[0] - 1} {stride} {rows}", "every")
        )
        chosen = varies & (whole == start)
        named[chosen] = number * EXPRESSION + place_of(last[chosen])
    found = np.stack([relative(named, step) for step in range(1, len(moved) + 1)])
    return np.ascontiguousarray(np.moveaxis(found, 0, axis))


def clocks(expressions: Expressions) -> list[Clock]:
    """Return the clock of every expression: what reads two of them, the ends of sequences, has that of the samples."""
    found = [EVERY_SAMPLE]
    for expression in expressions.table[1:]:
        read = np.concatenate([part.reshape(-1) for part in expression.arguments] or [np.zeros(0, np.int64)])
        inner = {found[int(number)] for number in np.unique(expression_of(read[~is_constant(read)]))}
        clock = inner.pop() if len(inner) == 1 else EVERY_SAMPLE
        if expression.kind == "every":
            clock = Clock(*map(int, expression.detail.split())).of(clock)
        found.append(EVERY_SAMPLE if expression.kind == "repeated" else clock)
    return found


def strided(layer: FloatLayer, clock: Clock) -> FloatLayer:
    """Return the layer that only computes what a sequence takes of it, where it can."""
    if isinstance(layer, FloatConv1d | FloatPool) and layer.stride == 1:
        return replace(layer, stride=clock.stride, due=clock.first % clock.stride)
    return layer


def with_clocks(
    layers: Sequence[FloatLayer],
    clock_of: dict[str, Clock],
    backward: frozenset[str],
    once: frozenset[str],
    inputs: int,
) -> list[FloatLayer]:
    """Return the layers, each running when its sequence has a row, and what says so in front of them.

    once  the layers that are computed once, of what the others end with: those of one row run at any
    """
    at_any = {
        layer.name: EVERY_SAMPLE for layer in layers if layer.name in once and isinstance(layer, OF_ONE_ROW)
    }
    clock_of = clock_of | at_any
    late = dict.fromkeys(clock_of[layer.name].first for layer in layers if clock_of[layer.name].begins_late)
    names = {layer.name for layer in layers}
    flags = {first: _free(f"from row {first}", names) for first in late}
    found: list[FloatLayer] = []
    for first, name in flags.items():
        one = FloatDense(
            f"{name}.one", np.zeros((1, inputs), np.float32), np.ones(1, np.float32), sources=(INPUT,)
        )
        weights = np.zeros((1, 1, first + 1), np.float32)
        weights[..., 0] = 1.0
        found += [one, FloatConv1d(name, weights, np.zeros(1, np.float32), sources=(one.name,))]
    for layer in layers:
        clock = clock_of[layer.name]
        if clock != EVERY_SAMPLE:
            phase = clock.phase(layer.name in backward)
            when = flags[clock.first] if clock.begins_late else ""
            layer = replace(layer, period=clock.stride, phase=phase, when=when)
        found.append(layer)
    return found


def _free(name: str, taken: set[str]) -> str:
    while name in taken or f"{name}.one" in taken:
        name += "'"
    return name
