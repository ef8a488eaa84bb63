"""The last samples of a vector, in a ring of rows in state: for convolutions, pooling and windows."""

import numpy as np

from edgelstm.reference.fixed_point import mulr, saturate32
from edgelstm.reference.places import at16

MAXIMUM, SUM = 0, 1


def push(of, program, state, scratch):
    """Write a vector over the oldest row, and move the position, the row that is written next.

    of  source place, width, half of the ring in state, rows, state word of the position
    """
    source, width, ring, rows, position = of[:5]
    row = int(state[position])
    state.view(np.int16)[ring + row * width : ring + (row + 1) * width] = at16(source, state, scratch)[:width]
    state[position] = (row + 1) % rows


def gather(of, program, state, scratch):
    """Copy every `dilation`-th row, the newest last, one after another.

    of  half of the ring in state, width, rows, state word of the position, taps, dilation, place of the result
    """
    ring, width, rows, position, taps, dilation, to = of[:7]
    ages = dilation * np.arange(taps - 1, -1, -1)
    held = state.view(np.int16)[ring : ring + rows * width].reshape(rows, width)
    at16(to, state, scratch)[: taps * width] = held[(state[position] - 1 - ages) % rows].ravel()


def pool(of, program, state, scratch):
    """Write `bias + mulr(sat32(v << shift), multiplier)` for the largest, or the sum, v of each column of a ring.

    of  half of the ring in state, width, rows, MAXIMUM or SUM, parameters word (multipliers, shifts, bias), result word
    """
    ring, width, rows, mode, parameters, result = of[:6]
    held = state.view(np.int16)[ring : ring + rows * width].reshape(rows, width).astype(np.int64)
    values = held.max(axis=0) if mode == MAXIMUM else held.sum(axis=0)
    words = program[parameters : parameters + 3 * width].astype(np.int64)
    multipliers, shifts, bias = words.reshape(3, width)
    scratch[result : result + width] = bias + mulr(saturate32(values << shifts), multipliers)
