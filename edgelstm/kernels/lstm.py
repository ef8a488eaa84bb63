"""The long short-term memory cell, and a whole layer of it; twins in `reference/lstm.py`."""

from edgelstm.kernels.activations import gates, tanh_of_cells
from edgelstm.kernels.compiled import njit
from edgelstm.kernels.dot_rows import BLOCK, dot_rows, groups_at_once, sum_of
from edgelstm.kernels.lanes import (
    LANES,
    all_changed_if,
    mulr,
    over_lanes,
    rshift,
    saturate16,
    saturate31,
    shift_left_saturating,
)
from edgelstm.kernels.places import after
from edgelstm.reference.lstm import BIAS, GATES, GROUP_VECTORS, MINUS_WEIGHT_SUMS, MULTIPLIERS, SHIFT_VECTORS
from edgelstm.reference.row_product import PANEL


def _advance(z, cell, at):
    """Advance one vector of cells from the pre-activations of its four gates; return the output gate."""
    i, f, g, o = gates(*z)
    cell[at] = saturate31(mulr(f, cell[at]) + mulr(i, rshift(g, 7)))
    return o


@over_lanes
def _update_cell(z, stride, cell, at):
    z[stride * 3 + at] = _advance([z[at], z[stride + at], z[stride * 2 + at], z[stride * 3 + at]], cell, at)


def _update_hidden(vectors):
    @over_lanes
    def update(output, first, cell, hidden, at):
        places = [at + LANES * n for n in range(vectors)]
        for place, tanh_c in zip(places, tanh_of_cells(*(cell[place] for place in places)), strict=True):
            hidden[place] = saturate16(rshift(mulr(output[first + place], tanh_c), 15))

    return update


_update_four, _update_two, _update_one = (_update_hidden(vectors) for vectors in (4, 2, 1))


@njit(inlined=True)
def _hidden_vector(output, first, stride, cell, hidden):
    """Write `hidden` from the output gates at `first` and the cells."""
    at = 0
    while at + 4 * LANES <= stride:
        _update_four(output, first, cell, hidden, at)
        at += 4 * LANES
    if at + 2 * LANES <= stride:
        _update_two(output, first, cell, hidden, at)
        at += 2 * LANES
    if at < stride:
        _update_one(output, first, cell, hidden, at)


@njit(inlined=True)
def lstm_cell(z, stride, cell, hidden):
    """Advance the state of one layer from its pre-activations, in place.

    z       int32  (4 * stride,)  Q15.16, gates i, f, g, o, each padded to `stride`, a multiple of LANES; used up
    cell    int32  (stride,)      Q7.23, read, then written
    hidden  int16  (stride,)      Q0.15, written
    """
    at = 0
    while at < stride:
        _update_cell(z, stride, cell, at)
        at += LANES
    _hidden_vector(z, 3 * stride, stride, cell, hidden)


def _pre_activations(count, products, parameters, shifts, shifted):
    """Return the pre-activations, as Lanes, of `count` row groups: both products and the bias."""
    at_once = min(groups_at_once()[0], count)
    parts = []
    for number, (weights, quads, values, quad_bytes) in enumerate(products):
        minus_sums = [
            parameters[(n * GROUP_VECTORS + MINUS_WEIGHT_SUMS + number) * LANES] for n in range(count)
        ]
        totals = []
        for first in range(0, count, at_once):
            of_these = minus_sums[first : first + at_once]
            totals += dot_rows(weights, first * BLOCK, quad_bytes, quads, values, of_these)
        totals = all_changed_if(
            shifted,
            totals,
            lambda value, n, number=number: shift_left_saturating(
                value, shifts[(n * SHIFT_VECTORS + number) * LANES]
            ),
        )
        parts.append(
            [
                mulr(total, parameters[(n * GROUP_VECTORS + MULTIPLIERS + number) * LANES])
                for n, total in enumerate(totals)
            ]
        )
    biases = [parameters[(n * GROUP_VECTORS + BIAS) * LANES] for n in range(count)]
    return [sum_of(three) for three in zip(*parts, biases, strict=True)]


def _gates_of(blocks, side_by_side):
    """Make the function for `blocks` vectors of units at once, of a panel of `side_by_side` vectors."""

    @over_lanes
    def gates_of(
        input_weights, input_quads, x, hidden_weights, hidden_quads, hidden, parameters, shifts, shifted, cell, output,
    ):  # fmt: skip
        quad_bytes = side_by_side * GATES * BLOCK
        products = (
            (input_weights, input_quads, x, quad_bytes),
            (hidden_weights, hidden_quads, hidden, quad_bytes),
        )
        z = _pre_activations(blocks * GATES, products, parameters, shifts, shifted)
        for n in range(blocks):
            output[n * LANES] = _advance(z[GATES * n : GATES * (n + 1)], cell, n * LANES)

    return gates_of


_SIDE_BY_SIDE = PANEL // GATES
_AT_ONCE = max(1, min(groups_at_once()[0] // GATES, _SIDE_BY_SIDE))
_of_whole_panel, _of_last_panel = _gates_of(_AT_ONCE, _SIDE_BY_SIDE), _gates_of(1, 1)


@njit(inlined=True)
def lstm_layer(
    input_weights, input_quads, x, hidden_weights, hidden_quads, hidden, parameters, shifts, shifted, stride,
    cell, z, backward, rows, x_step, state_words, scratch_words,
):  # fmt: skip
    """Advance the state of one layer by one sample, in place, for several rows: the twin's arrays are those of one.

    input_weights, hidden_weights  int8   packed as for `row_product`, rows in the order of `by_unit`
    x                              int16  (4 * input_quads,)
    hidden                         int16  (stride,)  Q0.15, read, then written
    parameters                     int32  (4 * stride * GROUP_VECTORS,)  of each row group MULTIPLIERS and MINUS_WEIGHT_SUMS of both
                                   products, and BIAS
    shifts                         int32  (4 * stride * SHIFT_VECTORS,)  of both products; all 0 where `shifted` is 0
    cell                           int32  (stride,)  Q7.23, read, then written
    z                              int32  (stride,)  scratch: the output gates
    backward                       1 to begin at the last units: what the step before read last is still in the cache
    rows                           how many; each panel of weights serves all of them before the next one is read
    x_step                         how many values the x of a row is after that of the one before
    state_words, scratch_words     how many words its cell, and its z, are after those of the one before; `hidden` is in the state
    """
    blocks = stride >> 4
    panels = (blocks + 1) >> 1
    for n in range(panels):
        first = (panels - 1 - n if backward else n) * _SIDE_BY_SIDE
        inputs = after(input_weights, first * GATES * BLOCK * input_quads)
        hiddens = after(hidden_weights, first * GATES * BLOCK * hidden_quads)
        for row in range(rows):
            x_row, hidden_row = after(x, row * x_step), after(hidden, 2 * row * state_words)
            cells, outputs = after(cell, row * state_words), after(z, row * scratch_words)
            if first + _SIDE_BY_SIDE <= blocks:
                for block in range(0, _SIDE_BY_SIDE, _AT_ONCE):
                    _of_whole_panel(
                        after(inputs, block * GATES * BLOCK), input_quads, x_row,
                        after(hiddens, block * GATES * BLOCK), hidden_quads, hidden_row,
                        after(parameters, (first + block) * GATES * GROUP_VECTORS * LANES),
                        after(shifts, (first + block) * GATES * SHIFT_VECTORS * LANES), shifted,
                        after(cells, (first + block) * LANES), after(outputs, (first + block) * LANES),
                    )  # fmt: skip
            else:
                _of_last_panel(
                    inputs, input_quads, x_row, hiddens, hidden_quads, hidden_row,
                    after(parameters, first * GATES * GROUP_VECTORS * LANES),
                    after(shifts, first * GATES * SHIFT_VECTORS * LANES), shifted,
                    after(cells, first * LANES), after(outputs, first * LANES),
                )  # fmt: skip
    for row in range(rows):
        at = row * state_words
        _hidden_vector(after(z, row * scratch_words), 0, stride, after(cell, at), after(hidden, 2 * at))
