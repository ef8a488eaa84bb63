"""The gated recurrent unit; twin in `reference/gru.py`."""

import numpy as np

from edgelstm.kernels.activations import sigmoid, tanh
from edgelstm.kernels.compiled import njit
from edgelstm.kernels.fixed_point import mulr, rshift, saturate16, saturate32


@njit
def gru_reset(z_inputs, z_hidden, units, stride, hidden, reset_hidden):
    """Scale the hidden vector by the reset gate, for cells that reset before the product of the new gate.

    z_inputs, z_hidden  int32 (>= units,)  Q15.16, the reset gate first
    hidden              int16 (units,)     Q0.15
    reset_hidden        int16 (units,)     Q0.15, written
    """
    for unit in range(units):
        r = sigmoid(np.int64(z_inputs[unit]) + z_hidden[unit])
        reset_hidden[unit] = saturate16(mulr(r, np.int64(hidden[unit])))


@njit
def gru_cell(z_inputs, z_hidden, units, stride, reset_after, state, hidden):
    """Advance the state of one layer, `state = n + u * (state - n)`, in place.

    z_inputs  int32 (3 * stride,)  Q15.16, gates r, u, n, each padded from `units` to `stride`
    z_hidden  int32 (3 * stride,)  Q15.16, likewise; with `reset_after` its n part is scaled by r here
    state     int32 (units,)       Q8.23, read, then written
    hidden    int16 (units,)       Q0.15, written: what matrices and outputs see
    """
    for unit in range(units):
        u = sigmoid(np.int64(z_inputs[stride + unit]) + z_hidden[stride + unit])
        new = np.int64(z_hidden[2 * stride + unit])
        if reset_after:
            new = mulr(sigmoid(np.int64(z_inputs[unit]) + z_hidden[unit]), new)
        n = rshift(tanh(z_inputs[2 * stride + unit] + new), 8)
        blended = saturate32(n + mulr(u, state[unit] - n))
        state[unit] = blended
        hidden[unit] = saturate16(rshift(blended, 8))
