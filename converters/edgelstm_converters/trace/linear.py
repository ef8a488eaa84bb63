"""Elements as linear combinations of what is not linear: inputs, states, layers, functions, products."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgelstm_converters.trace.curves import CurveReader
from edgelstm_converters.trace.expressions import (
    TIME,
    Codes,
    Expression,
    Expressions,
    expression_of,
    is_constant,
    numbers,
    place_of,
    time_of,
    vector,
)

Doubles = NDArray[np.float64]
Term = tuple[Doubles, tuple[Codes, ...]]


@dataclass(frozen=True, slots=True, eq=False)
class Linear:
    """`matrix @ atoms + bias`. matrix (n, m); atoms, relative codes (m,) in rising order; bias (n,)."""

    matrix: Doubles
    atoms: Codes
    bias: Doubles

    def columns(self, codes: Codes) -> Doubles:
        """Return the columns (n, len(codes)) that belong to `codes`, zero where one does not occur."""
        if not len(self.atoms):
            return np.zeros((len(self.matrix), len(codes)))
        where = np.minimum(np.searchsorted(self.atoms, codes), len(self.atoms) - 1)
        return np.where(self.atoms[where] == codes, self.matrix[:, where], 0.0)

    def without(self, codes: Codes) -> Linear:
        """Return it without the atoms `codes`."""
        kept = ~np.isin(self.atoms, codes)
        return Linear(self.matrix[:, kept], self.atoms[kept], self.bias)


def earlier(codes: Codes, steps: Codes | int) -> Codes:
    """Return relative codes of an expression, named from `steps` steps after it."""
    return np.where(is_constant(codes), codes, codes + steps * TIME)


class Linearizer:
    """Expands codes. A sum in which elements that vary are multiplied, as a GRU's state is, stays whole; so does what is a function of
    each of its values (curves.py), which is what it is where others read it, too.
    """

    def __init__(self, expressions: Expressions) -> None:
        self.table = expressions.table
        self._curves = CurveReader(expressions.table)
        self._bent: dict[int, bool] = {}
        self._whole: dict[int, Linear] = {}
        self._mixing: dict[int, bool] = {}

    def expand(self, codes: Codes) -> Linear:
        """Return the elements `codes` (n,) as linear combinations of atoms."""
        bias = np.zeros(len(codes))
        constant = is_constant(codes)
        bias[constant] = numbers(codes[constant])
        parts: list[tuple[NDArray[np.intp], Linear]] = []
        groups = expression_of(codes) * (1 << 16) + time_of(codes)
        for group in np.unique(groups[~constant]):
            rows = np.flatnonzero((groups == group) & ~constant)
            number, delay = int(group >> 16), int(group & 0xFFFF)
            if self._is_linear(number):
                whole, places = self._expression(number), place_of(codes[rows])
                bias[rows] += whole.bias[places]
                used = np.flatnonzero((whole.matrix[places] != 0.0).any(axis=0))
                matrix, atoms = whole.matrix[np.ix_(places, used)], earlier(whole.atoms[used], delay)
            else:
                atoms, back = np.unique(codes[rows], return_inverse=True)
                matrix = np.zeros((len(rows), len(atoms)))
                matrix[np.arange(len(rows)), back.reshape(-1)] = 1.0
            parts.append((rows, Linear(matrix, atoms, bias)))
        return _merge(len(codes), parts, bias)

    def _is_linear(self, number: int) -> bool:
        kind = self.table[number].kind
        return kind == "matmul" or (
            kind in ("sum", "product") and not self.mixes(number) and not self.bends(number)
        )

    def bends(self, number: int) -> bool:
        """Whether it is a function of one other vector, element by element, and no plain square: those add up to sizes and scores."""
        if number not in self._bent:
            found = self.table[number]
            square = found.kind == "product" and np.array_equal(found.arguments[0], found.arguments[1])
            known = found.kind in ("sum", "product") and not square
            self._bent[number] = known and self._curves.read(vector(number, found.size, 0), "") is not None
        return self._bent[number]

    def mixes(self, number: int) -> bool:
        """Whether elements that vary are multiplied in it, at its own step, not counting what a matrix reads."""
        if number not in self._mixing:
            found = self.table[number]
            if self.bends(number):
                result = False
            elif found.kind == "product" and not any(is_constant(part).all() for part in found.arguments):
                result = True
            elif found.kind in ("sum", "product"):
                now = [part[~is_constant(part) & (time_of(part) == 0)] for part in found.arguments]
                result = any(self.mixes(int(n)) for part in now for n in np.unique(expression_of(part)))
            else:
                result = False
            self._mixing[number] = result
        return self._mixing[number]

    def _expression(self, number: int) -> Linear:
        if number not in self._whole:
            self._whole[number] = self._expanded(self.table[number])
        return self._whole[number]

    def _expanded(self, found: Expression) -> Linear:
        if found.kind == "matmul":
            weights, inner = found.detail.astype(np.float64), self.expand(found.arguments[0])
            return Linear(weights @ inner.matrix, inner.atoms, weights @ inner.bias)
        one, other = (self.expand(argument) for argument in found.arguments)
        if found.kind == "sum":
            rows = np.arange(found.size)
            return _merge(found.size, [(rows, one), (rows, other)], one.bias + other.bias)
        factor, part = (one, other) if is_constant(found.arguments[0]).all() else (other, one)
        return Linear(part.matrix * factor.bias[:, None], part.atoms, part.bias * factor.bias)

    def product_name(self, codes: Codes, otherwise: str) -> str:
        """Return the name of the matrix product that `codes` come from, through sums."""
        while len(codes := codes[~is_constant(codes)]):
            found = self.table[int(expression_of(codes)[0])]
            if found.kind == "matmul":
                return found.name
            if found.kind not in ("sum", "product"):
                break
            codes = np.concatenate(found.arguments)
        return otherwise

    def polynomial(self, codes: Codes) -> dict[tuple[bytes, ...], Term]:
        """Return the vector `codes` (n,) as a sum of products of vectors: coefficient (n,) and factors of each.

        A factor is a vector of codes: a function, an earlier state, what a matrix gives, an input.
        """
        return _collected(self._terms(codes))

    def _terms(self, codes: Codes) -> list[Term]:
        if is_constant(codes).all():
            return [(numbers(codes).astype(np.float64), ())]
        number, delay = int(expression_of(codes)[0]), int(time_of(codes)[0])
        found = self.table[number]
        alike = (
            not is_constant(codes).any() and (codes - place_of(codes) == codes[0] - place_of(codes)[0]).all()
        )
        if not alike or delay > 0 or found.kind not in ("sum", "product"):
            return [(np.ones(len(codes)), (codes,))]
        one, other = (list(self.polynomial(part[place_of(codes)]).values()) for part in found.arguments)
        if found.kind == "sum":
            return one + other
        return [(a * b, (*f, *g)) for a, f in one for b, g in other]


def scalar_of(matrix: Doubles) -> float | None:
    """Return the factor of a multiple of the unit matrix, None for another matrix."""
    if matrix.shape[0] != matrix.shape[1] or not np.array_equal(matrix, matrix[0, 0] * np.eye(len(matrix))):
        return None
    return float(matrix[0, 0])


def _collected(terms: list[Term]) -> dict[tuple[bytes, ...], Term]:
    total: dict[tuple[bytes, ...], Term] = {}
    for coefficient, factors in terms:
        key = tuple(sorted(factor.tobytes() for factor in factors))
        before = total[key][0] if key in total else 0.0
        total[key] = before + coefficient, factors
    return {key: term for key, term in total.items() if term[0].any()}


def _merge(size: int, parts: list[tuple[NDArray[np.intp], Linear]], bias: Doubles) -> Linear:
    """Return the sum of parts, each of some rows; the bias is given as a whole."""
    if not parts:
        return Linear(np.zeros((size, 0)), np.zeros(0, np.int64), bias)
    atoms = np.unique(np.concatenate([part.atoms for _, part in parts]))
    matrix = np.zeros((size, len(atoms)))
    for rows, part in parts:
        matrix[np.ix_(rows, np.searchsorted(atoms, part.atoms))] += part.matrix
    return Linear(matrix, atoms, bias)
