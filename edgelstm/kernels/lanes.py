"""Eight int32 at a time: the vector instructions of a kernel, written as its equations.

A function marked `over_lanes` is run once, while Numba compiles, on stand-ins for its arguments: an array
becomes a `LaneArray`, an integer an `Index`, and every operation on them emits one LLVM vector instruction.
LLVM turns those into what the processor has (AVX-512, AVX2, SSE2, NEON), so one text serves every machine and
integers make the bits equal on all of them.
"""

from __future__ import annotations

import functools
import inspect

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from edgelstm.reference.sigmoid_table import KNOTS

LANES = 8
INT8, INT16, INT32, INT64 = (ir.IntType(bits) for bits in (8, 16, 32, 64))
_EIGHT_INT32, _EIGHT_INT64 = ir.VectorType(INT32, LANES), ir.VectorType(INT64, LANES)
_SIXTEEN = 1 << 20  # 16 in Q15.16


def over_lanes(function):
    """Make `function(*arrays and integers)` callable from compiled functions; it returns nothing."""

    def typed(typing_context, *arguments):
        kinds = [argument if isinstance(argument, types.Array) else types.intp for argument in arguments]
        return types.void(*kinds), functools.partial(_emit, function)

    own = inspect.signature(function)
    context = inspect.Parameter("typing_context", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    typed.__signature__ = own.replace(parameters=[context, *own.parameters.values()])
    typed.__name__ = function.__name__
    return intrinsic(typed)


def _emit(function, context, builder, signature, arguments):
    stand_ins = []
    for kind, value in zip(signature.args, arguments, strict=True):
        if isinstance(kind, types.Array):
            data = context.make_array(kind)(context, builder, value).data
            stand_ins.append(LaneArray(builder, data))
        else:
            stand_ins.append(Index(builder, value))
    function(*stand_ins)
    return context.get_dummy_value()


class Index:
    """An integer that is known when the kernel runs, such as where in an array a vector begins."""

    def __init__(self, builder, value):
        self.builder, self.value = builder, value

    def _constant(self, other):
        return other.value if isinstance(other, Index) else ir.Constant(INT64, other)

    def __add__(self, other):
        return Index(self.builder, self.builder.add(self.value, self._constant(other)))

    def __mul__(self, other):
        return Index(self.builder, self.builder.mul(self.value, self._constant(other)))

    __radd__, __rmul__ = __add__, __mul__

    def in_lanes(self):
        """Return the integer, cut to int32, in every lane."""
        return Lanes(self.builder, splat(self.builder, self.builder.trunc(self.value, INT32)))


class LaneArray:
    """An array of int8, int16 or int32: `array[at]` loads the eight values from `at` on as `Lanes`."""

    def __init__(self, builder, data):
        self.builder, self.data = builder, data
        self.element = data.type.pointee

    def pointer(self, at, element=None, count=LANES):
        """Return a pointer to a vector of `count` values of `element` that begins at value `at`."""
        first = self.builder.gep(self.data, [at.value if isinstance(at, Index) else ir.Constant(INT64, at)])
        return self.builder.bitcast(first, ir.VectorType(element or self.element, count).as_pointer())

    def __getitem__(self, at):
        loaded = self.builder.load(self.pointer(at))
        loaded.align = self.element.width // 8
        if self.element.width < 32:
            loaded = self.builder.sext(loaded, _EIGHT_INT32)
        return Lanes(self.builder, loaded)

    def __setitem__(self, at, lanes):
        value = lanes.value
        if self.element.width < 32:
            value = self.builder.trunc(value, ir.VectorType(self.element, LANES))
        self.builder.store(value, self.pointer(at)).align = self.element.width // 8


class Lanes:
    """Eight int32 in a vector register. Nothing saturates by itself: sums and shifts have to fit int32."""

    def __init__(self, builder, value):
        self.builder, self.value = builder, value

    def _of(self, other):
        if isinstance(other, Lanes):
            return other.value
        return ir.Constant(_EIGHT_INT32, [other] * LANES)

    def _lanes(self, value):
        return Lanes(self.builder, value)

    def __add__(self, other):
        return self._lanes(self.builder.add(self.value, self._of(other)))

    def __sub__(self, other):
        return self._lanes(self.builder.sub(self.value, self._of(other)))

    def __and__(self, other):
        return self._lanes(self.builder.and_(self.value, self._of(other)))

    def __lshift__(self, other):
        return self._lanes(self.builder.shl(self.value, self._of(other)))

    def __rshift__(self, other):
        return self._lanes(self.builder.ashr(self.value, self._of(other)))

    def clip(self, low, high):
        """Return the values limited to `low` .. `high`."""
        lowest = self._of(low)
        raised = self.builder.select(self.builder.icmp_signed("<", self.value, lowest), lowest, self.value)
        highest = self._of(high)
        return self._lanes(
            self.builder.select(self.builder.icmp_signed(">", raised, highest), highest, raised)
        )


def splat(builder, value, kind=_EIGHT_INT32):
    """Return a vector of `kind` with the integer `value` in each lane."""
    undefined = ir.Constant(kind, ir.Undefined)
    first = builder.insert_element(undefined, value, ir.Constant(INT32, 0))
    return builder.shuffle_vector(first, undefined, ir.Constant(_EIGHT_INT32, [0] * LANES))


def mulr(a, b):
    """Return `(a * b + 2**30) >> 31`; the products of our operands fit int32 after the shift."""
    build = a.builder
    wide = build.mul(build.sext(a.value, _EIGHT_INT64), build.sext(b.value, _EIGHT_INT64))
    rounded = build.add(wide, ir.Constant(_EIGHT_INT64, [1 << 30] * LANES))
    return Lanes(
        build, build.trunc(build.ashr(rounded, ir.Constant(_EIGHT_INT64, [31] * LANES)), _EIGHT_INT32)
    )


def rshift(value, bits):
    """Shift right by `bits` >= 1, to the nearest, halves up, without a sum that could wrap."""
    return ((value >> (bits - 1)) + 1) >> 1 if bits > 1 else (value >> 1) + (value & 1)


def saturate16(value):
    return value.clip(-32768, 32767)


def add_saturating(a, b):
    """Return `saturate32(a + b)`."""
    signature = ir.FunctionType(_EIGHT_INT32, [_EIGHT_INT32, _EIGHT_INT32])
    function = cgutils.get_or_insert_function(a.builder.module, signature, "llvm.sadd.sat.v8i32")
    return Lanes(a.builder, a.builder.call(function, [a.value, b.value]))


def shift_left_saturating(value, bits):
    """Return `saturate32(value << bits)` for 0 <= `bits` <= 30."""
    build = value.builder
    shifted = value << bits
    kept = build.icmp_signed("==", (shifted >> bits).value, value.value)
    extreme = build.xor((value >> 31).value, ir.Constant(_EIGHT_INT32, [0x7FFFFFFF] * LANES))
    return Lanes(build, build.select(kept, shifted.value, extreme))


def sigmoid(z):
    """Return s(z) in Q0.31 for `z` in Q15.16."""
    return _interpolate(z.clip(-_SIXTEEN, _SIXTEEN))


def tanh(z):
    """Return tanh(z) in Q0.31 for `z` in Q15.16."""
    return (_interpolate(z.clip(-_SIXTEEN // 2, _SIXTEEN // 2) << 1) - (1 << 30)) << 1


def tanh_of_cell(cell):
    """Return tanh in Q0.31 of `cell` in Q8.23."""
    return (sigmoid(rshift(cell, 6)) - (1 << 30)) << 1


def _interpolate(q):
    """Look the logistic function up, linear between knots, for `q` within 16 in Q15.16."""
    knot, step = _knot_and_step(q.builder, (q >> 11) + 512)
    return knot + mulr(step, (q & 2047) << 20)


def _knot_and_step(builder, indices):
    """Load, for each lane, a knot and the distance to the next one: one 64-bit load for both."""
    table = builder.module.globals.get("edgelstm.sigmoid") or _make_table(builder.module)
    pointers = ir.VectorType(INT64.as_pointer(), LANES)
    first = splat(builder, builder.ptrtoint(table, INT64), _EIGHT_INT64)
    offsets = builder.shl(builder.zext(indices.value, _EIGHT_INT64), ir.Constant(_EIGHT_INT64, [3] * LANES))
    addresses = builder.inttoptr(builder.add(first, offsets), pointers)
    mask = ir.VectorType(ir.IntType(1), LANES)
    signature = ir.FunctionType(_EIGHT_INT64, [pointers, INT32, mask, _EIGHT_INT64])
    gather = cgutils.get_or_insert_function(builder.module, signature, "llvm.masked.gather.v8i64.v8p0")
    pairs = builder.call(
        gather,
        [
            addresses,
            ir.Constant(INT32, 8),
            ir.Constant(mask, [1] * LANES),
            ir.Constant(_EIGHT_INT64, ir.Undefined),
        ],
    )
    high = builder.lshr(pairs, ir.Constant(_EIGHT_INT64, [32] * LANES))
    return tuple(Lanes(builder, builder.trunc(half, _EIGHT_INT32)) for half in (pairs, high))


def _make_table(module):
    entries = [
        int(low) | (int(following) - int(low)) << 32
        for low, following in zip(KNOTS[:-1], KNOTS[1:], strict=True)
    ]
    constant = ir.Constant(ir.ArrayType(INT64, len(entries)), entries)
    table = ir.GlobalVariable(module, constant.type, "edgelstm.sigmoid")
    table.linkage, table.global_constant, table.initializer, table.align = "internal", True, constant, 64
    return table
