"""Arrays of a known shape at an address, for compiled code that works on the arrays of many objects."""

from numba.core import cgutils, types
from numba.extending import intrinsic
from numba.np.arrayobj import make_array, populate_array


def vector_at(dtype):
    """Make the function that returns the array of `dtype` and `count` elements at an address."""

    @intrinsic
    def at(typing_context, address, count):
        return types.Array(dtype, 1, "C")(types.int64, types.int64), _emit

    return at


def matrix_at(dtype):
    """Make the function that returns the array of `dtype`, `rows` and `columns` at an address."""

    @intrinsic
    def at(typing_context, address, rows, columns):
        return types.Array(dtype, 2, "C")(types.int64, types.int64, types.int64), _emit

    return at


double_vector_at, long_vector_at, float_vector_at, flag_vector_at = (
    vector_at(dtype) for dtype in (types.float64, types.int64, types.float32, types.int8)
)
double_matrix_at, float_matrix_at, int_matrix_at = (
    matrix_at(dtype) for dtype in (types.float64, types.float32, types.int32)
)


def _emit(context, builder, signature, arguments):
    kind = signature.return_type
    array = make_array(kind)(context, builder)
    item_bytes = context.get_abi_sizeof(context.get_data_type(kind.dtype))
    strides, step = [], context.get_constant(types.intp, item_bytes)
    for size in reversed(arguments[1:]):
        strides.insert(0, step)
        step = builder.mul(step, size)
    data = builder.inttoptr(arguments[0], context.get_data_type(kind.dtype).as_pointer())
    item = context.get_constant(types.intp, item_bytes)
    populate_array(array, data=data, shape=arguments[1:], strides=strides, itemsize=item, meminfo=None)
    return array._getvalue()


@intrinsic
def rest_of(typing_context, words, first):
    """Return `words[first:]` of a vector that is known to have as many: nothing is looked at."""
    return types.Array(words.dtype, 1, "C")(words, types.int64), _emit_rest


def _emit_rest(context, builder, signature, arguments):
    kind = signature.return_type
    whole = make_array(signature.args[0])(context, builder, arguments[0])
    array = make_array(kind)(context, builder)
    item = context.get_constant(types.intp, context.get_abi_sizeof(context.get_data_type(kind.dtype)))
    (size,) = cgutils.unpack_tuple(builder, whole.shape)
    populate_array(
        array,
        data=builder.gep(whole.data, [arguments[1]]),
        shape=[builder.sub(size, arguments[1])],
        strides=[item],
        itemsize=item,
        meminfo=None,
    )
    return array._getvalue()
