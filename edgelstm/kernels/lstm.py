"""The long short-term memory cell; twin in `reference/lstm.py`."""

from edgelstm.kernels.compiled import njit
from edgelstm.kernels.lanes import (
    LANES,
    add_saturating,
    mulr,
    over_lanes,
    rshift,
    saturate16,
    sigmoid,
    tanh,
    tanh_of_cell,
)


@over_lanes
def _eight_units(z, stride, cell, hidden, at):
    i, f = sigmoid(z[at]), sigmoid(z[stride + at])
    g, o = tanh(z[stride * 2 + at]), sigmoid(z[stride * 3 + at])
    c = add_saturating(mulr(cell[at], f), rshift(mulr(i, g), 8))
    cell[at] = c
    hidden[at] = saturate16(rshift(mulr(o, tanh_of_cell(c)), 16))


@njit
def lstm_cell(z, stride, cell, hidden):
    """Advance the state of one layer from its pre-activations, in place.

    z       int32  (4 * stride,)  Q15.16, gates i, f, g, o, each padded to `stride`, a multiple of LANES
    cell    int32  (stride,)      Q8.23, read, then written
    hidden  int16  (stride,)      Q0.15, written
    """
    for at in range(0, stride, LANES):
        _eight_units(z, stride, cell, hidden, at)
