"""Where the int16 vectors of seldom operations stand."""

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic
from numba.np.arrayobj import make_array, populate_array

_HALVES = types.Array(types.int16, 1, "C")
_WORDS = types.Array(types.int32, 1, "C")
_END = 1 << 30  # nothing is looked at beyond what a program's check allows


@intrinsic
def at16(typing_context, place, state, scratch):
    """Return the int16 from `place` on: twice the half, plus one where it stands in state.

    place  int64; state, scratch  int32 (any,)
    """
    return _HALVES(types.int64, _WORDS, _WORDS), _emit_halves


def _emit_halves(context, builder, signature, arguments):
    place, *arrays = arguments
    in_state, in_scratch = (make_array(_WORDS)(context, builder, array).data for array in arrays)
    chosen = builder.select(builder.trunc(place, ir.IntType(1)), in_state, in_scratch)
    halves = builder.bitcast(chosen, ir.IntType(16).as_pointer())
    first = builder.gep(halves, [builder.ashr(place, ir.Constant(ir.IntType(64), 1))])
    array = make_array(_HALVES)(context, builder)
    size, step = context.get_constant(types.intp, _END), context.get_constant(types.intp, 2)
    populate_array(array, data=first, shape=[size], strides=[step], itemsize=step, meminfo=None)
    return array._getvalue()
