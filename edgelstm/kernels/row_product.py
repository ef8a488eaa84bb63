"""Rows of int8 weights times a vector of int16; twin in `reference/row_product.py`."""

from edgelstm.kernels.compiled import njit
from edgelstm.kernels.dot_rows import BLOCK, activation_offset, dot_rows, groups_at_once
from edgelstm.kernels.lanes import LANES, changed_if, mulr, over_lanes, shift_left_saturating
from edgelstm.reference.row_product import PANEL


def _row_groups(groups):
    """Make the function for `groups` row groups at once."""

    @over_lanes
    def row_groups(
        weights, first_weight, quad_bytes, multipliers, shifts, bias, weight_sums, quads, source, result,
        first_row, accumulate, shifted,
    ):  # fmt: skip
        sums = dot_rows(groups, weights, first_weight, quad_bytes, quads, source)
        for group, total in enumerate(sums):
            at = first_row + group * LANES
            total = total + weight_sums[at] * activation_offset()
            total = changed_if(shifted, total, lambda value, at=at: shift_left_saturating(value, shifts[at]))
            part = bias[at] + mulr(total, multipliers[at])
            result[at] = part + (result[at] & (accumulate * -1).in_lanes())

    return row_groups


_MANY, _SOME = groups_at_once()
_many_groups, _some_groups, _one_group = _row_groups(_MANY), _row_groups(_SOME), _row_groups(1)


@njit(inlined=True)
def row_product(
    weights,
    multipliers,
    shifts,
    bias,
    weight_sums,
    groups,
    quads,
    source,
    result,
    accumulate,
    shifted,
    backward,
):
    """Compute `bias + mulr(sat32((weights . source) << shifts), multipliers)` for every row.

    weights      int8   packed: panels of 4 groups x quads x groups x LANES rows x 4 columns
    multipliers  int32  (groups * LANES,)  0 <= M < 2**30
    shifts       int32  (groups * LANES,)  0 to 30; all 0 where `shifted` is 0
    bias         int32  (groups * LANES,)
    weight_sums  int32  (groups * LANES,)  of each row
    source       int16  (4 * quads,)       activations; anything in the padding, its weights are 0
    result       int32  (groups * LANES,)  written, or added to where `accumulate` is 1 and not 0
    backward     1 to begin at the last rows: what the product before read last is still in the cache
    """
    panels = (groups + PANEL - 1) // PANEL
    for n in range(panels):
        panel = (panels - 1 - n if backward else n) * PANEL
        size = min(PANEL, groups - panel)
        first_weight, quad_bytes = panel * quads * BLOCK, size * BLOCK
        group = 0
        while group + _MANY <= size:
            _many_groups(
                weights, first_weight + group * BLOCK, quad_bytes, multipliers, shifts, bias, weight_sums,
                quads, source, result, (panel + group) * LANES, accumulate, shifted,
            )  # fmt: skip
            group += _MANY
        while _SOME < _MANY and group + _SOME <= size:
            _some_groups(
                weights, first_weight + group * BLOCK, quad_bytes, multipliers, shifts, bias, weight_sums,
                quads, source, result, (panel + group) * LANES, accumulate, shifted,
            )  # fmt: skip
            group += _SOME
        while group < size:
            _one_group(
                weights, first_weight + group * BLOCK, quad_bytes, multipliers, shifts, bias, weight_sums,
                quads, source, result, (panel + group) * LANES, accumulate, shifted,
            )  # fmt: skip
            group += 1
