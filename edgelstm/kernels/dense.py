"""What follows the product of a dense layer; twins in `reference/dense.py`."""

import numpy as np

from edgelstm.kernels import activations
from edgelstm.kernels.compiled import njit
from edgelstm.kernels.lanes import LANES, over_lanes, rshift, saturate16
from edgelstm.reference.activations import RELU, SIGMOID, TANH

INT32_MAX = (1 << 31) - 1


@over_lanes
def _relu(z, at):
    z[at] = z[at].clip(0, INT32_MAX)


@over_lanes
def _sigmoid(z, at):
    z[at] = activations.sigmoid(z[at])


@over_lanes
def _tanh(z, at):
    z[at] = activations.tanh(z[at]) << 1


@over_lanes
def _narrow_8(z, hidden, at):
    hidden[at] = saturate16(rshift(z[at], 8))


@over_lanes
def _narrow_16(z, hidden, at):
    hidden[at] = saturate16(rshift(z[at], 16))


@njit
def activate(z, stride, activation):
    """Apply an activation in place: linear and relu keep the fixed point, sigmoid and tanh leave Q0.31.

    z  int32 (stride,)  read, then written; Q15.16 before sigmoid and tanh; `stride` is a multiple of LANES
    """
    for at in range(0, stride, LANES):
        if activation == RELU:
            _relu(z, at)
        elif activation == SIGMOID:
            _sigmoid(z, at)
        elif activation == TANH:
            _tanh(z, at)


@njit
def narrow(z, stride, bits, hidden):
    """Write `hidden = sat16(rshift(z, bits))`, the int16 that the next layer multiplies; `bits` is 8 or 16."""
    for at in range(0, stride, LANES):
        if bits == 8:
            _narrow_8(z, hidden, at)
        else:
            _narrow_16(z, hidden, at)


@njit(inlined=True)
def emit(values, units, scales, y):
    """Write the outputs: `y = float32(value) * scale`, one rounding each.

    values  int32 or int16 (units,)
    scales  float32 (units,)
    y       float32 (units,)  written
    """
    for unit in range(units):
        y[unit] = np.float32(values[unit]) * scales[unit]
