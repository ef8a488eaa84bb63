"""Attention over the rows of a ring: scores by a product or by a small network, their softmax, and the weighted sum."""

import numpy as np

from edgelstm.reference.activations import power_of_e, tanh
from edgelstm.reference.fixed_point import mulr, rshift, saturate32
from edgelstm.reference.places import at16


def count_up(of, program, state, scratch):
    """Add 1 to a count of rows that have been written, until all are.

    of  state word of the count, rows
    """
    word, rows = of[:2]
    state[word] = min(int(state[word]) + 1, rows)


def score_dot(of, program, state, scratch):
    """Write the products of a query with the newest rows of a ring of keys, for each head, in Q15.16.

    of  place of the query, half of the ring, width, rows, state word of the position, of the count, heads,
        multiplier, shift, word of the scores (heads x rows, by age)
    """
    query, ring, width, rows, position, count, heads, multiplier, shift, result = of[:10]
    q = at16(query, state, scratch)[:width].astype(np.int64).reshape(heads, -1)
    keys = _newest(state, ring, width, rows, position, count).reshape(-1, heads, width // heads)
    products = np.einsum("hd,nhd->hn", q, keys)
    scores = mulr(saturate32(saturate32(rshift(products, 12)) << shift), multiplier)
    scratch[result : result + heads * rows].reshape(heads, rows)[:, : scores.shape[1]] = scores


def score_additive(of, program, state, scratch):
    """Write sum(weight * tanh(query + key)) for the newest rows of a ring of keys, in Q15.16.

    of  word of the query in Q15.16, half of the ring (Q4.11), width, rows, state word of the position, of the count,
        word of the weights in units of 2**-17, word of the scores (by age)
    """
    query, ring, width, rows, position, count, weights, result = of[:8]
    q = scratch[query : query + width].astype(np.int64)
    keys = _newest(state, ring, width, rows, position, count)
    parts = mulr(tanh(q + (keys << 5)), program[weights : weights + width].astype(np.int64))
    scratch[result : result + len(keys)] = saturate32(parts.sum(axis=1))


def attend(of, program, state, scratch):
    """Write the sum of the newest rows of a ring of values, weighted by the softmax of their scores, times 2**8.

    of  word of the scores, half of the ring, width, rows, state word of the position, of the count, heads, result word
    """
    scores, ring, width, rows, position, count, heads, result = of[:8]
    values = _newest(state, ring, width, rows, position, count).reshape(-1, heads, width // heads)
    z = scratch[scores : scores + heads * rows].astype(np.int64).reshape(heads, rows)[:, : len(values)]
    powers = power_of_e(z.max(axis=1, keepdims=True) - z)
    total = powers.sum(axis=1, keepdims=True)
    weights = np.minimum(((powers << 31) + (total >> 1)) // total, (1 << 31) - 1)
    context = rshift(np.einsum("hn,nhd->hd", weights, values), 23)
    scratch[result : result + width] = context.ravel()


def _newest(state, ring, width, rows, position, count):
    """Return the rows that have been written, the newest first, int64."""
    held = state.view(np.int16)[ring : ring + rows * width].reshape(rows, width)
    return held[(state[position] - 1 - np.arange(state[count])) % rows].astype(np.int64)
