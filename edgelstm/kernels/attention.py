"""Attention over the rows of a ring; twins in `reference/attention.py`."""

import numpy as np

from edgelstm.kernels.compiled import njit
from edgelstm.kernels.places import after, at16
from edgelstm.kernels.scalar import mulr, power_of_e, rshift, saturate32, tanh
from edgelstm.kernels.seldom import seldom

COLUMNS = 8
"""Of values that are summed together."""


@njit
def _row(newest, age, rows):
    """Return the row of a ring that was written `age` samples before the newest."""
    return newest - age if newest >= age else newest - age + rows


@njit
def _weigh(scores, values, width, rows, newest, filled, columns, result):
    """Write the weighted sums of the first columns."""
    for n in range(columns):
        context = np.int64(0)
        for age in range(filled):
            context += np.int64(scores[age]) * values[_row(newest, age, rows) * width + n]
        result[n] = rshift(context, 23)


@njit
def _weigh_eight(scores, values, width, rows, newest, filled, result):
    """Write the weighted sums of the first COLUMNS columns, which lie side by side in every row: one load for all."""
    a = b = c = d = e = f = g = h = np.int64(0)
    for age in range(filled):
        row, weight = after(values, _row(newest, age, rows) * width), np.int64(scores[age])
        a, b, c, d = a + weight * row[0], b + weight * row[1], c + weight * row[2], d + weight * row[3]
        e, f, g, h = e + weight * row[4], f + weight * row[5], g + weight * row[6], h + weight * row[7]
    for n, context in enumerate((a, b, c, d, e, f, g, h)):
        result[n] = rshift(context, 23)


@seldom
def count_up(of, program, state, scratch):
    """Add 1 to a count of rows that have been written, until all are.

    of  state word of the count, rows
    """
    state[of[0]] = min(state[of[0]] + 1, of[1])


@seldom
def score_dot(of, program, state, scratch):
    """Write the products of a query with the newest rows of a ring of keys, for each head, in Q15.16.

    of  place of the query, half of the ring, width, rows, state word of the position, of the count, heads,
        multiplier, shift, word of the scores (heads x rows, by age)
    """
    query, keys, rows, heads = at16(of[0], state, scratch), state.view(np.int16)[of[1] :], of[3], of[6]
    width, newest, scores = np.int64(of[2]), state[of[4]] - 1, scratch[of[9] :]
    part = width // heads
    for age in range(state[of[5]]):
        for head in range(heads):
            first = head * part
            asked, key = after(query, first), after(keys, _row(newest, age, rows) * width + first)
            total = np.int64(0)
            for n in range(part):
                total += np.int64(asked[n]) * key[n]
            scores[head * rows + age] = mulr(saturate32(saturate32(rshift(total, 12)) << of[8]), of[7])


@seldom
def score_additive(of, program, state, scratch):
    """Write sum(weight * tanh(query + key)) for the newest rows of a ring of keys, in Q15.16.

    of  word of the query in Q15.16, half of the ring (Q4.11), width, rows, state word of the position, of the count,
        word of the weights in units of 2**-17, word of the scores (by age)
    """
    query, keys, width, rows = scratch[of[0] :], state.view(np.int16)[of[1] :], np.int64(of[2]), of[3]
    weights, newest, scores = program[of[6] :], state[of[4]] - 1, scratch[of[7] :]
    for age in range(state[of[5]]):
        key = after(keys, _row(newest, age, rows) * width)
        total = np.int64(0)
        for n in range(width):
            total += mulr(tanh(query[n] + (np.int64(key[n]) << 5)), weights[n])
        scores[age] = saturate32(total)


@seldom
def attend(of, program, state, scratch):
    """Write the sum of the newest rows of a ring of values, weighted by the softmax of their scores, times 2**8.

    of  word of the scores, half of the ring, width, rows, state word of the position, of the count, heads, result word
    """
    values, width, rows, filled = state.view(np.int16)[of[1] :], np.int64(of[2]), of[3], state[of[5]]
    heads, newest, result = of[6], state[of[4]] - 1, scratch[of[7] :]
    part = width // heads
    for head in range(heads):
        scores = scratch[of[0] + head * rows :]
        largest = np.int64(scores[0])
        for age in range(1, filled):
            largest = max(largest, np.int64(scores[age]))
        total = np.int64(0)
        for age in range(filled):
            power = power_of_e(largest - scores[age])
            total += power
            scores[age] = power
        for age in range(filled):
            weight = ((np.int64(scores[age]) << 31) + (total >> 1)) // total
            scores[age] = min(weight, (1 << 31) - 1)
        first, end = head * part, (head + 1) * part
        while first < end:
            left = min(end - first, COLUMNS)
            if left == COLUMNS:
                _weigh_eight(scores, after(values, first), width, rows, newest, filled, after(result, first))
            else:
                _weigh(scores, after(values, first), width, rows, newest, filled, left, after(result, first))
            first += left
