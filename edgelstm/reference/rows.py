"""Rows of a sequence that a loop of the program goes through, and the state that every loop begins with."""

from edgelstm.reference.places import at16


def load_row(of, program, state, scratch):
    """Copy row `first + step * counter` of a sequence to a vector.

    of  place of the sequence, width, scratch word of the counter, first, step, place of the vector
    """
    sequence, width, counter, first, step, to = of[:6]
    row = first + step * int(scratch[counter])
    source = at16(sequence, state, scratch)[row * width : (row + 1) * width]
    at16(to, state, scratch)[:width] = source


def store_row(of, program, state, scratch):
    """Copy a vector to row `first + step * counter` of a sequence.

    of  place of the sequence, width, scratch word of the counter, first, step, place of the vector
    """
    sequence, width, counter, first, step, source = of[:6]
    row = first + step * int(scratch[counter])
    to = at16(sequence, state, scratch)[row * width : (row + 1) * width]
    to[:] = at16(source, state, scratch)[:width]


def reset(of, program, state, scratch):
    """Write what a new stream holds over a part of the state.

    of  state word, how many words, word of the constants
    """
    word, count, constants = of[:3]
    state[word : word + count] = program[constants : constants + count]
