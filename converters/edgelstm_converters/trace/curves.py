"""Functions of one number that a graph spells out: a vector each of whose elements is computed of one element of another, in the
same way. GELU is x (1 + erf(x / sqrt 2)) / 2, SiLU x sigmoid(x), ELU relu(x) + exp(-relu(-x)) - 1, and so on: each is one table.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from edgelstm_converters.layers import FloatCurve
from edgelstm_converters.layers.float_layer import ACTIVATIONS
from edgelstm_converters.layers.pointwise import FUNCTIONS, Pointwise, Step
from edgelstm_converters.trace.expressions import (
    Codes,
    Expression,
    expression_of,
    is_constant,
    numbers,
    place_of,
    time_of,
    vector,
)
from edgelstm_converters.trace.graph import Node

MOST_STEPS = 200
TRIED = np.concatenate([sign * np.array([0.0, 1e-3, 0.1, 1.0, 3.0, 10.0, 60.0]) for sign in (1.0, -1.0)])
"""Where a function has to have a value; on which range it is needed is known at calibration only."""


@dataclass(slots=True, eq=False)
class _Steps:
    """Steps of a function that is being written, and their numbers by the vector that they compute."""

    steps: list[Step] = field(default_factory=lambda: [("x",)])
    known: dict[bytes, int] = field(default_factory=dict)

    def add(self, *step: object) -> int:
        self.steps.append(step)
        return len(self.steps) - 1


class CurveReader:
    """Recognises the function that a vector is of one other."""

    def __init__(self, table: list[Expression]) -> None:
        self.table = table

    def read(self, codes: Codes, name: str) -> tuple[FloatCurve, Codes] | None:
        """Return the layer that gives `codes`, relative codes of one expression, and what it reads; None where there is none."""
        for end in self._ends(codes):
            made = _Steps(known={end.tobytes(): 0})
            self.write(codes, made)
            function = Pointwise(tuple(made.steps))
            if np.isfinite(function(TRIED)).all():
                one, none = np.ones(len(codes), np.float32), np.zeros(len(codes), np.float32)
                return FloatCurve(name, function, one, none), end
        return None

    def _ends(self, codes: Codes) -> Iterator[Codes]:
        """Yield what `codes` are a function of: what no layer but a curve computes is inside of it, further functions where it has to be."""
        source, end = codes, None
        while (inner := self._source(source)) is not None and not self._is_native(source):
            end = inner if self._is_bent(source, inner) else end
            source = inner
        while end is not None:
            yield end
            end = self._source(end)

    def _opened(self, codes: Codes) -> tuple[Expression, tuple[Codes, ...]] | None:
        """Return the expression of codes that are computed element by element, and what of, all of the same step."""
        number = expression_of(codes[:1])[0]
        found = self.table[int(number)]
        computed = found.kind in ("sum", "product") or (
            found.kind == "function" and found.detail in FUNCTIONS
        )
        if not computed or (expression_of(codes) != number).any() or time_of(codes).any():
            return None
        arguments = tuple(argument[place_of(codes)] for argument in found.arguments)
        for argument in arguments:
            constant = is_constant(argument)
            if constant.any() and (argument != argument[0]).any():
                return None  # a factor for each, or elements of several kinds
        return found, arguments

    def _source(self, codes: Codes) -> Codes | None:
        """Return the last vector that all of `codes` is computed of, None where there is none."""
        opened = self._opened(codes)
        if opened is None:
            return None
        waiting = _varying(opened[1])
        for _ in range(MOST_STEPS):
            if len(waiting) == 1:
                return next(iter(waiting.values()))
            if not waiting:
                return None
            key = max(waiting, key=lambda each: int(expression_of(waiting[each]).max()))
            opened = self._opened(waiting.pop(key))
            if opened is None:
                return None
            waiting |= _varying(opened[1])
        return None

    def _is_native(self, codes: Codes) -> bool:
        """Whether codes are a function that layers have of their own."""
        found = self.table[int(expression_of(codes[:1])[0])]
        return found.kind == "function" and found.detail in ACTIVATIONS

    def _is_bent(self, codes: Codes, end: Codes) -> bool:
        """Whether anything between two vectors is a function, or a product of what varies: else it is linear."""
        if np.array_equal(codes, end):
            return False
        opened = self._opened(codes)
        assert opened is not None
        found, arguments = opened
        varying = _varying(arguments)
        multiplied = found.kind == "product" and not any(is_constant(part).all() for part in arguments)
        return (
            found.kind == "function"
            or multiplied
            or any(self._is_bent(part, end) for part in varying.values())
        )

    def write(self, codes: Codes, made: _Steps) -> int:
        """Return the number of the step that computes `codes`, written now if it is not there yet."""
        key = codes.tobytes()
        if key not in made.known:
            if is_constant(codes).all():
                made.known[key] = made.add("number", float(numbers(codes[:1])[0]))
            else:
                opened = self._opened(codes)
                assert opened is not None
                found, arguments = opened
                parts = [self.write(argument, made) for argument in arguments]
                word = found.detail if found.kind == "function" else found.kind
                made.known[key] = made.add(word, *parts)
        return made.known[key]


def function_of_node(node: Node) -> Pointwise:
    """Return the function that a node computes of each value, told by its operator and attributes."""
    from edgelstm_converters.trace.operators import OPERATORS
    from edgelstm_converters.trace.run import Traced, Walk, codes_of

    walk = Walk()
    end = vector(walk.expressions.add(Expression("input", 1, (), "x", "x")), 1, 0)
    made = _Steps(known={end.tobytes(): 0})
    (found,) = OPERATORS[node.op](walk, node, [Traced(end)])
    CurveReader(walk.expressions.table).write(codes_of(found), made)
    return Pointwise(tuple(made.steps))


def _varying(arguments: tuple[Codes, ...]) -> dict[bytes, Codes]:
    return {part.tobytes(): part for part in arguments if not is_constant(part).all()}
