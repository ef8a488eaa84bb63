"""The inner product of the row products, written as vector instructions for LLVM.

One definition serves every processor. It multiplies pairs of int16 and adds neighbours, which LLVM turns into
`vpmaddwd` (AVX2, AVX-512), `pmaddwd` (SSE2) or widening multiplies (AArch64): `tests/parity` looks for the
mnemonics. Sums are integers, so the order cannot change a bit.
"""

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

LANES = 8


def _dot_rows(groups):
    """Make the function that sums `groups` row groups at once, so that they share each broadcast of a pair."""

    @intrinsic
    def dot_rows(typing_context, weights, first_weight, stride, pairs, source, accumulators):
        """Write the sums of `groups * LANES` rows of packed `weights` times `source`.

        weights       int8  (bytes,)   from `first_weight` on; each row group is `stride` bytes after the last
        source        int16 (2 * pairs,)
        accumulators  int32 (groups * LANES,)  written
        """
        signature = types.void(weights, types.intp, types.intp, types.intp, source, accumulators)
        return signature, lambda *call: _emit_dot_rows(groups, *call)

    return dot_rows


def _emit_dot_rows(groups, context, builder, signature, arguments):
    weights, first_weight, stride, pairs, source, accumulators = arguments
    int8, int16, int32 = (ir.IntType(bits) for bits in (8, 16, 32))
    sums_type = ir.VectorType(int32, LANES)

    def pointer(position, array):
        return context.make_array(signature.args[position])(context, builder, array).data

    def index(value):
        return ir.Constant(first_weight.type, value)

    group_bytes = [builder.add(first_weight, builder.mul(stride, index(group))) for group in range(groups)]
    rows = [builder.gep(pointer(0, weights), [offset]) for offset in group_bytes]
    pair_values = builder.bitcast(pointer(4, source), int32.as_pointer())
    sums = [cgutils.alloca_once_value(builder, ir.Constant(sums_type, None)) for _ in range(groups)]
    with cgutils.for_range(builder, pairs) as loop:
        pair = builder.load(builder.gep(pair_values, [loop.index]))
        broadcast = builder.bitcast(_splat(builder, pair, sums_type), ir.VectorType(int16, 2 * LANES))
        for group in range(groups):
            at = builder.gep(rows[group], [builder.mul(loop.index, index(2 * LANES))])
            eight_pairs = builder.load(builder.bitcast(at, ir.VectorType(int8, 2 * LANES).as_pointer()))
            eight_pairs.align = 1
            added = builder.add(builder.load(sums[group]), _multiply_pairs(builder, eight_pairs, broadcast))
            builder.store(added, sums[group])
    out = pointer(5, accumulators)
    for group in range(groups):
        at = builder.bitcast(builder.gep(out, [index(group * LANES)]), sums_type.as_pointer())
        builder.store(builder.load(sums[group]), at).align = 4
    return context.get_dummy_value()


def _splat(builder, value, vector_type):
    undefined = ir.Constant(vector_type, ir.Undefined)
    first = builder.insert_element(undefined, value, ir.Constant(ir.IntType(32), 0))
    zeros = ir.Constant(ir.VectorType(ir.IntType(32), vector_type.count), [0] * vector_type.count)
    return builder.shuffle_vector(first, undefined, zeros)


def _multiply_pairs(builder, weights, activations):
    """Return, for each of LANES rows, w0 * x0 + w1 * x1 as int32: at most 2 * 127 * 32768, which cannot wrap."""
    wide = ir.VectorType(ir.IntType(32), 2 * LANES)
    products = builder.mul(builder.sext(weights, wide), builder.sext(activations, wide))
    undefined = ir.Constant(wide, ir.Undefined)
    half = ir.VectorType(ir.IntType(32), LANES)
    even, odd = (
        builder.shuffle_vector(products, undefined, ir.Constant(half, list(range(first, 2 * LANES, 2))))
        for first in (0, 1)
    )
    return builder.add(even, odd)


dot_four_groups = _dot_rows(4)
dot_one_group = _dot_rows(1)
