"""The long short-term memory cell; twin in `reference/lstm.py`."""

from edgelstm.kernels.activations import sigmoid, tanh, tanh_of_cell
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
    i, f, g = sigmoid(z[at]), sigmoid(z[stride + at]), tanh(z[stride * 2 + at])
    cell[at] = saturate31(mulr(f, cell[at]) + mulr(i, rshift(g, 7)))


@over_lanes
def _update_hidden(z, stride, cell, hidden, at):
    o = sigmoid(z[stride * 3 + at])
    hidden[at] = saturate16(rshift(mulr(o, tanh_of_cell(cell[at])), 15))


@njit(inlined=True)
def lstm_cell(z, stride, cell, hidden):
    """Advance the state of one layer from its pre-activations, in place.

    z       int32  (4 * stride,)  Q15.16, gates i, f, g, o, each padded to `stride`, a multiple of LANES
    cell    int32  (stride,)      Q7.23, read, then written
    hidden  int16  (stride,)      Q0.15, written
    """
    for at in range(0, stride, LANES):
        _update_cell(z, stride, cell, at)
    for at in range(0, stride, LANES):
        _update_hidden(z, stride, cell, hidden, at)
