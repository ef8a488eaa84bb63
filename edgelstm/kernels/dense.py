"""What follows the product of a dense layer; twins in `reference/dense.py`."""

import numpy as np

from edgelstm.kernels.activations import sigmoid, tanh
from edgelstm.kernels.compiled import njit
from edgelstm.kernels.fixed_point import rshift, saturate16

LINEAR, RELU, SIGMOID, TANH = 0, 1, 2, 3


@njit
def activate(z, units, activation):
    """Apply an activation in place: linear and relu keep the fixed point, sigmoid and tanh leave Q0.31.

    z  int32 (units,)  read, then written; Q15.16 before sigmoid and tanh
    """
    for unit in range(units):
        if activation == RELU:
            z[unit] = max(z[unit], 0)
        elif activation == SIGMOID:
            z[unit] = sigmoid(np.int64(z[unit]))
        elif activation == TANH:
            z[unit] = tanh(np.int64(z[unit]))


@njit
def narrow(z, units, bits, hidden):
    """Write `hidden = sat16(rshift(z, bits))`, the int16 that the next layer multiplies."""
    for unit in range(units):
        hidden[unit] = saturate16(rshift(np.int64(z[unit]), bits))


@njit
def emit(values, units, scales, y):
    """Write the outputs: `y = float32(value) * scale`, one rounding each.

    values  int32 or int16 (units,)
    scales  float32 (units,)
    y       float32 (units,)  written
    """
    for unit in range(units):
        y[unit] = np.float32(values[unit]) * scales[unit]
