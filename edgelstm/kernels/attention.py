"""Attention over the rows of a ring; twins in `reference/attention.py`."""

import numpy as np

from edgelstm.kernels.places import at16
from edgelstm.kernels.scalar import mulr, power_of_e, rshift, saturate32, tanh
from edgelstm.kernels.seldom import seldom


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
    width, scores = of[2], scratch[of[9] :]
    part = width // heads
    for age in range(state[of[5]]):
        row = (state[of[4]] - 1 - age) % rows
        for head in range(heads):
            total = np.int64(0)
            for n in range(head * part, (head + 1) * part):
                total += np.int64(query[n]) * keys[row * width + n]
            scores[head * rows + age] = mulr(saturate32(saturate32(rshift(total, 12)) << of[8]), of[7])


@seldom
def score_additive(of, program, state, scratch):
    """Write sum(weight * tanh(query + key)) for the newest rows of a ring of keys, in Q15.16.

    of  word of the query in Q15.16, half of the ring (Q4.11), width, rows, state word of the position, of the count,
        word of the weights in units of 2**-17, word of the scores (by age)
    """
    query, keys, width, rows = scratch[of[0] :], state.view(np.int16)[of[1] :], of[2], of[3]
    weights, scores = program[of[6] :], scratch[of[7] :]
    for age in range(state[of[5]]):
        row = (state[of[4]] - 1 - age) % rows
        total = np.int64(0)
        for n in range(width):
            total += mulr(tanh(query[n] + (np.int64(keys[row * width + n]) << 5)), weights[n])
        scores[age] = saturate32(total)


@seldom
def attend(of, program, state, scratch):
    """Write the sum of the newest rows of a ring of values, weighted by the softmax of their scores, times 2**8.

    of  word of the scores, half of the ring, width, rows, state word of the position, of the count, heads, result word
    """
    values, width, rows, filled = state.view(np.int16)[of[1] :], of[2], of[3], state[of[5]]
    heads, result = of[6], scratch[of[7] :]
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
        for n in range(head * part, (head + 1) * part):
            context = np.int64(0)
            for age in range(filled):
                row = (state[of[4]] - 1 - age) % rows
                context += np.int64(scores[age]) * values[row * width + n]
            result[n] = rshift(context, 23)
