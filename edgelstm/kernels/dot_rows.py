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
_HIGH, _LOW = 0, 1


class _Bytes:
    """Four products of bytes added to an int32, for `rows` rows by one instruction.

    groups  how many row groups at once keep their sums in registers, and how many of what is left
    turns   how many sums a single one has
    """

    def __init__(self, rows, groups, turns, flipped, offset):
        self.rows, self.groups, self.turns, self.flipped, self.offset = rows, groups, turns, flipped, offset

    def beginning(self, offsets):
        return [ir.Constant(_SUMS, None), (offsets * self.offset).value]

    def activations(self, build, quad):
        """Return the high bytes and the low bytes of four activations, those of one kind flipped, repeated for each row."""
        repeated = build.bitcast(
            splat(build, quad, ir.VectorType(INT64, LANES)), ir.VectorType(INT8, 2 * BLOCK)
        )
        planes = [
            build.shuffle_vector(
                repeated,
                ir.Constant(repeated.type, ir.Undefined),
                ir.Constant(ir.VectorType(INT32, BLOCK), [2 * n + byte for n in range(BLOCK)]),
            )
            for byte in (1, 0)
        ]
        planes[self.flipped] = build.xor(planes[self.flipped], ir.Constant(_BYTES, [0x80] * BLOCK))
        return planes

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
        super().__init__(rows, groups, turns, flipped=_HIGH, offset=0x8000)

    def instruct(self, build, sums, weights, activations):
        name = f"llvm.x86.avx512.vpdpbusd.{32 * self.rows}"
        function = cgutils.get_or_insert_function(
            build.module, ir.FunctionType(sums.type, [sums.type] * 3), name
        )
        return build.call(function, [sums, activations, weights])


class _Sdot(_Bytes):
    """Signed activations: the low byte is flipped."""

    def __init__(self):
        super().__init__(rows=4, groups=(2, 2), turns=2, flipped=_LOW, offset=-0x80)

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

    groups, turns = (2, 2), 2

    def beginning(self, offsets):
        del offsets
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


def dot_rows(weights, first_weight, quad_bytes, quads, source, minus_weight_sums):
    """Return, as Lanes, the sums of the rows of some groups of packed `weights` times `source`.

    weights  int8  from `first_weight` on: the blocks of the groups side by side, `quad_bytes` further for each quad
    source   int16 (4 * quads,)
    minus_weight_sums  Lanes for each group: minus the sum of each row's weights

    The groups share each broadcast of four activations. A single one has several sums, in turn: an instruction waits for
    the one before it on the same sum.
    """
    build, form = weights.builder, _FORMS[dot()]
    turns = form.turns if len(minus_weight_sums) == 1 else 1
    nothing = Lanes(build, ir.Constant(_SUMS, None))
    sums = [
        [
            [cgutils.alloca_once_value(build, value) for value in form.beginning(offsets)]
            for offsets in (minus_weight_sums if turn == 0 else [nothing] * len(minus_weight_sums))
        ]
        for turn in range(turns)
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
