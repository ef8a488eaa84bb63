"""The last samples of a vector, in a ring of rows in state; twins in `reference/ring.py`."""

import numpy as np

from edgelstm.kernels.places import at16
from edgelstm.kernels.scalar import mulr, saturate32
from edgelstm.kernels.seldom import seldom
from edgelstm.reference.ring import MAXIMUM


@seldom
def push(of, program, state, scratch):
    """Write a vector over the oldest row, and move the position, the row that is written next.

    of  source place, width, half of the ring in state, rows, state word of the position
    """
    source, width, rows, row = at16(of[0], state, scratch), of[1], of[3], state[of[4]]
    ring = state.view(np.int16)[of[2] + row * width :]
    for n in range(width):
        ring[n] = source[n]
    state[of[4]] = row + 1 if row + 1 < rows else 0


@seldom
def gather(of, program, state, scratch):
    """Copy every `dilation`-th row, the newest last, one after another.

    of  half of the ring in state, width, rows, state word of the position, taps, dilation, place of the result
    """
    ring, width, rows, taps = state.view(np.int16)[of[0] :], of[1], of[2], of[4]
    to = at16(of[6], state, scratch)
    for tap in range(taps):
        row = (state[of[3]] - 1 - (taps - 1 - tap) * of[5]) % rows
        for n in range(width):
            to[tap * width + n] = ring[row * width + n]


@seldom
def pool(of, program, state, scratch):
    """Write `bias + mulr(sat32(v << shift), multiplier)` for the largest, or the sum, v of each column of a ring.

    of  half of the ring in state, width, rows, MAXIMUM or SUM, parameters word (multipliers, shifts, bias), result word
    """
    ring, width, rows, mode = state.view(np.int16)[of[0] :], of[1], of[2], of[3]
    parameters, result = program[of[4] :], scratch[of[5] :]
    for n in range(width):
        value = np.int64(ring[n])
        for row in range(1, rows):
            x = np.int64(ring[row * width + n])
            value = max(value, x) if mode == MAXIMUM else value + x
        value = saturate32(value << parameters[width + n])
        result[n] = parameters[2 * width + n] + mulr(value, parameters[n])
