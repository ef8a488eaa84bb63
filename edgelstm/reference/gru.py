"""The gated recurrent unit (Cho et al. 2014; reset after the product: Keras, cuDNN, PyTorch)."""

import numpy as np

from edgelstm.reference.activations import sigmoid, tanh
from edgelstm.reference.fixed_point import mulr, rshift, saturate16


def gru_reset(z_inputs, z_hidden, stride, hidden, reset_hidden):
    """Scale the hidden vector by the reset gate, for cells that reset before the product of the new gate.

    z_inputs, z_hidden  int32 (>= stride,)  Q15.16, the reset gate first
    hidden              int16 (stride,)     Q0.15
    reset_hidden        int16 (stride,)     Q0.15, written
    """
    r = sigmoid(z_inputs[:stride].astype(np.int64) + z_hidden[:stride])
    reset_hidden[:stride] = saturate16(mulr(r, hidden[:stride].astype(np.int64)))


def gru_cell(z_inputs, z_hidden, stride, reset_after, state, hidden):
    """Advance the state of one layer, `state = n + u * (state - n)`, in place.

    z_inputs  int32 (3 * stride,)  Q15.16, gates r, u, n, each padded with zeros to `stride`
    z_hidden  int32 (3 * stride,)  Q15.16, likewise; with `reset_after` its n part is scaled by r here
    state     int32 (stride,)      Q8.23, within 1, read, then written
    hidden    int16 (stride,)      Q0.15, written: what matrices and outputs see
    """
    x = z_inputs[: 3 * stride].astype(np.int64).reshape(3, stride)
    h = z_hidden[: 3 * stride].astype(np.int64).reshape(3, stride)
    r, u = sigmoid(x[0] + h[0]), sigmoid(x[1] + h[1])
    n = rshift(tanh(x[2] + (mulr(r, h[2]) if reset_after else h[2])), 7)
    blended = n + mulr(u, state[:stride] - n)  # both are within 1
    state[:stride] = blended
    hidden[:stride] = saturate16(rshift(blended, 8))
