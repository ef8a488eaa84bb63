"""Sixteen int32 at a time: the vector instructions of a kernel, written as its equations.

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

from edgelstm.kernels.instructions import on_arm
from edgelstm.reference import row_product

LANES = row_product.LANES
INT8, INT16, INT32, INT64 = (ir.IntType(bits) for bits in (8, 16, 32, 64))
INT32S = ir.VectorType(INT32, LANES)


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
    """An array of int8, int16 or int32: `array[at]` loads the LANES values from `at` on as `Lanes`."""

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
            loaded = self.builder.sext(loaded, INT32S)
        return Lanes(self.builder, loaded)

    def __setitem__(self, at, lanes):
        value = lanes.value
        if self.element.width < 32:
            value = self.builder.trunc(value, ir.VectorType(self.element, LANES))
        self.builder.store(value, self.pointer(at)).align = self.element.width // 8


class Lanes:
    """LANES int32 in vector registers. Nothing saturates by itself: sums and shifts have to fit int32."""

    def __init__(self, builder, value):
        self.builder, self.value = builder, value

    def _of(self, other):
        if isinstance(other, Lanes):
            return other.value
        return ir.Constant(INT32S, [other] * LANES)

    def _lanes(self, value):
        return Lanes(self.builder, value)

    def __add__(self, other):
        return self._lanes(self.builder.add(self.value, self._of(other)))

    def __sub__(self, other):
        return self._lanes(self.builder.sub(self.value, self._of(other)))

    def __mul__(self, other):
        return self._lanes(self.builder.mul(self.value, self._of(other)))

    def __and__(self, other):
        return self._lanes(self.builder.and_(self.value, self._of(other)))

    def __lshift__(self, other):
        return self._lanes(self.builder.shl(self.value, self._of(other)))

    def __rshift__(self, other):
        return self._lanes(self.builder.ashr(self.value, self._of(other)))

    def minimum(self, highest):
        """Return the values limited to at most `highest`."""
        most = self._of(highest)
        return self._lanes(
            self.builder.select(self.builder.icmp_signed("<", self.value, most), self.value, most)
        )

    def with_sign_of(self, other):
        """Return the values, negated in the lanes where `other` is negative."""
        zero = ir.Constant(self.value.type, None)
        negative = self.builder.icmp_signed("<", other.value, zero)
        return self._lanes(self.builder.select(negative, self.builder.sub(zero, self.value), self.value))

    def clip(self, low, high):
        """Return the values limited to `low` .. `high`."""
        lowest = self._of(low)
        raised = self.builder.select(self.builder.icmp_signed("<", self.value, lowest), lowest, self.value)
        highest = self._of(high)
        return self._lanes(
            self.builder.select(self.builder.icmp_signed(">", raised, highest), highest, raised)
        )


def splat(builder, value, kind=INT32S):
    """Return a vector of `kind` with the integer `value` in each lane."""
    undefined = ir.Constant(kind, ir.Undefined)
    first = builder.insert_element(undefined, value, ir.Constant(INT32, 0))
    return builder.shuffle_vector(
        first, undefined, ir.Constant(ir.VectorType(INT32, kind.count), [0] * kind.count)
    )


def mulr(a, b):
    """Return `(a * b + 2**30) >> 31`, which has to fit int32."""
    return Lanes(a.builder, (_mulr_of_arm if on_arm() else _mulr)(a.builder, a.value, b.value))


def _mulr(build, a, b):
    """Multiply even and odd lanes apart: the processors of a PC have no other widening product."""
    halves, pair = ir.VectorType(INT64, LANES // 2), lambda bits: ir.Constant(halves, [bits] * (LANES // 2))
    a, b = build.bitcast(a, halves), build.bitcast(b, halves)
    odd = build.mul(build.ashr(a, pair(32)), build.ashr(b, pair(32)))
    even = build.mul(
        build.ashr(build.shl(a, pair(32)), pair(32)), build.ashr(build.shl(b, pair(32)), pair(32))
    )
    low = build.bitcast(build.lshr(build.add(even, pair(1 << 30)), pair(31)), INT32S)
    high = build.bitcast(build.shl(build.add(odd, pair(1 << 30)), pair(1)), INT32S)
    merged = [lane + LANES * (lane % 2) for lane in range(LANES)]
    return build.shuffle_vector(low, high, ir.Constant(INT32S, merged))


def _mulr_of_arm(build, a, b):
    """One instruction, on each register of four."""
    four = ir.VectorType(INT32, 4)
    signature = ir.FunctionType(four, [four, four])
    function = cgutils.get_or_insert_function(build.module, signature, "llvm.aarch64.neon.sqrdmulh.v4i32")
    return in_parts(build, 4, lambda *parts: build.call(function, parts), a, b)


def in_parts(build, size, operation, *vectors):
    """Apply `operation` to every `size` consecutive elements of `vectors`, and join what it returns."""
    results = [
        operation(*(part(build, vector, first, size) for vector in vectors))
        for first in range(0, vectors[0].type.count, size)
    ]
    return join(build, results)


def part(build, vector, first, size):
    """Return `size` consecutive elements of a vector, from `first` on."""
    chosen = ir.Constant(ir.VectorType(INT32, size), list(range(first, first + size)))
    return build.shuffle_vector(vector, ir.Constant(vector.type, ir.Undefined), chosen)


def join(build, vectors):
    """Return the elements of `vectors`, a power of two of them, in one vector."""
    while len(vectors) > 1:
        both = ir.VectorType(INT32, 2 * vectors[0].type.count)
        every = ir.Constant(both, list(range(both.count)))
        vectors = [build.shuffle_vector(*two, every) for two in zip(vectors[::2], vectors[1::2], strict=True)]
    return vectors[0]


def all_changed_if(flag, values, change):
    """Return `change(value, number)` for each of `values` where the Index `flag` is not 0, else `values`."""
    build = values[0].builder
    results = [cgutils.alloca_once_value(build, value.value) for value in values]
    with build.if_then(build.icmp_signed("!=", flag.value, ir.Constant(INT64, 0)), likely=False):
        for number, (result, value) in enumerate(zip(results, values, strict=True)):
            build.store(change(value, number).value, result)
    return [Lanes(build, build.load(result)) for result in results]


def rshift(value, bits):
    """Shift right by `bits` >= 1, to the nearest, halves up, without a sum that could wrap."""
    return ((value >> (bits - 1)) + 1) >> 1 if bits > 1 else (value >> 1) + (value & 1)


def saturate16(value):
    return value.clip(-32768, 32767)


def saturate31(value):
    return value.clip(-(1 << 30), (1 << 30) - 1)


def shift_left_saturating(value, bits):
    """Return `saturate32(value << bits)` for 0 <= `bits` <= 30."""
    build = value.builder
    shifted = value << bits
    kept = build.icmp_signed("==", (shifted >> bits).value, value.value)
    extreme = build.xor((value >> 31).value, ir.Constant(INT32S, [0x7FFFFFFF] * LANES))
    return Lanes(build, build.select(kept, shifted.value, extreme))
