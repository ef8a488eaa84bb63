"""The long short-term memory cell (Hochreiter and Schmidhuber 1997, with the forget gate of Gers 2000)."""

import numpy as np

from edgelstm.reference.activations import sigmoid, tanh, tanh_of_cell
from edgelstm.reference.fixed_point import mulr, rshift, saturate16, saturate31


def lstm_cell(z, stride, cell, hidden):
    """Advance the state of one layer from its pre-activations, in place.

    z       int32  (4 * stride,)  Q15.16, gates i, f, g, o, each padded with zeros to `stride`
    cell    int32  (stride,)      Q7.23, read, then written
    hidden  int16  (stride,)      Q0.15, written
    """
    i, f, g, o = z[: 4 * stride].astype(np.int64).reshape(4, stride)
    kept = mulr(sigmoid(f), cell[:stride].astype(np.int64))
    c = saturate31(kept + mulr(sigmoid(i), rshift(tanh(g), 7)))
    cell[:stride] = c
    hidden[:stride] = saturate16(rshift(mulr(sigmoid(o), tanh_of_cell(c)), 15))
