"""The long short-term memory cell (Hochreiter and Schmidhuber 1997, with the forget gate of Gers 2000)."""

import numpy as np

from edgelstm.reference.activations import sigmoid, tanh, tanh_of_cell
from edgelstm.reference.fixed_point import mulr, rshift, saturate16, saturate32


def lstm_cell(z, units, stride, cell, hidden):
    """Advance the state of one layer from its pre-activations, in place.

    z       int32  (4 * stride,)  Q15.16, gates i, f, g, o, each padded from `units` to `stride`
    cell    int32  (units,)       Q8.23, read, then written
    hidden  int16  (units,)       Q0.15, written
    """
    i, f, g, o = z[: 4 * stride].astype(np.int64).reshape(4, stride)[:, :units]
    c = saturate32(mulr(cell[:units].astype(np.int64), sigmoid(f)) + rshift(mulr(sigmoid(i), tanh(g)), 8))
    cell[:units] = c
    hidden[:units] = saturate16(rshift(mulr(sigmoid(o), tanh_of_cell(c)), 16))
