"""NumPy arrays straight from the caller's Python objects: a call costs half of what Numba's own unpacking takes.

Numba's dispatcher finds a signature by the types of the arguments and then unpacks every array. Here the compiled
function takes the objects as they are and looks itself, at the fields that NumPy's C interface documents
(`PyArrayObject`): exact type, dimensions, element type, layout. Nothing is written to an object's header.
"""

from llvmlite import ir
from numba.core import types
from numba.core.datamodel import models, register_default
from numba.extending import NativeValue, intrinsic, unbox

_TYPE, _DATA, _DIMENSIONS, _SHAPE, _ELEMENT, _FLAGS = 8, 16, 24, 32, 56, 64  # bytes from the object's start
_C_CONTIGUOUS, _ALIGNED, WRITEABLE = 0x1, 0x100, 0x400
READABLE = _C_CONTIGUOUS | _ALIGNED


class PythonObject(types.Type):
    """Any Python object, borrowed for the length of a call."""

    def __init__(self):
        super().__init__("PythonObject")


python_object = PythonObject()
register_default(PythonObject)(models.OpaqueModel)


@unbox(PythonObject)
def _unbox_object(kind, found, unboxing):
    address = unboxing.context.get_value_type(kind)
    return NativeValue(unboxing.builder.bitcast(found, address))


@intrinsic
def vector_data(typing_context, found, array_type, element_type, count, flags):
    """Return the address of the data of a vector of `count` elements, or 0 where the object is nothing of the kind.

    array_type, element_type  addresses of the classes that it has to be an instance of, exactly
    flags                     that all have to be set: READABLE, and WRITEABLE for a result
    """
    kinds = [python_object, *[types.int64] * 4]

    def emit(context, build, signature, arguments):
        start, *wanted_type, wanted_count, wanted_flags = arguments
        int32, int64 = ir.IntType(32), ir.IntType(64)

        def field(offset, kind=int64):
            place = build.gep(start, [ir.Constant(int64, offset)])
            return build.load(build.bitcast(place, kind.as_pointer()))

        def check(holds):
            passed = build.append_basic_block("passed")
            build.cbranch(holds, passed, refused)
            build.position_at_end(passed)

        refused, done = (build.append_basic_block(name) for name in ("refused", "done"))
        check(build.icmp_signed("==", field(_TYPE), wanted_type[0]))
        check(build.icmp_signed("==", field(_DIMENSIONS, int32), ir.Constant(int32, 1)))
        shape = build.inttoptr(field(_SHAPE), int64.as_pointer())
        check(build.icmp_signed("==", build.load(shape), wanted_count))
        check(build.icmp_signed("==", field(_ELEMENT), wanted_type[1]))
        flags_found = build.and_(field(_FLAGS, int32), build.trunc(wanted_flags, int32))
        check(build.icmp_signed("==", flags_found, build.trunc(wanted_flags, int32)))
        data, accepted = field(_DATA), build.block
        build.branch(done)
        build.position_at_end(refused)
        build.branch(done)
        build.position_at_end(done)
        address = build.phi(int64)
        address.add_incoming(data, accepted)
        address.add_incoming(ir.Constant(int64, 0), refused)
        return address

    return types.int64(*kinds), emit


def entry_point(function):
    """Return the function that Python calls without Numba's dispatcher, of a function compiled for one signature."""
    (compiled,) = function.overloads.values()
    return compiled.entry_point
