"""What stands between two steps of a decoder: states that begin as an encoder ended, and the symbol that is given back."""

import numpy as np

from edgelstm.reference.fixed_point import rshift, saturate16
from edgelstm.reference.places import at16


def begin(of, program, state, scratch):
    """Copy 32-bit values to a state, limited to what it holds.

    of  z word, count, state word, limit
    """
    z, count, to, limit = of[:4]
    state[to : to + count] = np.clip(scratch[z : z + count], -limit, limit)


def begin_hidden(of, program, state, scratch):
    """Copy 32-bit values to a hidden vector, as sat16(rshift(z, 8)).

    of  z word, count, state word of the hidden vector
    """
    z, count, to = of[:3]
    hidden = saturate16(rshift(scratch[z : z + count].astype(np.int64), 8))
    state.view(np.int16)[2 * to : 2 * to + count] = hidden


def choose(of, program, state, scratch):
    """Write the number of the largest value, the first of equals, times 4; clear a flag where it is the symbol that ends.

    of  z word, count, symbol that ends or -1, place of the symbol, place of the flag
    """
    z, count, end, symbol, flag = of[:5]
    best = int(np.argmax(scratch[z : z + count]))
    at16(symbol, state, scratch)[0] = 4 * best
    if best == end:
        at16(flag, state, scratch)[0] = 0


def narrow_state(of, program, state, scratch):
    """Copy 32-bit values of the state to a vector, as sat16(rshift(value, bits)).

    of  state word, count, bits, place of the vector
    """
    first, count, bits, to = of[:4]
    values = state[first : first + count].astype(np.int64)
    at16(to, state, scratch)[:count] = saturate16(rshift(values, bits))
