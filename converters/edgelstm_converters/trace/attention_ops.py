"""Operators in which two values that depend on the signal meet: products of matrices, softmax over samples, attention.

A sum of values that are weighted by a softmax becomes attention over the past (attention.py) row by row; a row that is none
stays a product, which is refused where a layer needs it.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import Any

import numpy as np

from edgelstm_converters.float_model import FloatDense
from edgelstm_converters.trace.arithmetic_ops import ARITHMETIC, product_of, sum_of
from edgelstm_converters.trace.attention import DOT, NO_ATTENTION, AttentionReader, Head, NotPast, is_softmax
from edgelstm_converters.trace.expressions import (
    EXPRESSION,
    MAX_ELEMENTS,
    TIME,
    Codes,
    Expression,
    constants,
    expression_of,
    is_constant,
    numbers,
    place_of,
    relative,
    time_of,
)
from edgelstm_converters.trace.graph import Node
from edgelstm_converters.trace.layout_ops import listed
from edgelstm_converters.trace.reversal import at_the_start
from edgelstm_converters.trace.run import Operator, Traced, Value, Walk, codes_of, settled
from edgelstm_converters.trace.vector_ops import VECTORS

MASKED = -1e4
"""A score so far below others has no weight: exp(-1e4) is 0 in float32."""
ZERO = constants(0.0)[()]


def _matmul(walk: Walk, node: Node, inputs: list[Value]) -> list[Value]:
    """MatMul, also of two values that both depend on the signal: (..., n, d) and (..., d, m)."""
    left, right = inputs
    if not (isinstance(left, Traced) and isinstance(right, Traced)):
        return _plain("MatMul", walk, node, inputs)
    return [settled(product(walk, node, left.codes, np.swapaxes(right.codes, -1, -2)))]


def _plain(op: str, walk: Walk, node: Node, inputs: list[Value]) -> list[Value]:
    """Return what an operator gives where the signal meets constants only."""
    operator: Operator = ARITHMETIC[op]
    return operator(walk, node, inputs)


def product(walk: Walk, node: Node, rows: Codes, columns: Codes) -> Codes:
    """Return rows (..., n, d) times columns (..., m, d): attention where rows are weights, else products."""
    shape = np.broadcast_shapes(rows.shape[:-2], columns.shape[:-2])
    (n, d), m = rows.shape[-2:], columns.shape[-2]
    if d != columns.shape[-1]:
        raise node.refused(f"it multiplies {d} values with {columns.shape[-1]}")
    one = np.broadcast_to(rows, (*shape, n, d)).reshape(-1, n, d)
    other = np.broadcast_to(columns, (*shape, m, d)).reshape(-1, m, d)
    found = _each_once(lambda a, b: _context(walk, node, a, np.swapaxes(b, -1, -2)), one, other)
    if found is None:  # the weights may stand on the right
        turned = _each_once(lambda a, b: _context(walk, node, a, np.swapaxes(b, -1, -2)), other, one)
        found = None if turned is None else np.swapaxes(turned, -1, -2)
    if found is None:
        found = _each_once(lambda a, b: _dots(walk, node, a, b, NO_ATTENTION), one, other)
    assert found is not None
    return found.reshape(*shape, n, m)


def _each_once(make: Any, one: Codes, other: Codes) -> Codes | None:
    """Return make(one, other) for matrices of which each pair is computed once: those of a batch are the same."""
    keys = [a.tobytes() + b.tobytes() for a, b in zip(one, other, strict=True)]
    kept = list(dict.fromkeys(keys))
    first = [keys.index(key) for key in kept]
    found = make(one[first], other[first])
    return None if found is None else found[[kept.index(key) for key in keys]]


def _dots(walk: Walk, node: Node, one: Codes, other: Codes, why: str) -> Codes:
    """Return the codes (g, n, m) of products of vectors (g, n, d) and (g, m, d)."""
    steps = np.maximum(time_of(one).max(axis=-1)[:, :, None], time_of(other).max(axis=-1)[:, None, :])
    if steps.size * one.shape[-1] > MAX_ELEMENTS:
        raise node.refused(
            "it compares more samples than is reasonable for a stream: export a shorter sequence"
        )
    result = np.empty(steps.shape, np.int64)
    for step in np.unique(steps):
        g, row, column = np.nonzero(steps == step)
        parts = tuple(relative(part, int(step)).reshape(-1) for part in (one[g, row], other[g, column]))
        number = walk.expressions.add(Expression(DOT, len(g), parts, why, node.label))
        result[g, row, column] = number * EXPRESSION + int(step) * TIME + np.arange(len(g))
    return result


def _context(walk: Walk, node: Node, weights: Codes, values: Codes) -> Codes | None:
    """Return the sums (g, n, units) of values (g, m, units), weighted by (g, n, m); None where those are no weights.

    The last row of every head says what the heads compute; earlier ones have to do so, too, over the samples there were.
    """
    if not _of_softmax(walk, weights):
        return None
    reader, (groups, rows, _), units = AttentionReader(walk.expressions), weights.shape, values.shape[-1]
    found: dict[tuple[int, int], tuple[Head, int]] = {}
    why = NO_ATTENTION
    for g in range(groups):
        for row in range(rows):
            try:
                found[g, row] = reader.read(weights[g, row], values[g])
            except NotPast as exc:
                why = str(exc)
    last = [found.get((g, rows - 1)) for g in range(groups)]
    known = [each[0] for each in last if each is not None]
    result = np.empty((groups, rows, units), np.int64)
    open_ = np.ones((groups, rows), bool)
    if len(known) == groups:
        try:
            layer, read = _layer(walk, reader, known, node.label)
        except NotPast as exc:
            why = str(exc)
        else:
            number = walk.expressions.add(Expression("attention", layer.units, read, layer, node.label))
            first = min(step - head.window for head, step in found.values())
            for (g, row), (head, step) in found.items():
                whole = head.window == min(known[g].window, step - first)
                if whole and known[g].same(head):
                    places = g * units + np.arange(units)
                    result[g, row] = number * EXPRESSION + step * TIME + places
                    open_[g, row] = False
    if open_.any():
        of, left = np.nonzero(open_)
        columns = np.swapaxes(values, -1, -2)[of]
        result[of, left] = _dots(walk, node, weights[of, left][:, None], columns, why)[:, 0]
    return result


def _layer(walk: Walk, reader: AttentionReader, heads: Sequence[Head], name: str) -> Any:
    """Return the layer of heads and what it reads, one and the same for the same numbers."""
    layer, read = reader.layer(list(heads), name)
    arrays = [
        layer.query_weights,
        layer.query_bias,
        layer.key_weights,
        layer.key_bias,
        layer.value_weights,
        layer.value_bias,
    ]
    content = b"".join(
        np.asarray(part).tobytes() for part in [*arrays, layer.score_weights] if part is not None
    )
    said = f"{name} {layer.heads} {layer.window} {layer.scale}".encode()
    return walk.known.setdefault(sha256(said + content).digest(), layer), read


def _of_softmax(walk: Walk, codes: Codes) -> bool:
    """Whether codes are results of a softmax, or zero where one leaves something out."""
    flat = codes[codes != ZERO]
    return bool(len(flat)) and not is_constant(flat).any() and all(
        is_softmax(walk.expressions.table[int(number)]) for number in np.unique(expression_of(flat))
    )  # fmt: skip


def _softmax(walk: Walk, node: Node, inputs: list[Value]) -> list[Value]:
    """Softmax: of one sample's values, a layer; over samples, or with some of them left out, the weights of attention."""
    axis = int(node.attributes.get("axis", -1))
    rows = np.moveaxis(inputs[0].codes, axis, -1)
    times = time_of(rows)
    if not is_constant(rows).any() and (times == times[..., :1]).all() and not _masked(walk, rows).any():
        return VECTORS["Softmax"](walk, node, inputs)
    found = softmax(walk, node, rows)
    return [settled(np.ascontiguousarray(np.moveaxis(found, -1, axis)))]


def softmax(walk: Walk, node: Node, rows: Codes) -> Codes:
    """Return the softmax of scores (..., n); what a mask leaves out has the weight 0."""
    flat = rows.reshape(-1, rows.shape[-1])
    kept = ~_masked(walk, flat)
    result = np.full(flat.shape, ZERO)
    for row, used, found in zip(flat, kept, result, strict=True):
        if not used.any():  # all is masked: nothing that is read should come of it
            continue
        size, step = int(used.sum()), int(time_of(row[used]).max())
        layer = walk.known.setdefault(
            f"softmax {node.label} {size}".encode(),
            FloatDense(node.label, np.zeros((size, 0), np.float32), np.zeros(size, np.float32), "softmax"),
        )
        number = walk.expressions.add(
            Expression("layer", size, (relative(row[used], step),), layer, layer.name)
        )
        found[used] = number * EXPRESSION + step * TIME + np.arange(size)
    return result.reshape(rows.shape)


def _masked(walk: Walk, codes: Codes) -> Any:
    """Whether scores are so low that they have no weight: constants, or sums with one."""
    flat = codes.reshape(-1)
    low = is_constant(flat) & (numbers(np.where(is_constant(flat), flat, 0)) <= MASKED)
    for number in np.unique(expression_of(flat[~is_constant(flat)])):
        found = walk.expressions.table[int(number)]
        if found.kind == "sum":
            chosen = expression_of(flat) == number
            for part in found.arguments:
                part = part[place_of(flat[chosen])]
                low[chosen] |= is_constant(part) & (numbers(np.where(is_constant(part), part, 0)) <= MASKED)
    return low.reshape(codes.shape)


def of_weighted(plain: Operator) -> Operator:
    """Return ReduceSum, also of values that were multiplied with weights before; of others it gives what `plain` gives."""

    def operator(walk: Walk, node: Node, inputs: list[Value]) -> list[Value]:
        codes = inputs[0].codes
        axes = listed(node, inputs, 1, "axes")
        axis = axes[0] % codes.ndim if axes is not None and len(axes) == 1 else None
        parts = (
            None if axis is None or axis == codes.ndim - 1 else _weighted(walk, np.moveaxis(codes, axis, -1))
        )
        if parts is None or axis is None:
            return plain(walk, node, inputs)
        weights, values = parts  # (..., units, samples)
        shape, units = weights.shape[:-2], weights.shape[-2]
        one = weights[..., :1, :].reshape(-1, 1, weights.shape[-1])
        found = _each_once(
            lambda a, b: _context(walk, node, a, np.swapaxes(b, -1, -2)),
            one,
            values.reshape(-1, *values.shape[-2:]),
        )
        if found is None:
            return plain(walk, node, inputs)
        found = found.reshape(*shape, units)
        return [settled(np.expand_dims(found, axis) if node.attributes.get("keepdims", 1) else found)]

    return operator


def _weighted(walk: Walk, codes: Codes) -> tuple[Codes, Codes] | None:
    """Return what codes (..., units, samples) are products of: weights, the same for all units, and values."""
    flat = codes.reshape(-1)
    weights, values = np.full(flat.shape, ZERO), np.full(flat.shape, ZERO)
    for number in np.unique(expression_of(flat[flat != ZERO])):
        found, chosen = walk.expressions.table[int(number)], expression_of(flat) == number
        if found.kind != "product":
            return None
        parts = [part[place_of(flat[chosen])] for part in found.arguments]
        if not _of_softmax(walk, parts[0]):
            parts = parts[::-1]
        if not _of_softmax(walk, parts[0]):
            return None
        weights[chosen], values[chosen] = (relative(part, time_of(flat[chosen])) for part in parts)
    shares, summed = weights.reshape(codes.shape), values.reshape(codes.shape)
    step, samples = int(time_of(summed).max(initial=0)), codes.shape[-1]
    oldest = at_the_start(walk.expressions, relative(summed[..., 0], step), samples)
    summed[..., 0] = relative(oldest, step)
    return (shares, summed) if (shares == shares[..., :1, :]).all() else None


def _attention(walk: Walk, node: Node, inputs: list[Value]) -> list[Value]:
    """https://onnx.ai/onnx/operators/onnx__Attention.html"""
    given = node.attributes
    if (
        any(value is not None for value in inputs[4:])
        or given.get("softcap", 0.0)
        or len([o for o in node.outputs if o]) > 1
    ):
        raise node.refused(
            "it carries keys and values, limits its scores or gives more than its result, which cannot be converted"
        )
    query, key, value = (codes_of(part) for part in inputs[:3])
    flat = query.ndim == 3
    if flat:
        query, key, value = (
            np.swapaxes(part.reshape(*part.shape[:2], int(given[count]), -1), 1, 2)
            for part, count in ((query, "q_num_heads"), (key, "kv_num_heads"), (value, "kv_num_heads"))
        )
    key, value = (np.repeat(part, query.shape[1] // part.shape[1], axis=1) for part in (key, value))
    scale = given.get("scale") or 1.0 / np.sqrt(query.shape[-1])
    scores = product_of(walk, product(walk, node, query, key), constants(np.float32(scale)), node.label)
    mask: Any = np.zeros(scores.shape[-2:], np.float32)
    if len(inputs) > 3 and inputs[3] is not None:
        if isinstance(inputs[3], Traced):
            raise node.refused("its mask depends on the signal")
        said: Any = np.asarray(inputs[3])
        mask = np.where(said, 0.0, -np.inf) if said.dtype == bool else said
        mask = mask.astype(np.float32)
    if given.get("is_causal", 0):
        mask = mask + np.triu(np.full(scores.shape[-2:], -np.inf, np.float32), 1)
    weights = softmax(walk, node, sum_of(walk, scores, constants(mask), node.label))
    found = product(walk, node, weights, np.swapaxes(value, -1, -2))
    found = np.swapaxes(found, 1, 2).reshape(query.shape[0], query.shape[2], -1) if flat else found
    return [settled(np.ascontiguousarray(found))]


def _einsum(walk: Walk, node: Node, inputs: list[Value]) -> list[Value]:
    """https://onnx.ai/onnx/operators/onnx__Einsum.html of two values: a product of matrices, axes moved before and behind."""
    equation = str(node.attributes["equation"]).replace(" ", "")
    read, _, given = equation.partition("->")
    terms = read.split(",")
    known = len(terms) == 2 and all(
        len(set(term)) == len(term) and term.isalpha() for term in (*terms, given)
    )
    if not known or set(given) - set(read):
        raise node.refused(
            f"its equation is {equation}; products of two matrices, and batches of them, can be converted"
        )
    left, right = terms
    both = [letter for letter in left if letter in right]
    shared, summed = ([letter for letter in both if (letter in given) == kept] for kept in (True, False))
    alone = [[letter for letter in term if letter not in both] for term in terms]
    if len(alone[0] + alone[1] + shared) != len(given):
        raise node.refused(f"its equation is {equation}, which sums over an axis of one value alone")
    codes = [codes_of(value) for value in inputs]
    sizes = {
        letter: size
        for term, part in zip(terms, codes, strict=True)
        for letter, size in zip(term, part.shape, strict=True)
    }

    def matrix(number: int) -> Value:
        """Return (shared, own, summed) of one of the two."""
        order = [terms[number].index(letter) for letter in (*shared, *alone[number], *summed)]
        shape = [sizes[letter] for letter in shared], [sizes[letter] for letter in alone[number]]
        moved = codes[number].transpose(order).reshape(*shape[0], int(np.prod(shape[1])), -1)
        return settled(np.ascontiguousarray(moved))

    one, other = matrix(0), matrix(1)
    other = (
        settled(np.swapaxes(other.codes, -1, -2)) if isinstance(other, Traced) else np.swapaxes(other, -1, -2)
    )
    (found,) = _matmul(walk, node, [one, other])
    order = [*shared, *alone[0], *alone[1]]
    whole = codes_of(found).reshape([sizes[letter] for letter in order])
    return [settled(np.ascontiguousarray(whole.transpose([order.index(letter) for letter in given])))]


def _is_nan(walk: Walk, node: Node, inputs: list[Value]) -> list[Value]:
    """Of what depends on the signal no value is: exporters ask it of rows of which a mask leaves nothing."""
    return [np.zeros(inputs[0].codes.shape, bool)]


ATTENTION: dict[str, Operator] = {
    "MatMul": _matmul, "Einsum": _einsum, "Softmax": _softmax, "Attention": _attention, "IsNaN": _is_nan,
}  # fmt: skip
