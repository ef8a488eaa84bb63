"""Rows of a sequence that a loop of the program goes through; twins in `reference/rows.py`."""

from edgelstm.kernels.places import at16
from edgelstm.kernels.seldom import seldom


@seldom
def load_row(of, program, state, scratch):
    """Copy row `first + step * counter` of a sequence to a vector.

    of  place of the sequence, width, scratch word of the counter, first, step, place of the vector
    """
    width, first = of[1], (of[3] + of[4] * scratch[of[2]]) * of[1]
    sequence, to = at16(of[0], state, scratch), at16(of[5], state, scratch)
    for n in range(width):
        to[n] = sequence[first + n]


@seldom
def store_row(of, program, state, scratch):
    """Copy a vector to row `first + step * counter` of a sequence.

    of  place of the sequence, width, scratch word of the counter, first, step, place of the vector
    """
    width, first = of[1], (of[3] + of[4] * scratch[of[2]]) * of[1]
    sequence, source = at16(of[0], state, scratch), at16(of[5], state, scratch)
    for n in range(width):
        sequence[first + n] = source[n]


@seldom
def reset(of, program, state, scratch):
    """Write what a new stream holds over a part of the state.

    of  state word, how many words, word of the constants
    """
    part, constants = state[of[0] :], program[of[2] :]
    for n in range(of[1]):
        part[n] = constants[n]
