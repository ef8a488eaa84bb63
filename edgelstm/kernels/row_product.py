"""Rows of int8 weights times a vector of int16; twin in `reference/row_product.py`."""

from edgelstm.kernels.compiled import njit
from edgelstm.kernels.dot_rows import BLOCK, dot_rows, groups_at_once
from edgelstm.kernels.lanes import LANES, all_changed_if, mulr, over_lanes, shift_left_saturating
from edgelstm.kernels.places import after
from edgelstm.reference.row_product import PANEL

_PANEL_BITS = 3
assert PANEL == 1 << _PANEL_BITS


def _row_groups(groups, side_by_side=None):
    """Make the function for `groups` row groups at once, of a panel of `side_by_side` groups or of any number."""

    @over_lanes
    def row_groups(
        weights, first_weight, quad_bytes, multipliers, shifts, bias, minus_weight_sums, quads, source, result,
        accumulate, shifted,
    ):  # fmt: skip
        places = [group * LANES for group in range(groups)]
        stride = side_by_side * BLOCK if side_by_side else quad_bytes
        sums = dot_rows(
            weights, first_weight, stride, quads, source, [minus_weight_sums[at] for at in places]
        )
        sums = all_changed_if(shifted, sums, lambda value, n: shift_left_saturating(value, shifts[places[n]]))
        for at, total in zip(places, sums, strict=True):
            part = bias[at] + mulr(total, multipliers[at])
            result[at] = part + (result[at] & (accumulate * -1).in_lanes())

    return row_groups


_MANY, _SOME = groups_at_once()
_many_groups, _some_groups, _one_group = _row_groups(_MANY), _row_groups(_SOME), _row_groups(1)
_only_group = _row_groups(1, side_by_side=1)


@njit(inlined=True)
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
    rows,
    source_step,
    result_step,
):
    """Compute `bias + mulr(sat32((weights . source) << shifts), multipliers)` for several sources: the twin has one.

    weights      int8   packed: panels of 8 groups x quads x groups x LANES rows x 4 columns
    multipliers  int32  (groups * LANES,)  0 <= M < 2**30
    shifts       int32  (groups * LANES,)  0 to 30; all 0 where `shifted` is 0
    bias         int32  (groups * LANES,)
    minus_weight_sums  int32  (groups * LANES,)  of each row
    source       int16  (4 * quads,)       activations; anything in the padding, its weights are 0
    result       int32  (groups * LANES,)  written, or added to where `accumulate` is 1 and not 0
    backward     1 to begin at the last rows: what the product before read last is still in the cache
    rows         how many sources; each panel of weights serves all of them before the next one is read
    source_step, result_step  how many values a source, and its result, are after those of the one before
    """
    if groups == 1:
        for row in range(rows):
            _only_group(
                weights, 0, 0, multipliers, shifts, bias, minus_weight_sums, quads,
                after(source, row * source_step), after(result, row * result_step), accumulate, shifted,
            )  # fmt: skip
        return
    panels = (groups + PANEL - 1) >> _PANEL_BITS
    for n in range(panels):
        panel = (panels - 1 - n if backward else n) * PANEL
        size = min(PANEL, groups - panel)
        panel_weights, quad_bytes = after(weights, panel * quads * BLOCK), size * BLOCK
        for row in range(rows):
            values, results = after(source, row * source_step), after(result, row * result_step)
            group = 0
            while group + _MANY <= size:
                at = (panel + group) * LANES
                _many_groups(
                    panel_weights, group * BLOCK, quad_bytes, after(multipliers, at), after(shifts, at),
                    after(bias, at), after(minus_weight_sums, at), quads, values, after(results, at),
                    accumulate, shifted,
                )  # fmt: skip
                group += _MANY
            while _SOME < _MANY and group + _SOME <= size:
                at = (panel + group) * LANES
                _some_groups(
                    panel_weights, group * BLOCK, quad_bytes, after(multipliers, at), after(shifts, at),
                    after(bias, at), after(minus_weight_sums, at), quads, values, after(results, at),
                    accumulate, shifted,
                )  # fmt: skip
                group += _SOME
            while group < size:
                at = (panel + group) * LANES
                _one_group(
                    panel_weights, group * BLOCK, quad_bytes, after(multipliers, at), after(shifts, at),
                    after(bias, at), after(minus_weight_sums, at), quads, values, after(results, at),
                    accumulate, shifted,
                )  # fmt: skip
                group += 1
