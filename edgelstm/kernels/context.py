"""The arrays of a stream behind one integer, because every array argument of a call from Python costs time.

A context is the address of int64 words: the addresses and sizes of program, state and scratch.
"""

import numpy as np
from numba import types
from numba.extending import intrinsic

CONTEXT_WORDS = 7


def bind(program, state, scratch):
    """Return a context and the object that has to live as long as it is used.

    program  int32 (words,); state  int32 (streams, state_words); scratch  int32 (scratch_words,)
    """
    owner = np.empty(CONTEXT_WORDS, np.int64)
    owner[:2] = program.ctypes.data, program.size
    owner[2:5] = state.ctypes.data, *state.shape
    owner[5:] = scratch.ctypes.data, scratch.size
    return owner.ctypes.data, (owner, program, state, scratch)


@intrinsic
def pointer_to_int64(typing_context, address):
    return types.CPointer(types.int64)(types.int64), _as_pointer


@intrinsic
def pointer_to_int32(typing_context, address):
    return types.CPointer(types.int32)(types.int64), _as_pointer


def _as_pointer(context, builder, signature, arguments):
    return builder.inttoptr(arguments[0], context.get_value_type(signature.return_type))
