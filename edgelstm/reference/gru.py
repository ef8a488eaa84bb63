"""The gated recurrent unit (Cho et al. 2014; reset after the product: Keras, cuDNN, PyTorch)."""

import numpy as np

from edgelstm.reference.activations import sigmoid, tanh
from edgelstm.reference.fixed_point import mulr, rshift, saturate16, saturate32


def gru_reset(z_inputs, z_hidden, units, stride, hidden, reset_hidden):
    """Scale the hidden vector by the reset gate, for cells that reset before the product of the new gate.

    z_inputs, z_hidden  int32 (>= units,)  Q15.16, the reset gate first
    hidden              int16 (units,)     Q0.15
    reset_hidden        int16 (units,)     Q0.15, written
    """
    r = sigmoid(z_inputs[:units].astype(np.int64) + z_hidden[:units])
    reset_hidden[:units] = saturate16(mulr(r, hidden[:units].astype(np.int64)))


def gru_cell(z_inputs, z_hidden, units, stride, reset_after, state, hidden):
    """Advance the state of one layer, `state = n + u * (state - n)`, in place.

    z_inputs  int32 (3 * stride,)  Q15.16, gates r, u, n, each padded from `units` to `stride`
    z_hidden  int32 (3 * stride,)  Q15.16, likewise; with `reset_after` its n part is scaled by r here
    state     int32 (units,)       Q8.23, read, then written
    hidden    int16 (units,)       Q0.15, written: what matrices and outputs see
    """
    x = z_inputs[: 3 * stride].astype(np.int64).reshape(3, stride)[:, :units]
    h = z_hidden[: 3 * stride].astype(np.int64).reshape(3, stride)[:, :units]
    r, u = sigmoid(x[0] + h[0]), sigmoid(x[1] + h[1])
    n = rshift(tanh(x[2] + (mulr(r, h[2]) if reset_after else h[2])), 8)
    blended = saturate32(n + mulr(u, state[:units] - n))
    state[:units] = blended
    hidden[:units] = saturate16(rshift(blended, 8))
