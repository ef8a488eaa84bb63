"""The inner product of the row products, as vector instructions.

It multiplies pairs of int16 and adds neighbours, which LLVM turns into `vpmaddwd` (AVX2, AVX-512), `pmaddwd`
(SSE2) or widening multiplies (AArch64): `tests/parity` looks for the mnemonics.
"""

from llvmlite import ir
from numba.core import cgutils

from edgelstm.kernels.lanes import INT8, INT16, INT32, LANES, Lanes, splat

_PAIRS = 2 * LANES
_SUMS = ir.VectorType(INT32, LANES)


def dot_rows(groups, weights, first_weight, stride, pairs, source):
    """Return, as `groups` Lanes, the sums of `groups * LANES` rows of packed `weights` times `source`.

    weights  int8  from `first_weight` on; each row group begins `stride` bytes after the one before it
    source   int16 (2 * pairs,)

    The groups share each broadcast of a pair of activations, and their sums stay in registers.
    """
    build = weights.builder
    sums = [cgutils.alloca_once_value(build, ir.Constant(_SUMS, None)) for _ in range(groups)]
    pair_values = build.bitcast(source.data, INT32.as_pointer())
    with cgutils.for_range(build, pairs.value) as loop:
        pair = build.load(build.gep(pair_values, [loop.index]))
        pair.align = 2
        broadcast = build.bitcast(splat(build, pair), ir.VectorType(INT16, _PAIRS))
        in_group = build.mul(loop.index, ir.Constant(loop.index.type, _PAIRS))
        for group in range(groups):
            at = first_weight + stride * group
            packed = build.load(weights.pointer(type(at)(build, build.add(at.value, in_group)), INT8, _PAIRS))
            packed.align = 1
            build.store(
                build.add(build.load(sums[group]), _multiply_pairs(build, packed, broadcast)), sums[group]
            )
    return [Lanes(build, build.load(total)) for total in sums]


def _multiply_pairs(builder, weights, activations):
    """Return, for each of LANES rows, w0 * x0 + w1 * x1 as int32: at most 2 * 127 * 32768, which cannot wrap."""
    wide = ir.VectorType(INT32, _PAIRS)
    products = builder.mul(builder.sext(weights, wide), builder.sext(activations, wide))
    undefined = ir.Constant(wide, ir.Undefined)
    even, odd = (
        builder.shuffle_vector(products, undefined, ir.Constant(_SUMS, list(range(first, _PAIRS, 2))))
        for first in (0, 1)
    )
    return builder.add(even, odd)
