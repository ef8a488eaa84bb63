"""The long short-term memory cell; twin in `reference/lstm.py`."""

import numpy as np

from edgelstm.kernels.activations import sigmoid, tanh, tanh_of_cell
from edgelstm.kernels.compiled import njit
from edgelstm.kernels.fixed_point import mulr, rshift, saturate16, saturate32


@njit
def lstm_cell(z, units, stride, cell, hidden):
    """Advance the state of one layer from its pre-activations, in place.

    z       int32  (4 * stride,)  Q15.16, gates i, f, g, o, each padded from `units` to `stride`
    cell    int32  (units,)       Q8.23, read, then written
    hidden  int16  (units,)       Q0.15, written
    """
    for unit in range(units):
        i = sigmoid(np.int64(z[unit]))
        f = sigmoid(np.int64(z[stride + unit]))
        g = tanh(np.int64(z[2 * stride + unit]))
        o = sigmoid(np.int64(z[3 * stride + unit]))
        c = saturate32(mulr(np.int64(cell[unit]), f) + rshift(mulr(i, g), 8))
        cell[unit] = c
        hidden[unit] = saturate16(rshift(mulr(o, tanh_of_cell(c)), 16))
