"""What follows the product of a dense layer: its activation, and the way out to int16 or float32."""

import numpy as np

from edgelstm.reference.activations import RELU, SIGMOID, TANH, sigmoid, tanh
from edgelstm.reference.fixed_point import rshift, saturate16


def activate(z, stride, activation):
    """Apply an activation in place: linear and relu keep the fixed point, sigmoid and tanh leave Q0.31.

    z  int32 (stride,)  read, then written; Q15.16 before sigmoid and tanh
    """
    if activation == RELU:
        z[:stride] = np.maximum(z[:stride], 0)
    elif activation == SIGMOID:
        z[:stride] = sigmoid(z[:stride].astype(np.int64))
    elif activation == TANH:
        z[:stride] = 2 * tanh(z[:stride].astype(np.int64))


def narrow(z, stride, bits, hidden):
    """Write `hidden = sat16(rshift(z, bits))`, the int16 that the next layer multiplies; `bits` is 8 or 16."""
    hidden[:stride] = saturate16(rshift(z[:stride].astype(np.int64), bits))


def emit(values, units, scales, y):
    """Write the outputs: `y = float32(value) * scale`, one rounding each.

    values  int32 or int16 (units,)
    scales  float32 (units,)
    y       float32 (units,)  written
    """
    y[:units] = values[:units].astype(np.float32) * scales[:units]
