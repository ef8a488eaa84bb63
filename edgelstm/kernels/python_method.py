"""A compiled function as a method of a Python object: called by the interpreter itself, with the caller's arrays as they are.

Numba's dispatcher finds a signature by the types of the arguments, unpacks every array, and is called by a method of ours. Here the
interpreter calls machine code (`METH_FASTCALL`), which looks itself at the fields that NumPy's C interface documents
(`PyArrayObject`): exact type, dimensions, element type, layout. What it does not accept goes to a Python function with the
same arguments. Nothing is written to an object's header.
"""

import ctypes
import sys
from functools import cache

import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

_TYPE, _DATA, _DIMENSIONS, _SHAPE, _ELEMENT, _FLAGS = 8, 16, 24, 32, 56, 64  # bytes from the object's start
_C_CONTIGUOUS, _ALIGNED, WRITEABLE = 0x1, 0x100, 0x400
READABLE = _C_CONTIGUOUS | _ALIGNED

SIGNATURE = types.int64(types.int64, types.int64, types.int64, types.int64)
"""Of a function that Python calls: addresses of the object that it belongs to and of its arguments, how many of those stand by
position, the address of the names of the others; returns the address of the result."""

_FASTCALL_WITH_KEYWORDS = 0x80 | 0x2
_INT32, _INT64, _POINTER = ir.IntType(32), ir.IntType(64), ir.IntType(8).as_pointer()

OUT = sys.intern("out")
"""The name of the second argument, as a call that says `out=` has it."""


class Owner(np.ndarray):
    """The words of a context, as the object that its methods belong to; `keeps` is what has to live as long."""


class _Definition(ctypes.Structure):
    _fields_ = [
        ("name", ctypes.c_char_p),
        ("function", ctypes.c_void_p),
        ("flags", ctypes.c_int),
        ("text", ctypes.c_char_p),
    ]


@cache
def knows_arrays():
    """Say whether this NumPy keeps the fields of an array where they are looked for here."""
    array = np.zeros((2, 3), np.float32)
    array.flags.writeable = False

    def word(address, kind=ctypes.c_int64):
        return kind.from_address(address).value

    start = id(array)
    shape = word(start + _SHAPE)
    return (
        sys.maxsize > 2**32
        and word(start + _TYPE) == id(np.ndarray)
        and word(start + _DATA) == array.ctypes.data
        and word(start + _DIMENSIONS, ctypes.c_int32) == array.ndim
        and (word(shape), word(shape + 8)) == array.shape
        and word(start + _ELEMENT) == id(array.dtype)
        and word(start + _FLAGS, ctypes.c_int32) & (READABLE | WRITEABLE) == READABLE
    )


def method_maker(name, text, function):
    """Return what makes the method `name` of an Owner, of a C callback with SIGNATURE."""
    definition = _Definition(
        name.encode(),
        function.address,
        _FASTCALL_WITH_KEYWORDS,
        f"{name}(x, out=None)\n--\n\n{text}".encode(),
    )
    make = ctypes.pythonapi.PyCFunction_NewEx
    make.restype = ctypes.py_object
    make.argtypes = [ctypes.POINTER(_Definition), ctypes.py_object, ctypes.c_void_p]
    return lambda owner: make(ctypes.byref(definition), owner, None)


def _field(build, start, offset, kind=_INT64):
    place = build.inttoptr(build.add(start, _INT64(offset)), kind.as_pointer())
    return build.load(place)


def _call(build, name, result, *arguments):
    """Call a function of Python's C interface."""
    signature = ir.FunctionType(result, [argument.type for argument in arguments])
    return build.call(cgutils.get_or_insert_function(build.module, signature, name), arguments)


@intrinsic
def context_of(typing_context, owner):
    """Return the address of the words of an Owner."""
    return types.int64(types.int64), lambda context, build, signature, given: _field(build, given[0], _DATA)


@intrinsic
def names_only(typing_context, names, name):
    """Say whether the tuple of names at `names` holds just the one at `name`."""

    def emit(context, build, signature, given):
        names = build.inttoptr(given[0], _POINTER)
        count = _call(build, "PyTuple_Size", _INT64, names)
        first = _call(build, "PyTuple_GetItem", _POINTER, names, _INT64(0))
        return build.and_(
            build.icmp_signed("==", count, _INT64(1)),
            build.icmp_unsigned("==", build.ptrtoint(first, _INT64), given[1]),
        )

    return types.boolean(types.int64, types.int64), emit


@intrinsic
def array_data(typing_context, found, array_type, element_type, dimensions, columns, flags):
    """Return the address of an array's data, or 0 where the object at `found` is nothing of the kind.

    array_type, element_type  addresses of the classes that it has to be an instance of, exactly
    dimensions, columns       1 or 2, and the last of them
    flags                     that all have to be set: READABLE, and WRITEABLE for a result
    """

    def emit(context, build, signature, given):
        found, array_type, element_type, dimensions, columns, flags = given

        def check(holds):
            passed = build.append_basic_block("passed")
            build.cbranch(holds, passed, refused)
            build.position_at_end(passed)

        refused, done = (build.append_basic_block(name) for name in ("refused", "done"))
        check(build.icmp_signed("==", _field(build, found, _TYPE), array_type))
        check(
            build.icmp_signed(
                "==", _field(build, found, _DIMENSIONS, _INT32), build.trunc(dimensions, _INT32)
            )
        )
        last = build.add(_field(build, found, _SHAPE), build.shl(build.sub(dimensions, _INT64(1)), _INT64(3)))
        check(build.icmp_signed("==", _field(build, last, 0), columns))
        check(build.icmp_signed("==", _field(build, found, _ELEMENT), element_type))
        wanted = build.trunc(flags, _INT32)
        check(build.icmp_signed("==", build.and_(_field(build, found, _FLAGS, _INT32), wanted), wanted))
        data, accepted = _field(build, found, _DATA), build.block
        build.branch(done)
        build.position_at_end(refused)
        build.branch(done)
        build.position_at_end(done)
        address = build.phi(_INT64)
        address.add_incoming(data, accepted)
        address.add_incoming(_INT64(0), refused)
        return address

    return types.int64(*[types.int64] * 6), emit


@intrinsic
def rows_of(typing_context, array):
    """Return the first dimension of the array at `array`."""

    def emit(context, build, signature, given):
        return _field(build, _field(build, given[0], _SHAPE), 0)

    return types.int64(types.int64), emit


@intrinsic
def let_go(typing_context):
    """Give the interpreter's lock back; return what `take_again` needs."""

    def emit(context, build, signature, given):
        return build.ptrtoint(_call(build, "PyEval_SaveThread", _POINTER), _INT64)

    return types.int64(), emit


def _on_object(name, text):
    """Make a call of `name`, a function of Python's C interface that takes a pointer and returns nothing."""

    def emit(context, build, signature, given):
        _call(build, name, ir.VoidType(), build.inttoptr(given[0], _POINTER))
        return context.get_dummy_value()

    def call(typing_context, pointer):
        return types.void(types.int64), emit

    call.__doc__ = text
    return intrinsic(call)


take_again = _on_object("PyEval_RestoreThread", "Take the interpreter's lock again.")
keep = _on_object("Py_IncRef", "Count one more reference to an object.")
drop = _on_object("Py_DecRef", "Count one reference to an object less.")


@intrinsic
def call_python(typing_context, function, arguments, count, names):
    """Call the Python function at `function` with arguments as it would get them; return its result, or 0 where it raised."""

    def emit(context, build, signature, given):
        function, arguments, count, names = given
        pointers = [build.inttoptr(address, _POINTER) for address in (function, arguments, names)]
        result = _call(build, "PyObject_Vectorcall", _POINTER, *pointers[:2], count, pointers[2])
        return build.ptrtoint(result, _INT64)

    return types.int64(*[types.int64] * 4), emit
