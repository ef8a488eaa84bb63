"""Normalisation that a graph spells out, recognised by what it computes: a vector times one over its own size.

y = factor d / sqrt(a sum of squares of d + eps) + shift          d = x - mean of x (Ba et al. 2016), or x itself
y = factor d / max(sqrt(a sum of squares of d), eps) + shift
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgelstm_converters.layers import FloatNormalization
from edgelstm_converters.trace.expressions import (
    Codes,
    Expression,
    Expressions,
    expression_of,
    is_constant,
    numbers,
    place_of,
    time_of,
)
from edgelstm_converters.trace.limits import AT_LEAST
from edgelstm_converters.trace.linear import Doubles, Linear, Linearizer

CLOSE = 1e-5
"""Of weights that were computed in float32, relative to the largest."""
NO_SIZE = 1e-12
"""Stands for no epsilon at all, where the source divides by zero for a vector of zeros."""


@dataclass(frozen=True, slots=True, eq=False)
class Size:
    """The size of a vector: of sqrt(share * sum of squares + inside), or of max(sqrt(share * sum of squares), floor)."""

    vector: Codes
    share: float
    inside: float
    floor: float | None


@dataclass(frozen=True, slots=True, eq=False)
class _Scaled:
    """scaled * (1 / size) + plain, element by element."""

    scaled: Linear
    plain: Linear


class NormalizationReader:
    """Recognises the normalisation that a vector is the output of."""

    def __init__(self, expressions: Expressions, linear: Linearizer) -> None:
        self.table, self.linear = expressions.table, linear

    def read(self, codes: Codes, name: str) -> tuple[FloatNormalization, Codes] | None:
        """Return the layer that gives `codes`, relative codes of one expression, and what it reads; None where there is none."""
        for inverse in sorted(
            self.inverses(codes), reverse=True
        ):  # the last computed: others are what it reads
            size = self._size(inverse)
            if size is not None and len(size.vector) == len(codes):
                found = self._of_size(codes, np.int64(inverse), size, name)
                if found is not None:
                    return found
        return None

    def _of_size(
        self, codes: Codes, inverse: np.int64, size: Size, name: str
    ) -> tuple[FloatNormalization, Codes] | None:
        vector = self._opened(size.vector)
        split = self._split(codes, inverse, size.vector)
        if split is None or len(split.plain.atoms):
            return None
        factor = _factors(split.scaled, vector)
        if factor is None:
            return None
        count, share = len(codes), size.share
        shift = split.plain.bias.astype(np.float32)
        if size.floor is not None or not size.inside:
            floor = NO_SIZE if size.floor is None else size.floor / np.sqrt(share)
            scaled = (factor / np.sqrt(share)).astype(np.float32)
            return FloatNormalization(name, "l2", scaled, shift, floor), size.vector
        scaled = (factor / np.sqrt(count * share)).astype(np.float32)
        centred = self._centred(size.vector, vector)
        mode, read = ("rms", size.vector) if centred is None else ("layer", centred)
        return FloatNormalization(name, mode, scaled, shift, size.inside / (count * share)), read

    def inverses(self, codes: Codes) -> set[int]:
        """Return the codes of all that is divided by, on the way from `codes` through sums and products of one sample."""
        found, seen, left = set(), set(), [codes]
        while left:
            part = left.pop()
            part = part[~is_constant(part) & (time_of(part) == 0)]
            for number in np.unique(expression_of(part)):
                expression, places = self.table[int(number)], place_of(part[expression_of(part) == number])
                if expression.kind == "function" and expression.detail == "reciprocal":
                    found.update(part[expression_of(part) == number].tolist())
                elif expression.kind in ("sum", "product") and number not in seen:
                    seen.add(number)
                    places = np.arange(expression.size)
                    left += [argument[places] for argument in expression.arguments]
        return found

    def _opened(self, codes: Codes) -> Linear:
        """Return `codes` as linear combinations; what they are a sum of, where that is itself no linear combination."""
        number = expression_of(codes)[0]
        found = self.table[int(number)]
        alike = not is_constant(codes).any() and (expression_of(codes) == number).all()
        if not alike or found.kind != "sum" or not self.linear.mixes(int(number)):
            return self.linear.expand(codes)
        one, other = (self.linear.expand(argument[place_of(codes)]) for argument in found.arguments)
        return _sum(one, other)

    def _function(self, code: int, name: str) -> tuple[int, Expression] | None:
        """Return the code of a function's argument, and the function, where it is that of `name`."""
        expression = self.table[code >> 48]
        known = expression.kind == "function" and expression.detail == name
        if not known or time_of(np.array(code)):
            return None
        return int(expression.arguments[0][place_of(np.array(code))]), expression

    def _size(self, inverse: int) -> Size | None:
        """Return the size that the reciprocal `inverse` is of."""
        within = self._function(inverse, "reciprocal")
        assert within is not None
        size, floor = within[0], None
        for root in (1.0, 0.5):  # the largest of a root and a number, or the root of the largest
            limit = self._function(size, AT_LEAST)
            if limit is not None:
                floor = float(numbers(limit[1].arguments[1])[0]) ** root
                size = limit[0]
            if root == 1.0:
                inner = self._function(size, "sqrt")
                if inner is None:
                    return None
                size = inner[0]
        total = self.linear.expand(np.array([size], np.int64))
        if not len(total.atoms) or np.ptp(total.matrix) > CLOSE * total.matrix.max():
            return None
        squares = [self.table[int(n)] for n in expression_of(total.atoms)]
        if any(
            found.kind != "product" or not np.array_equal(found.arguments[0], found.arguments[1])
            for found in squares
        ):
            return None
        if time_of(total.atoms).any() or (floor is not None and total.bias[0]):
            return None
        places = place_of(total.atoms)
        vector = np.array([found.arguments[0][n] for found, n in zip(squares, places, strict=True)], np.int64)
        return Size(vector, float(total.matrix.mean()), float(total.bias[0]), floor)

    def _split(self, codes: Codes, inverse: np.int64, vector: Codes) -> _Scaled | None:
        """Return `codes` as what multiplies the inverse and what does not, None where they are not that."""
        count = len(codes)
        numbers_ = np.unique(expression_of(codes[~is_constant(codes)]))
        mixing = [int(n) for n in numbers_ if self.linear.mixes(int(n))]
        if not mixing or int(inverse) not in self.inverses(codes):
            opened = len(mixing) == 1 and np.isin(codes, vector).all()
            whole = self._opened(codes) if opened else self.linear.expand(codes)
            alone = whole.columns(np.array([inverse]))[:, 0]
            nothing = Linear(np.zeros((count, 0)), np.zeros(0, np.int64), alone)
            return _Scaled(nothing, whole.without(np.array([inverse])))
        if len(numbers_) > 1 or is_constant(codes).any() or time_of(codes).any():
            return None
        found, places = self.table[mixing[0]], place_of(codes)
        parts = [self._split(argument[places], inverse, vector) for argument in found.arguments]
        one, other = parts
        if one is None or other is None:
            return None
        if found.kind == "sum":
            return _Scaled(_sum(one.scaled, other.scaled), _sum(one.plain, other.plain))
        products = [
            _product(a, b)
            for a, b in (
                (one.scaled, other.scaled), (one.scaled, other.plain), (other.scaled, one.plain), (one.plain, other.plain),
            )
        ]  # fmt: skip
        twice, first, second, plain = products
        if twice is None or first is None or second is None or plain is None:
            return None
        if twice.matrix.any() or twice.bias.any():
            return None
        return _Scaled(_sum(first, second), plain)

    def _centred(self, codes: Codes, vector: Linear) -> Codes | None:
        """Return x where `codes`, which are `vector`, are x less its mean."""
        number = expression_of(codes)[0]
        found = self.table[int(number)]
        if found.kind != "sum" or (expression_of(codes) != number).any():
            return None
        for argument in found.arguments:
            x = argument[place_of(codes)]
            if is_constant(x).any() or time_of(x).any():
                continue
            whole = self.linear.expand(x)
            centre = Linear(
                whole.matrix - whole.matrix.mean(axis=0), whole.atoms, whole.bias - whole.bias.mean()
            )
            atoms = np.union1d(centre.atoms, vector.atoms)
            if _close(centre.columns(atoms), vector.columns(atoms)) and _close(centre.bias, vector.bias):
                return x
        return None


def _close(one: Doubles, other: Doubles) -> bool:
    return bool(np.abs(one - other).max(initial=0.0) <= CLOSE * max(np.abs(one).max(initial=0.0), 1e-30))


def _factors(scaled: Linear, vector: Linear) -> Doubles | None:
    """Return what every row of `vector` is multiplied with to give that of `scaled`, None where that is not so."""
    atoms = np.union1d(scaled.atoms, vector.atoms)
    one, other = (np.column_stack([part.columns(atoms), part.bias]) for part in (scaled, vector))
    square = np.square(other).sum(axis=1)
    factor: Doubles = np.where(
        square > 0.0, (one * other).sum(axis=1) / np.where(square > 0.0, square, 1.0), 0.0
    )
    return factor if _close(one, other * factor[:, None]) else None


def _sum(one: Linear, other: Linear) -> Linear:
    atoms = np.union1d(one.atoms, other.atoms)
    return _occurring(Linear(one.columns(atoms) + other.columns(atoms), atoms, one.bias + other.bias))


def _product(one: Linear, other: Linear) -> Linear | None:
    """Return the product, row by row, None where both vary."""
    fixed, part = (one, other) if not one.matrix.any() else (other, one)
    if fixed.matrix.any():
        return None
    return _occurring(Linear(part.matrix * fixed.bias[:, None], part.atoms, part.bias * fixed.bias))


def _occurring(linear: Linear) -> Linear:
    """Return it without the atoms that are multiplied by zero."""
    return linear.without(linear.atoms[~linear.matrix.any(axis=0)])


def refusal_of(name: str, function: str) -> str:
    """Return why a function is refused that only a normalisation may compute."""
    only = "outside of layer, RMS and L2 normalisation"
    what = {
        "sqrt": f"it takes a square root, which cannot be converted {only}",
        "reciprocal": f"it divides by what depends on the signal, which cannot be converted {only}, that is by sqrt(mean or sum of "
        "squares + epsilon) or max(sqrt(sum of squares), epsilon) of one sample's values",
    }
    limit = f"it limits a size from below, which cannot be converted {only}"
    if function in ("log", "exp"):
        limit = f"its {function} is not that of one value of a sample, in a function that has a value at 0 and up to 60 on both sides"
    hint = "If it stands in front of the network, leave it outside: see --from"
    return f'node "{name}": {what.get(function, limit)}. {hint}'
