"""Rows of int8 weights times a vector of int16, brought to a fixed point by one multiplier a row."""

import numpy as np
from numpy.typing import NDArray

from edgelstm.reference.fixed_point import mulr, saturate32

LANES = 8
"""Rows that are packed together; the number of rows is padded to a multiple of it."""


def unpack_rows(weights: NDArray[np.int8], groups: int, pairs: int) -> NDArray[np.int64]:
    """Return the matrix (groups * LANES, 2 * pairs) that `edgelstm.program` packed by row groups and column pairs."""
    packed = weights[: groups * pairs * 2 * LANES].reshape(groups, pairs, LANES, 2)
    return packed.transpose(0, 2, 1, 3).reshape(groups * LANES, 2 * pairs).astype(np.int64)


def row_product(weights, multipliers, shifts, bias, groups, pairs, source, result, accumulate):
    """Compute `bias + mulr(sat32((weights . source) << shifts), multipliers)` for every row.

    weights      int8   packed: groups x pairs x LANES rows x 2 columns
    multipliers  int32  (groups * LANES,)  0 <= M < 2**30
    shifts       int32  (groups * LANES,)  0 to 30
    bias         int32  (groups * LANES,)
    source       int16  (2 * pairs,)       activations, zero in the padding
    result       int32  (groups * LANES,)  written, or added to where `accumulate` is 1 and not 0
    """
    rows = groups * LANES
    sums = unpack_rows(weights, groups, pairs) @ source[: 2 * pairs].astype(np.int64)
    part = mulr(saturate32(sums << shifts[:rows]), multipliers[:rows].astype(np.int64)) + bias[:rows]
    result[:rows] = part + result[:rows] if accumulate else part
