"""Sequences that run backwards in time.

A sequence turned around is a sequence of its own, with steps that are counted from its end: an expression of the kind
"reversed". So a cell that reads it is found like any other, and every expression belongs to a direction: forward, or
backward where an odd number of turns lies between it and the input.
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

FORWARD, BACKWARD = 0, 1


def turned(expressions: Expressions, codes: Codes, axis: int) -> Codes:
    """Return `codes` with `axis` in reverse; where that is the axis of time, as a sequence of its own."""
    rows = np.moveaxis(codes, axis, 0)
    times = time_of(rows).reshape(len(rows), -1).max(axis=1) if rows.size else np.zeros(0)
    if len(rows) < 2 or (np.diff(times) != 1).any():
        return np.flip(codes, axis)
    last = relative(rows[-1], int(times[-1]))  # the newest, where nothing is zero any more
    varies = ~is_constant(last)
    atoms, places = np.unique(last[varies], return_inverse=True)
    named = _turned_back(expressions, atoms)
    if named is None:
        named = np.empty_like(atoms)
        whole = atoms - place_of(atoms)
        for start in np.unique(whole):  # each vector by itself, so that what reads several finds them again
            size = expressions.table[int(start >> np.int64(48))].size
            vector = (start + np.arange(size, dtype=np.int64),)
            number = expressions.add(Expression("reversed", size, vector, f"{len(rows)} rows", "reversed"))
            chosen = whole == start
            named[chosen] = number * EXPRESSION + place_of(atoms[chosen])
    found = np.broadcast_to(last, rows.shape).copy()
    for row, step in zip(found, times, strict=True):
        row[varies] = relative(named[places.reshape(-1)], int(step))
    return np.ascontiguousarray(np.moveaxis(found, 0, axis))


def _turned_back(expressions: Expressions, atoms: Codes) -> Codes | None:
    """Return what `atoms` are the reverse of, None where they are not: turned twice is not turned at all."""
    found = [expressions.table[int(n)] for n in expression_of(atoms)]
    if time_of(atoms).any() or any(expression.kind != "reversed" for expression in found):
        return None
    inner = [expression.arguments[0][place] for expression, place in zip(found, place_of(atoms), strict=True)]
    return None if time_of(np.array(inner)).any() else np.array(inner, np.int64)


def at_the_end(expressions: Expressions, codes: Codes) -> Codes:
    """Return relative codes with the first row of a reversed sequence, seen from its last, as what it is: the last of the other."""
    delayed = ~is_constant(codes) & (time_of(codes) > 0)
    if not delayed.any():
        return codes
    found = codes.copy()
    for number in np.unique(expression_of(codes[delayed])):
        expression = expressions.table[int(number)]
        if expression.kind == "reversed":
            rows = int(expression.detail.split()[0])
            own = expression_of(codes) == number
            first = delayed & own & (time_of(codes) == rows - 1)
            if (own & ~first).any():  # other rows of it are read as well, as they stand
                continue
            found[first] = expression.arguments[0][place_of(codes[first])]
    return found


def at_the_start(expressions: Expressions, codes: Codes, rows: int) -> Codes:
    """Return relative codes of the first of `rows` rows as `at_the_end` found them: the last of a sequence is the first of its reverse."""
    found = codes.copy()
    for number, expression in enumerate(expressions.table):
        if expression.kind == "reversed" and expression.detail == f"{rows} rows":
            order = np.argsort(expression.arguments[0])
            inner = expression.arguments[0][order]
            place = np.minimum(np.searchsorted(inner, codes), len(inner) - 1)
            chosen = inner[place] == codes
            found[chosen] = number * EXPRESSION + (rows - 1) * TIME + order[place[chosen]]
    return found


def directions(expressions: Expressions) -> list[frozenset[int]]:
    """Return, for every expression, which directions it belongs to: both where it reads one of each."""
    found: list[frozenset[int]] = [frozenset()]
    for expression in expressions.table[1:]:
        read = np.concatenate(
            [argument.reshape(-1) for argument in expression.arguments] or [np.zeros(0, np.int64)]
        )
        numbers = np.unique(expression_of(read[~is_constant(read)]))
        inner = frozenset().union(*(found[int(number)] for number in numbers))
        if expression.kind in ("input", "state", "repeated", "position"):
            inner = frozenset({FORWARD})
        found.append(frozenset(1 - each for each in inner) if expression.kind == "reversed" else inner)
    return found
