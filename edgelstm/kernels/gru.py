"""The gated recurrent unit; twin in `reference/gru.py`."""

from edgelstm.kernels.activations import sigmoid, tanh
from edgelstm.kernels.compiled import njit
from edgelstm.kernels.lanes import LANES, mulr, over_lanes, rshift, saturate16


@over_lanes
def _reset(z_inputs, z_hidden, hidden, reset_hidden, at):
    r = sigmoid(z_inputs[at] + z_hidden[at])
    reset_hidden[at] = saturate16(mulr(r, hidden[at]))


@over_lanes
def _blend(u_inputs, u_hidden, n_inputs, n_hidden, state, hidden, at):
    u = sigmoid(u_inputs[at] + u_hidden[at])
    n = rshift(tanh(n_inputs[at] + n_hidden[at]), 7)
    blended = n + mulr(u, state[at] - n)  # both are within 1 in Q8.23: nothing can saturate
    state[at] = blended
    hidden[at] = saturate16(rshift(blended, 8))


@over_lanes
def _scale(r_inputs, r_hidden, n_hidden, at):
    n_hidden[at] = mulr(sigmoid(r_inputs[at] + r_hidden[at]), n_hidden[at])


@njit
def gru_reset(z_inputs, z_hidden, stride, hidden, reset_hidden):
    """Scale the hidden vector by the reset gate, for cells that reset before the product of the new gate.

    z_inputs, z_hidden  int32 (>= stride,)  Q15.16, the reset gate first
    hidden              int16 (stride,)     Q0.15
    reset_hidden        int16 (stride,)     Q0.15, written
    """
    for at in range(0, stride, LANES):
        _reset(z_inputs, z_hidden, hidden, reset_hidden, at)


@njit
def gru_cell(z_inputs, z_hidden, stride, reset_after, state, hidden):
    """Advance the state of one layer, `state = n + u * (state - n)`, in place.

    z_inputs  int32 (3 * stride,)  Q15.16, gates r, u, n, each padded to `stride`, a multiple of LANES
    z_hidden  int32 (3 * stride,)  Q15.16, likewise; with `reset_after` its n part is scaled by r here
    state     int32 (stride,)      Q8.23, within 1, read, then written
    hidden    int16 (stride,)      Q0.15, written: what matrices and outputs see
    """
    if reset_after:
        for at in range(0, stride, LANES):
            _scale(z_inputs, z_hidden, z_hidden[2 * stride :], at)
    u_inputs, u_hidden = z_inputs[stride:], z_hidden[stride:]
    n_inputs, n_hidden = z_inputs[2 * stride :], z_hidden[2 * stride :]
    for at in range(0, stride, LANES):
        _blend(u_inputs, u_hidden, n_inputs, n_hidden, state, hidden, at)
