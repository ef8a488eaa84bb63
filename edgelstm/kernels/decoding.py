"""What stands between two steps of a decoder; twins in `reference/decoding.py`."""

import numpy as np

from edgelstm.kernels.places import at16
from edgelstm.kernels.scalar import rshift, saturate16
from edgelstm.kernels.seldom import seldom


@seldom
def begin(of, program, state, scratch):
    """Copy 32-bit values to a state, limited to what it holds.

    of  z word, count, state word, limit
    """
    z, to, limit = scratch[of[0] :], state[of[2] :], of[3]
    for n in range(of[1]):
        to[n] = min(max(z[n], -limit), limit)


@seldom
def begin_hidden(of, program, state, scratch):
    """Copy 32-bit values to a hidden vector, as sat16(rshift(z, 8)).

    of  z word, count, state word of the hidden vector
    """
    z, to = scratch[of[0] :], state.view(np.int16)[2 * of[2] :]
    for n in range(of[1]):
        to[n] = saturate16(rshift(np.int64(z[n]), 8))


@seldom
def choose(of, program, state, scratch):
    """Write the number of the largest value, the first of equals, times 4; clear a flag where it is the symbol that ends.

    of  z word, count, symbol that ends or -1, place of the symbol, place of the flag
    """
    z, best = scratch[of[0] :], 0
    for n in range(1, of[1]):
        if z[n] > z[best]:
            best = n
    at16(of[3], state, scratch)[0] = 4 * best
    if best == of[2]:
        at16(of[4], state, scratch)[0] = 0


@seldom
def narrow_state(of, program, state, scratch):
    """Copy 32-bit values of the state to a vector, as sat16(rshift(value, bits)).

    of  state word, count, bits, place of the vector
    """
    values, bits, to = state[of[0] :], np.int64(of[2]), at16(of[3], state, scratch)
    for n in range(of[1]):
        to[n] = saturate16(rshift(np.int64(values[n]), bits))
