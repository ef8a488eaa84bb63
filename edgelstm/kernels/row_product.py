"""Rows of int8 weights times a vector of int16; twin in `reference/row_product.py`."""

import numpy as np

from edgelstm.kernels.compiled import COMPILES, njit
from edgelstm.kernels.fixed_point import mulr, saturate32

LANES = 8
GROUP_BYTES_PER_PAIR = 2 * LANES

if COMPILES:
    from edgelstm.kernels.dot_rows import dot_four_groups, dot_one_group
else:  # plain Python reads the same packed weights

    def _dot(groups, weights, first_weight, stride, pairs, source, accumulators):
        for row in range(groups * LANES):
            at = first_weight + (row // LANES) * stride + 2 * (row % LANES)
            total = 0
            for pair in range(pairs):
                for side in range(2):
                    total += int(weights[at + pair * GROUP_BYTES_PER_PAIR + side]) * int(source[2 * pair + side])
            accumulators[row] = total

    def dot_four_groups(*arguments):
        _dot(4, *arguments)

    def dot_one_group(*arguments):
        _dot(1, *arguments)


@njit
def row_product(weights, multipliers, shifts, bias, groups, pairs, source, accumulators, result, accumulate):
    """Compute `bias + mulr(sat32((weights . source) << shifts), multipliers)` for every row.

    weights       int8   packed: groups x pairs x LANES rows x 2 columns
    multipliers   int32  (groups * LANES,)  0 <= M < 2**30
    shifts        int32  (groups * LANES,)  0 to 30
    bias          int32  (groups * LANES,)
    source        int16  (2 * pairs,)       activations, zero in the padding
    accumulators  int32  (4 * LANES,)       scratch
    result        int32  (groups * LANES,)  written, or added to where `accumulate` is not 0
    """
    stride = pairs * GROUP_BYTES_PER_PAIR
    group = 0
    while group < groups:
        together = 4 if group + 4 <= groups else 1
        if together == 4:
            dot_four_groups(weights, group * stride, stride, pairs, source, accumulators)
        else:
            dot_one_group(weights, group * stride, stride, pairs, source, accumulators)
        first = group * LANES
        for row in range(together * LANES):
            at = first + row
            part = bias[at] + mulr(saturate32(np.int64(accumulators[row]) << shifts[at]), multipliers[at])
            result[at] = result[at] + part if accumulate else part
        group += together
