"""What a call works on, behind one integer, because every argument of a call from Python costs time.

A context is the address of int64 words. Those up to OTHERWISE are made once, by `bind` and `method`. The others are written on the way:
by `execute`, which rows the operations are to work on. A row is one sample of one stream.
"""

import numpy as np
from numba import types

from edgelstm.kernels.places import pointed_at
from edgelstm.kernels.python_method import Owner
from edgelstm.reference import operations
from edgelstm.reference.operations import EVERY, FIRST_OPERATION, OPERATION_COUNT, OPERATION_WORDS

(
    PROGRAM,
    SCRATCH,
    STATE_BYTES,
    SCRATCH_BYTES,
    INPUTS,
    OUTPUTS,
    STATES,
    STREAMS,
    MOST_ROWS,
    ARRAY_TYPE,
    ELEMENT_TYPE,
    LIMITS,
    COUNTS,
    DIMENSIONS,
    ANY_SAMPLES,
    OUT_NAME,
    MAKER,
    OTHERWISE,
    ROWS,
    STATE,
    X,
    Y,
    SATURATED,
    BACKWARD,
) = range(24)
"""Addresses of program and scratch; bytes of one stream's state and of one row's scratch; inputs and outputs of a sample; the
address of all states, and how many; how many rows the scratch is for; addresses of the classes of the arrays that Python hands
over; the address of the lowest and the highest values of channels, or 0, and of what is counted of every stream; what a
method takes: dimensions of its arrays, whether they may be any number of samples, and the addresses of the name `out`, of
what makes an array for the results, or 0, and of the function for all else. Then, for the operations: how many rows; the first one's state, sample, result and count; and 1 at every second step."""

CONTEXT_WORDS = 24

words_at = pointed_at(types.int64)


def bind(program, state, scratch, saturated=None):
    """Return the words of a context; they have to live as long as it is used.

    program  int32 (words,); state  int32 (streams, state_words); scratch  int32 (rows at once, scratch_words)
    saturated  int64 (streams,)
    """
    if saturated is None:
        saturated = np.zeros(len(state), np.int64)
    table = program[FIRST_OPERATION:][: program[OPERATION_COUNT] * OPERATION_WORDS]
    branches = bool((table[::OPERATION_WORDS] >= EVERY).any())  # rows would part
    owner = np.zeros(CONTEXT_WORDS, np.int64).view(Owner)
    owner[PROGRAM], owner[SCRATCH], owner[STATES] = (array.ctypes.data for array in (program, scratch, state))
    owner[STATE_BYTES], owner[SCRATCH_BYTES] = 4 * state.shape[1], 4 * scratch.shape[1]
    owner[INPUTS], owner[OUTPUTS] = program[operations.INPUTS], program[operations.OUTPUTS]
    owner[STREAMS], owner[MOST_ROWS] = len(state), 1 if branches else len(scratch)
    limits = int(program[operations.LIMITS])
    owner[COUNTS] = saturated.ctypes.data
    owner[LIMITS] = program.ctypes.data + 4 * limits if limits else 0
    owner[ARRAY_TYPE], owner[ELEMENT_TYPE] = id(np.ndarray), id(np.dtype(np.float32))
    owner.keeps = program, state, scratch, saturated
    return owner
