"""Attention recognised by what it computes: a sum of values, weighted by the softmax of how well their keys fit a query.

context = sum over k of softmax(score)[k] value[k], where k counts samples back, from the newest on, and score[k] is

    scale (query . key[k])            a product (Luong et al. 2015, Vaswani et al. 2017)
    v . tanh(query + key[k])          additive (Bahdanau et al. 2015)
    a number that key[k] gives        pooling: the query is constant

Query, key and value are linear combinations of one sample each; those of k samples ago are those of the newest, k steps
earlier. A row that reads anything else, as a sample after its query, is not attention over the past.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from edgelstm.errors import ConversionError
from edgelstm_converters.float_model import FloatDense
from edgelstm_converters.layers import FloatAttention
from edgelstm_converters.trace.expressions import (
    TIME,
    Codes,
    Expression,
    Expressions,
    constants,
    expression_of,
    is_constant,
    place_of,
    relative,
    time_of,
)
from edgelstm_converters.trace.linear import Doubles, Linear, Linearizer, earlier
from edgelstm_converters.trace.run import NoStream

DOT = "dot"
"""The kind of an expression whose elements are each the product of two vectors that both depend on the signal."""
CLOSE = 1e-6
"""Of numbers that are the same at every key."""
LATER = "it reads samples that come after its own: mask it to the past (causal), or cut it to the last row right behind the attention"
UNMASKED = (
    "the rows that it weighs all change with the newest sample: they are parts of it, or each looks at all samples, as behind a "
    "layer without a mask; mask that to the past (causal)"
)
NO_ATTENTION = (
    "it multiplies two values that both depend on the signal, and is no attention over the last samples, whose keys and "
    "values are the same of every sample"
)


class NotPast(Exception):
    """A weighted sum is no attention over the past; says why."""


@dataclass(frozen=True, slots=True, eq=False)
class Head:
    """What one head computes of the newest sample. Queries, keys and values are codes relative to it, or parts of a matrix.

    score   of an additive one, the weights of its tanh
    window  how many samples it reads
    """

    query: Linear
    key: Linear
    value: Codes
    scale: float
    window: int
    score: Doubles | None = None

    def same(self, other: Head) -> bool:
        """Whether both compute the same, but for how many samples there have been."""
        if not np.array_equal(self.value, other.value) or (self.score is None) != (other.score is None):
            return False
        if self.score is not None and other.score is not None and not _close(self.score, other.score):
            return False
        if other.window == 1:  # over one sample its weight is 1, whatever the score
            return True
        parts = ((self.query, other.query), (self.key, other.key))
        return _close(self.scale, other.scale) and all(_alike(one, two) for one, two in parts)


def _close(one: Doubles | float, other: Doubles | float) -> bool:
    size = float(np.abs(one).max(initial=0.0)) if isinstance(one, np.ndarray) else abs(one)
    return np.shape(one) == np.shape(other) and bool(np.all(np.abs(one - other) <= CLOSE * max(size, 1e-30)))


def _alike(one: Linear, other: Linear) -> bool:
    return np.array_equal(one.atoms, other.atoms) and _close(
        np.column_stack([one.matrix, one.bias]), np.column_stack([other.matrix, other.bias])
    )


def is_softmax(found: Expression) -> bool:
    """Whether an expression is the softmax of what it reads."""
    layer = found.detail
    return isinstance(layer, FloatDense) and layer.activation == "softmax" and not layer.weights.size


class AttentionReader:
    """Recognises the head that a weighted sum over samples is."""

    def __init__(self, expressions: Expressions) -> None:
        self.table, self.linear = expressions.table, Linearizer(expressions)

    def read(self, weights: Codes, values: Codes) -> tuple[Head, int]:
        """Return the head that sums `values` (n, units), weighted by `weights` (n,), and the step + 1 it does so at.

        Raises NotPast where it is none.
        """
        used = weights != constants(0.0)[()]
        weights, values = weights[used], values[used]
        scores = self._scores(weights)
        step = int(max(time_of(scores).max(), time_of(values).max()))
        values, scores = relative(values, step), relative(scores, step)
        times = np.where(is_constant(values), 1 << 16, time_of(values)).min(axis=1)
        if len(times) > 1 and not times.any():
            raise NotPast(UNMASKED)
        order = np.argsort(times)
        if times[order[0]] != 0 and (np.diff(times[order]) == 1).all():
            raise NotPast(
                "the newest sample that it reads is not that of its query" if len(times) > 1 else LATER
            )
        if not np.array_equal(times[order], np.arange(len(times))):
            raise NotPast("the samples that it reads do not follow one another up to the newest")
        base = np.where(is_constant(values), values, values - times[:, None] * TIME)
        if (base != base[:1]).any():
            raise NotPast("what it sums is not the same of every sample")
        return self._head(scores[order], base[0], len(times)), step

    def _scores(self, weights: Codes) -> Codes:
        """Return the codes of what the weights are the softmax of."""
        if not len(weights) or is_constant(weights).any():
            raise NotPast(NO_ATTENTION)
        found = self.table[int(expression_of(weights)[0])]
        same = (weights - place_of(weights) == weights[0] - place_of(weights)[0]).all()
        if (
            not same
            or not is_softmax(found)
            or not np.array_equal(np.sort(place_of(weights)), np.arange(found.size))
        ):
            raise NotPast(NO_ATTENTION)
        return relative(found.arguments[0][place_of(weights)], time_of(weights))

    def _head(self, scores: Codes, value: Codes, window: int) -> Head:
        """Return the head of `scores`, the newest first."""
        whole = self.linear.expand(scores)
        if np.ptp(whole.bias) > CLOSE * np.abs(whole.bias).max(initial=1.0):
            raise NotPast(
                "it adds a number to each score that depends on how old the sample is (relative positions)"
            )
        kinds = {self._kind(number) for number in np.unique(expression_of(whole.atoms))}
        if len(kinds) > 1 or not kinds:
            raise NotPast("its scores are sums of several kinds")
        make = {DOT: self._of_dots, "product": self._of_products, "tanh": self._additive}.get(
            kinds.pop(), self._pooled
        )
        return make(whole, value, window)

    def _kind(self, number: np.int64) -> str:
        found = self.table[int(number)]
        if found.kind == "function" and found.detail == "tanh":
            times = time_of(found.arguments[0][~is_constant(found.arguments[0])])
            inner = self.linear.expand(found.arguments[0]).atoms
            return "tanh" if time_of(inner).any() or times.any() else "pooled"
        if found.kind == DOT or (found.kind == "product" and self.linear.mixes(int(number))):
            return found.kind
        return "pooled"

    def _of_dots(self, whole: Linear, value: Codes, window: int) -> Head:
        atoms = [np.flatnonzero(row) for row in whole.matrix]
        if any(len(found) != 1 for found in atoms):
            raise NotPast("a score is the sum of several products")
        factors = np.array([row[found[0]] for row, found in zip(whole.matrix, atoms, strict=True)])
        pairs = []
        for found in atoms:
            code = whole.atoms[found[0]]
            expression = self.table[int(code >> 48)]
            width, place = len(expression.arguments[0]) // expression.size, int(place_of(code))
            of = slice(place * width, (place + 1) * width)
            pairs.append(tuple(earlier(part[of], int(time_of(code))) for part in expression.arguments))
        return self._bilinear(pairs, np.ones((window, 1)), factors, value)

    def _of_products(self, whole: Linear, value: Codes, window: int) -> Head:
        pairs, coefficients = [], []
        for row in whole.matrix:
            used = np.flatnonzero(row)
            codes = whole.atoms[used]
            parts = np.array(
                [
                    [
                        earlier(part[place_of(code)], time_of(code))
                        for part in self.table[int(code >> 48)].arguments
                    ]
                    for code in codes
                ]
            ).T
            pairs.append((parts[0], parts[1]))
            coefficients.append(row[used])
        if len({len(row) for row in coefficients}) > 1:
            raise NotPast(NO_ATTENTION)
        return self._bilinear(pairs, np.array(coefficients), np.ones(window), value)

    def _bilinear(
        self, pairs: Sequence[tuple[Codes, ...]], coefficients: Doubles, factors: Doubles, value: Codes
    ) -> Head:
        """Return the head of scores that are factor * sum of coefficient * one * other, the newest first."""
        if np.ptp(factors) > CLOSE * np.abs(factors).max() or np.ptp(coefficients, axis=0).max() > CLOSE:
            raise NotPast("its scores are scaled otherwise of every sample")
        query, key = pairs[0]
        if len(pairs) > 1:
            query, key = self._sides(pairs[1], 1)
        for age, pair in enumerate(pairs):
            wanted = query, earlier(key, age)
            straight = (pair[0] == wanted[0]) & (pair[1] == wanted[1])
            crossed = (pair[1] == wanted[0]) & (pair[0] == wanted[1])
            if not (straight | crossed).all():
                raise NotPast(LATER if _is_later(pair) else "its keys are not the same of every sample")
        inner, factor = self.linear.expand(query), coefficients[0][:, None]
        scaled = Linear(inner.matrix * factor, inner.atoms, inner.bias * factor[:, 0])
        return Head(_now(scaled), _now(self.linear.expand(key)), value, float(factors[0]), len(pairs))

    def _sides(self, pair: tuple[Codes, ...], age: int) -> tuple[Codes, Codes]:
        """Return query and key of a pair whose key is `age` samples old, as of the newest; element by element."""
        one, other = pair
        first = is_constant(one) | (time_of(one) == 0)
        query, key = np.where(first, one, other), np.where(first, other, one)
        if (time_of(query) != 0).any() or (~is_constant(key) & (time_of(key) != age)).any():
            raise NotPast(LATER if _is_later(pair) else NO_ATTENTION)
        return query, np.where(is_constant(key), key, key - age * TIME)

    def _additive(self, whole: Linear, value: Codes, window: int) -> Head:
        if window == 1:
            nothing = Linear(np.zeros((1, 0)), np.zeros(0, np.int64), np.zeros(1))
            return Head(nothing, nothing, value, 1.0, 1, np.zeros(1))
        found = []
        for row in whole.matrix:
            used = np.flatnonzero(row)
            codes = whole.atoms[used]
            inner = self.linear.expand(
                np.array(
                    [earlier(self.table[int(c >> 48)].arguments[0][place_of(c)], time_of(c)) for c in codes]
                )
            )
            found.append((row[used], inner))
        score, second = found[1]
        times = time_of(second.atoms)
        query = Linear(second.matrix[:, times == 0], second.atoms[times == 0], np.zeros(len(score)))
        key = Linear(second.matrix[:, times == 1], second.atoms[times == 1] - TIME, second.bias)
        if (times > 1).any():
            raise NotPast(LATER)
        for age, (weights, inner) in enumerate(found):
            atoms = np.union1d(query.atoms, key.atoms + age * TIME)
            expected = query.columns(atoms) + Linear(key.matrix, key.atoms + age * TIME, key.bias).columns(
                atoms
            )
            known = np.array_equal(inner.atoms, atoms) and _close(inner.matrix, expected)
            if not known or not _close(inner.bias, key.bias) or not _close(weights, score):
                raise NotPast("its keys are not the same of every sample")
        return Head(query, key, value, 1.0, window, score)

    def _pooled(self, whole: Linear, value: Codes, window: int) -> Head:
        key = None
        for age, row in enumerate(whole.matrix):
            used = np.flatnonzero(row)
            atoms = whole.atoms[used]
            if (time_of(atoms) != age).any():
                raise NotPast(LATER if not time_of(atoms).all() else NO_ATTENTION)
            found = Linear(row[None, used], atoms - age * TIME, np.zeros(1))
            if key is not None and not _alike(key, found):
                raise NotPast("its scores are not the same of every sample")
            key = key or found
        assert key is not None
        constant = Linear(np.zeros((1, 0)), np.zeros(0, np.int64), np.ones(1))
        return Head(constant, key, value, 1.0, window)

    def layer(self, heads: list[Head], name: str) -> tuple[FloatAttention, tuple[Codes, Codes]]:
        """Return the layer of several heads, and the atoms that its queries, and its keys and values, read."""
        first = heads[0]
        values = [_now(self.linear.expand(head.value)) for head in heads]
        if any(not _close(head.scale, first.scale) or head.window != first.window for head in heads):
            raise NotPast("its heads differ in scale, or in how many samples they read")
        queries = _union([head.query for head in heads])
        read = _union([*[head.key for head in heads], *values])
        query_weights, query_bias = _stacked([head.query for head in heads], queries)
        key_weights, key_bias = _stacked([head.key for head in heads], read)
        value_weights, value_bias = _stacked(values, read)
        if not len(queries):  # a constant query reads what keys and values do
            queries, query_weights = read, np.zeros((len(query_bias), len(read)), np.float32)
        layer = FloatAttention(
            name, len(read), len(heads), first.window, first.scale,
            query_weights=query_weights, query_bias=query_bias, key_weights=key_weights, key_bias=key_bias,
            value_weights=value_weights, value_bias=value_bias,
            score_weights=None if first.score is None else first.score.astype(np.float32),
        )  # fmt: skip
        return layer, (queries, read)


def _is_later(pair: tuple[Codes, ...]) -> bool:
    """Whether neither of a pair is of the newest sample that the row reads."""
    return all(time_of(part).all() for part in pair)


def _now(linear: Linear) -> Linear:
    if time_of(linear.atoms).any():
        raise NotPast("its queries, keys or values read several samples each")
    return linear


def _union(parts: list[Linear]) -> Codes:
    return np.unique(np.concatenate([part.atoms for part in parts]))


def _stacked(
    parts: list[Linear], atoms: Codes
) -> tuple[np.ndarray[tuple[int, ...], np.dtype[np.float32]], ...]:
    matrix = np.concatenate([part.columns(atoms) for part in parts]).astype(np.float32)
    return np.ascontiguousarray(matrix), np.concatenate([part.bias for part in parts]).astype(np.float32)


def refused_product(found: Expression) -> ConversionError:
    """Return the error for a product of two values that is read and no attention, naming its node."""
    kind = NoStream if found.detail == LATER else ConversionError
    return kind(f'node "{found.name}": {found.detail}')


def plainest(layer: FloatAttention, queries: Doubles, read: Doubles) -> FloatAttention:
    """Return the layer of which queries, and keys and values, read other vectors: these times the columns given.

    What is then a vector as it is read needs no matrix; a multiple of one becomes part of the scale.
    """
    parts: dict[str, Any] = {}
    scale = layer.scale
    for name, columns in (("query", queries), ("key", read), ("value", read)):
        matrix, bias = getattr(layer, f"{name}_weights") @ columns, getattr(layer, f"{name}_bias")
        factor = float(matrix[0, 0])
        square = matrix.shape[0] == matrix.shape[1] and np.array_equal(matrix, factor * np.eye(len(matrix)))
        plain = square and factor != 0.0 and not bias.any() and layer.score_weights is None
        if plain and (factor == 1.0 or name != "value"):
            scale *= factor
            parts[f"{name}_weights"], parts[f"{name}_bias"] = None, None
        else:
            parts[f"{name}_weights"] = np.ascontiguousarray(matrix, np.float32)
    return replace(layer, width=read.shape[1], scale=scale, **parts)
