"""The long short-term memory cell; twin in `reference/lstm.py`."""

from edgelstm.kernels.activations import gates, tanh_of_cells
from edgelstm.kernels.compiled import njit
from edgelstm.kernels.lanes import (
    LANES,
    mulr,
    over_lanes,
    rshift,
    saturate16,
    saturate31,
)


@over_lanes
def _update_cell(z, stride, cell, at):
    i, f, g, o = gates(z[at], z[stride + at], z[stride * 2 + at], z[stride * 3 + at])
    cell[at] = saturate31(mulr(f, cell[at]) + mulr(i, rshift(g, 7)))
    z[stride * 3 + at] = o


def _update_hidden(vectors):
    @over_lanes
    def update(z, stride, cell, hidden, at):
        places = [at + LANES * n for n in range(vectors)]
        for place, tanh_c in zip(places, tanh_of_cells(*(cell[place] for place in places)), strict=True):
            hidden[place] = saturate16(rshift(mulr(z[stride * 3 + place], tanh_c), 15))

    return update


_update_four, _update_one = _update_hidden(4), _update_hidden(1)


@njit(inlined=True)
def lstm_cell(z, stride, cell, hidden):
    """Advance the state of one layer from its pre-activations, in place.

    z       int32  (4 * stride,)  Q15.16, gates i, f, g, o, each padded to `stride`, a multiple of LANES; used up
    cell    int32  (stride,)      Q7.23, read, then written
    hidden  int16  (stride,)      Q0.15, written
    """
    for at in range(0, stride, LANES):
        _update_cell(z, stride, cell, at)
    fours = stride // (4 * LANES) * (4 * LANES)
    for at in range(0, fours, 4 * LANES):
        _update_four(z, stride, cell, hidden, at)
    for at in range(fours, stride, LANES):
        _update_one(z, stride, cell, hidden, at)
