"""The arrays of a stream behind one integer, because every array argument of a call from Python costs time.

A context is the address of int64 words: the addresses and sizes of program, state and scratch, and the addresses of
the classes of the arrays that Python hands over.
"""

import numpy as np
from numba.core import types
from numba.extending import intrinsic
from numba.np.arrayobj import make_array, populate_array

CONTEXT_WORDS = 9


def bind(program, state, scratch):
    """Return a context and the object that has to live as long as it is used.

    program  int32 (words,); state  int32 (streams, state_words); scratch  int32 (scratch_words,)
    """
    owner = np.empty(CONTEXT_WORDS, np.int64)
    owner[:2] = program.ctypes.data, program.size
    owner[2:5] = state.ctypes.data, *state.shape
    owner[5:7] = scratch.ctypes.data, scratch.size
    owner[7:] = id(np.ndarray), id(np.dtype(np.float32))
    return owner.ctypes.data, (owner, program, state, scratch)


@intrinsic
def words_at(typing_context, address):
    """Return the int64 (CONTEXT_WORDS,) array at `address`."""
    return types.Array(types.int64, 1, "C")(types.int64), lambda *call: _emit_array(
        *call, sizes=[CONTEXT_WORDS]
    )


@intrinsic
def vector_at(typing_context, address, count):
    """Return the int32 (count,) array at `address`."""
    return types.Array(types.int32, 1, "C")(types.int64, types.int64), _emit_array


@intrinsic
def floats_at(typing_context, address, count):
    """Return the float32 (count,) array at `address`."""
    return types.Array(types.float32, 1, "C")(types.int64, types.int64), _emit_array


@intrinsic
def matrix_at(typing_context, address, rows, columns):
    """Return the int32 (rows, columns) array at `address`."""
    return types.Array(types.int32, 2, "C")(types.int64, types.int64, types.int64), _emit_array


def _emit_array(context, builder, signature, arguments, sizes=()):
    kind = signature.return_type
    array = make_array(kind)(context, builder)
    item_bytes = context.get_abi_sizeof(context.get_data_type(kind.dtype))
    shape = [context.get_constant(types.intp, size) for size in sizes] or list(arguments[1:])
    strides, step = [], context.get_constant(types.intp, item_bytes)
    for size in reversed(shape):
        strides.insert(0, step)
        step = builder.mul(step, size)
    data = builder.inttoptr(arguments[0], context.get_data_type(kind.dtype).as_pointer())
    item = context.get_constant(types.intp, item_bytes)
    populate_array(array, data=data, shape=shape, strides=strides, itemsize=item, meminfo=None)
    return array._getvalue()
