"""Rows of int8 weights times a vector of int16; twin in `reference/row_product.py`."""

from edgelstm.kernels.compiled import njit
from edgelstm.kernels.dot_rows import dot_rows
from edgelstm.kernels.lanes import LANES, mulr, over_lanes, shift_left_saturating

GROUP_BYTES_PER_PAIR = 2 * LANES


def _row_groups(groups):
    """Make the function for `groups` row groups at once."""

    @over_lanes
    def row_groups(
        weights, first_weight, stride, pairs, source, multipliers, shifts, bias, result, first_row, added
    ):
        sums = dot_rows(groups, weights, first_weight, stride, pairs, source)
        for group, total in enumerate(sums):
            at = first_row + group * LANES
            part = bias[at] + mulr(shift_left_saturating(total, shifts[at]), multipliers[at])
            result[at] = part + (result[at] & added.in_lanes())

    return row_groups


_four_groups, _one_group = _row_groups(4), _row_groups(1)


@njit
def row_product(weights, multipliers, shifts, bias, groups, pairs, source, result, accumulate):
    """Compute `bias + mulr(sat32((weights . source) << shifts), multipliers)` for every row.

    weights      int8   packed: groups x pairs x LANES rows x 2 columns
    multipliers  int32  (groups * LANES,)  0 <= M < 2**30
    shifts       int32  (groups * LANES,)  0 to 30
    bias         int32  (groups * LANES,)
    source       int16  (2 * pairs,)       activations, zero in the padding
    result       int32  (groups * LANES,)  written, or added to where `accumulate` is 1 and not 0
    """
    stride = pairs * GROUP_BYTES_PER_PAIR
    group = 0
    while group + 4 <= groups:
        _four_groups(
            weights, group * stride, stride, pairs, source, multipliers, shifts, bias, result,
            group * LANES, -accumulate,
        )  # fmt: skip
        group += 4
    while group < groups:
        _one_group(
            weights, group * stride, stride, pairs, source, multipliers, shifts, bias, result,
            group * LANES, -accumulate,
        )  # fmt: skip
        group += 1
