"""Arrays where an operation's words say they are, without what a slice costs: a program is checked when it is made.

Their length is not known here; nothing is looked at beyond what a program's check allows.
"""

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic
from numba.np.arrayobj import make_array, populate_array

_WORDS = types.Array(types.int32, 1, "C")
_END = 1 << 30


def pointed_at(dtype):
    """Make the function that returns the array of `dtype` at an address."""
    kind = types.Array(dtype, 1, "C")

    def emit(context, builder, signature, arguments):
        element = context.get_data_type(dtype).as_pointer()
        return _vector(context, builder, kind, builder.inttoptr(arguments[0], element))

    @intrinsic
    def at(typing_context, address):
        return kind(types.int64), emit

    return at


bytes_at, halves_at, ints_at, floats_at = (
    pointed_at(dtype) for dtype in (types.int8, types.int16, types.int32, types.float32)
)


@intrinsic
def after(typing_context, array, first):
    """Return the array from element `first` on."""
    return array(array, types.int64), _emit_after


def _emit_after(context, builder, signature, arguments):
    kind = signature.return_type
    data = builder.gep(make_array(kind)(context, builder, arguments[0]).data, [arguments[1]])
    return _vector(context, builder, kind, data)


@intrinsic
def at16(typing_context, place, state, scratch):
    """Return the int16 from `place` on: twice the half, plus one where it stands in state.

    place  int64; state, scratch  int32 (any,)
    """
    return types.Array(types.int16, 1, "C")(types.int64, _WORDS, _WORDS), _emit_halves


def _emit_halves(context, builder, signature, arguments):
    place, *arrays = arguments
    in_state, in_scratch = (make_array(_WORDS)(context, builder, array).data for array in arrays)
    chosen = builder.select(builder.trunc(place, ir.IntType(1)), in_state, in_scratch)
    halves = builder.bitcast(chosen, ir.IntType(16).as_pointer())
    first = builder.gep(halves, [builder.ashr(place, ir.Constant(ir.IntType(64), 1))])
    return _vector(context, builder, signature.return_type, first)


def _vector(context, builder, kind, data):
    array = make_array(kind)(context, builder)
    size = context.get_constant(types.intp, _END)
    step = context.get_constant(types.intp, context.get_abi_sizeof(context.get_data_type(kind.dtype)))
    populate_array(array, data=data, shape=[size], strides=[step], itemsize=step, meminfo=None)
    return array._getvalue()
