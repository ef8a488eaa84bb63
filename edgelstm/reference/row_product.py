"""Rows of int8 weights times a vector of int16, brought to a fixed point by one multiplier a row."""

import numpy as np
from numpy.typing import NDArray

from edgelstm.reference.fixed_point import mulr, saturate32

LANES = 16
"""Rows that are packed together; the number of rows is padded to a multiple of it."""

QUAD = 4
"""Columns that are packed together."""


PANEL = 8
"""Row groups whose weights for the same columns lie side by side: one stream through memory."""


def pack_rows(weights: NDArray[np.int8]) -> NDArray[np.int8]:
    """Pack (rows, columns), of rows a multiple of LANES, in the order in which a product reads them."""
    rows, columns = weights.shape
    groups, quads = rows // LANES, -(-columns // QUAD)
    padded = np.pad(weights, ((0, 0), (0, QUAD * quads - columns)))
    by_group = padded.reshape(groups, LANES, quads, QUAD)
    panels = [by_group[first : first + PANEL].transpose(2, 0, 1, 3) for first in range(0, groups, PANEL)]
    return np.concatenate([panel.reshape(-1) for panel in panels])


def unpack_rows(packed: NDArray[np.int8], groups: int, quads: int) -> NDArray[np.int8]:
    """Return the matrix (groups * LANES, 4 * quads) that `pack_rows` packed, with the columns of its padding."""
    panels = []
    for first in range(0, groups, PANEL):
        size = min(PANEL, groups - first)
        start = first * quads * LANES * QUAD
        panel = packed[start : start + size * quads * LANES * QUAD].reshape(quads, size, LANES, QUAD)
        panels.append(panel.transpose(1, 2, 0, 3).reshape(size * LANES, QUAD * quads))
    return np.concatenate(panels)


def row_product(
    weights,
    multipliers,
    shifts,
    bias,
    minus_weight_sums,
    groups,
    quads,
    source,
    result,
    accumulate,
    shifted,
    backward,
):
    """Compute `bias + mulr(sat32((weights . source) << shifts), multipliers)` for every row.

    weights      int8   packed: panels of 8 groups x quads x groups x LANES rows x 4 columns
    multipliers  int32  (groups * LANES,)  0 <= M < 2**30
    shifts       int32  (groups * LANES,)  0 to 30; all 0 where `shifted` is 0
    bias         int32  (groups * LANES,)
    minus_weight_sums  int32  (groups * LANES,)  of each row
    source       int16  (4 * quads,)       activations; anything in the padding, its weights are 0
    result       int32  (groups * LANES,)  written, or added to where `accumulate` is 1 and not 0
    backward     1 to begin at the last rows: what the product before read last is still in the cache
    """
    del minus_weight_sums, shifted, backward  # for machine code
    rows = groups * LANES
    sums = unpack_rows(weights, groups, quads).astype(np.int64) @ source[: QUAD * quads].astype(np.int64)
    part = mulr(saturate32(sums << shifts[:rows]), multipliers[:rows].astype(np.int64)) + bias[:rows]
    result[:rows] = part + result[:rows] if accumulate else part
