"""The inner product of the row products, by the dot-product instruction that the processor has.

Weights are packed as blocks of LANES rows by four columns, the blocks of eight row groups side by side. An int16 activation is two bytes and a row has two sums,
`(high << 8) + low`, because the instructions multiply bytes. They want the two bytes of one sign: one byte has its top
bit flipped, which reads it 128 off, and the sum of a row's weights, times `activation_offset()`, makes that good.
Sums may wrap on the way; the last one fits int32.
"""

from llvmlite import ir
from numba.core import cgutils

from edgelstm.kernels.instructions import Dot, dot
from edgelstm.kernels.lanes import INT8, INT16, INT32, INT64, LANES, Index, Lanes, in_parts, splat
from edgelstm.reference.row_product import QUAD

BLOCK = QUAD * LANES
_SUMS = ir.VectorType(INT32, LANES)
_BYTES = ir.VectorType(INT8, BLOCK)


class _Bytes:
    """Four products of bytes added to an int32, for `rows` rows by one instruction.

    groups  how many row groups at once keep their sums in registers, and how many of what is left
    turns   how many sums a single one has
    """

    def __init__(self, rows, groups, turns, flip, offset):
        self.rows, self.groups, self.turns, self.flip, self.offset = rows, groups, turns, flip, offset

    def zeros(self):
        return [ir.Constant(_SUMS, None)] * 2

    def activations(self, build, quad):
        """Return the high bytes and the low bytes of four activations, one byte flipped, repeated for each row."""
        flipped = build.xor(quad, ir.Constant(INT64, self.flip * 0x0001_0001_0001_0001))
        repeated = build.bitcast(
            splat(build, flipped, ir.VectorType(INT64, LANES)), ir.VectorType(INT8, 2 * BLOCK)
        )
        return [
            build.shuffle_vector(
                repeated,
                ir.Constant(repeated.type, ir.Undefined),
                ir.Constant(ir.VectorType(INT32, BLOCK), [2 * n + byte for n in range(BLOCK)]),
            )
            for byte in (1, 0)
        ]

    def add(self, build, sums, weights, activations):
        return [
            in_parts(
                build, self.rows, lambda *of: self.instruct(build, *of), total,
                build.bitcast(weights, _SUMS), build.bitcast(values, _SUMS),
            )
            for total, values in zip(sums, activations, strict=True)
        ]  # fmt: skip

    def total(self, build, sums):
        high, low = sums
        return build.add(build.shl(high, ir.Constant(_SUMS, [8] * LANES)), low)


class _Vpdpbusd(_Bytes):
    """Unsigned activations: the high byte is flipped."""

    def __init__(self, rows, groups, turns):
        super().__init__(rows, groups, turns, flip=0x8000, offset=-0x8000)

    def instruct(self, build, sums, weights, activations):
        name = f"llvm.x86.avx512.vpdpbusd.{32 * self.rows}"
        function = cgutils.get_or_insert_function(
            build.module, ir.FunctionType(sums.type, [sums.type] * 3), name
        )
        return build.call(function, [sums, activations, weights])


class _Sdot(_Bytes):
    """Signed activations: the low byte is flipped."""

    def __init__(self):
        super().__init__(rows=4, groups=(2, 2), turns=2, flip=0x80, offset=0x80)

    def instruct(self, build, sums, weights, activations):
        bytes_of = ir.VectorType(INT8, QUAD * self.rows)
        function = cgutils.get_or_insert_function(
            build.module,
            ir.FunctionType(sums.type, [sums.type, bytes_of, bytes_of]),
            "llvm.aarch64.neon.sdot.v4i32.v16i8",
        )
        return build.call(
            function, [sums, build.bitcast(weights, bytes_of), build.bitcast(activations, bytes_of)]
        )


class _Pairs:
    """Products of int16, neighbours added: LLVM makes `vpmaddwd`, `pmaddwd` or widening multiplies of it."""

    groups, turns, offset = (2, 2), 2, 0

    def zeros(self):
        return [ir.Constant(ir.VectorType(INT32, 2 * LANES), None)]

    def activations(self, build, quad):
        return build.bitcast(splat(build, quad, ir.VectorType(INT64, LANES)), ir.VectorType(INT16, BLOCK))

    def add(self, build, sums, weights, activations):
        wide = ir.VectorType(INT32, BLOCK)
        products = build.mul(build.sext(weights, wide), build.sext(activations, wide))
        return [build.add(sums[0], _add_neighbours(build, products))]

    def total(self, build, sums):
        return _add_neighbours(build, sums[0])


def _add_neighbours(build, values):
    count = values.type.count // 2
    even, odd = (
        build.shuffle_vector(
            values,
            ir.Constant(values.type, ir.Undefined),
            ir.Constant(ir.VectorType(INT32, count), [2 * n + which for n in range(count)]),
        )
        for which in (0, 1)
    )
    return build.add(even, odd)


_FORMS = {
    Dot.VPDPBUSD_512: _Vpdpbusd(rows=16, groups=(8, 4), turns=4),
    Dot.VPDPBUSD_256: _Vpdpbusd(rows=8, groups=(2, 2), turns=2),
    Dot.SDOT: _Sdot(),
    Dot.PAIRS: _Pairs(),
}


def groups_at_once():
    """Return how many row groups at once keep their sums in registers, and how many of what is left."""
    return _FORMS[dot()].groups


def activation_offset():
    """Return what the sum of a row's weights is multiplied with, and added, to undo the flipped bits."""
    return _FORMS[dot()].offset


def dot_rows(groups, weights, first_weight, quad_bytes, quads, source):
    """Return, as `groups` Lanes, the sums of `groups * LANES` rows of packed `weights` times `source`.

    weights  int8  from `first_weight` on: the blocks of the groups side by side, `quad_bytes` further for each quad
    source   int16 (4 * quads,)

    The groups share each broadcast of four activations. A single one has several sums, in turn: an instruction waits for
    the one before it on the same sum. The offset is not yet added.
    """
    build, form = weights.builder, _FORMS[dot()]
    turns = form.turns if groups == 1 else 1
    sums = [
        [[cgutils.alloca_once_value(build, zero) for zero in form.zeros()] for _ in range(groups)]
        for _ in range(turns)
    ]
    quad_values = build.bitcast(source.data, INT64.as_pointer())

    def add_quad(number, of_groups):
        quad = build.load(build.gep(quad_values, [number]))
        quad.align = 2
        activations = form.activations(build, quad)
        here = first_weight + quad_bytes * Index(build, number)
        for group, of_group in enumerate(of_groups):
            packed = build.load(weights.pointer(here + group * BLOCK, INT8, BLOCK))
            packed.align = BLOCK
            added = form.add(build, [build.load(total) for total in of_group], packed, activations)
            for total, value in zip(of_group, added, strict=True):
                build.store(value, total)

    rounds = build.udiv(quads.value, ir.Constant(INT64, turns))
    with cgutils.for_range(build, rounds) as loop:
        first = build.mul(loop.index, ir.Constant(INT64, turns))
        for turn in range(turns):
            add_quad(build.add(first, ir.Constant(INT64, turn)), sums[turn])
    if turns > 1:
        with cgutils.for_range(
            build, quads.value, start=build.mul(rounds, ir.Constant(INT64, turns))
        ) as loop:
            add_quad(loop.index, sums[0])
    return [
        sum_of(
            [
                Lanes(build, form.total(build, [build.load(total) for total in of_group]))
                for of_group in in_turn
            ]
        )
        for in_turn in zip(*sums, strict=True)
    ]


def sum_of(parts):
    total, *rest = parts
    for part in rest:
        total = total + part
    return total
