"""The arithmetic of `docs/arithmetic.md` on one number at a time, for seldom operations; all in int64.

Twins are in `reference/fixed_point.py` and `reference/activations.py`.
"""

import numpy as np
from numba import types

from edgelstm.kernels.compiled import njit
from edgelstm.reference.activations import (
    HARD_SIGMOID,
    HARD_SIGMOID_6,
    HARD_SLOPES,
    LARGEST,
    LINEAR,
    LOG2_E,
    RELU,
    SIGMOID,
    TANH,
)
from edgelstm.reference.power_table import POWERS
from edgelstm.reference.sigmoid_table import KNOTS

_ONE = types.int64(types.int64)
_TWO = types.int64(types.int64, types.int64)


@njit(_TWO)
def mulr(a, b):
    """Return `(a * b + 2**30) >> 31`."""
    return (a * b + (1 << 30)) >> 31


@njit(_TWO)
def rshift(value, bits):
    """Shift right by `bits` >= 1, to the nearest, halves up."""
    return (value + (1 << (bits - 1))) >> bits


@njit(_ONE)
def saturate16(value):
    return min(max(value, -32768), 32767)


@njit(_ONE)
def saturate32(value):
    return min(max(value, -(1 << 31)), (1 << 31) - 1)


@njit(_ONE)
def saturate31(value):
    return min(max(value, -(1 << 30)), (1 << 30) - 1)


@njit(_TWO)
def _above_half(magnitude, sign):
    """Return s(z) - 1/2 in Q0.31 for |z| in Q15.16 and a number that has the sign of z."""
    k = magnitude >> 11
    step = (np.int64(KNOTS[k + 1]) - KNOTS[k]) >> 4
    value = KNOTS[k] + ((step * (magnitude & 2047)) >> 7)
    return -value if sign < 0 else value


@njit(_ONE)
def sigmoid(z):
    """Return s(z) in Q0.31 for z in Q15.16."""
    return _above_half(min(abs(z), LARGEST), z) + (1 << 30)


@njit(_ONE)
def tanh(z):
    """Return tanh(z) in Q0.30 for z in Q15.16."""
    return _above_half(2 * min(abs(z), LARGEST >> 1), z)


@njit(_TWO)
def activation(z, code):
    """Return the activation of z in Q15.16: Q0.31 where it is bounded by 1, else Q15.16."""
    if code == SIGMOID:
        return sigmoid(z)
    if code == TANH:
        return 2 * tanh(z)
    if code == RELU:
        return max(z, 0)
    if code in (HARD_SIGMOID, HARD_SIGMOID_6):
        reach, slope = HARD_SLOPES[code - HARD_SIGMOID]
        value = (1 << 30) + 2 * mulr(min(max(z, -reach), reach) << 12, slope)
        return min(max(value, 0), (1 << 31) - 1)
    return z


@njit(_TWO)
def cell_input(z, code):
    """Return the activation of z in Q15.16 as Q7.23, what is added to a cell."""
    if code in (LINEAR, RELU):
        return saturate31(activation(z, code) << 7)
    return rshift(tanh(z), 7) if code == TANH else rshift(activation(z, code), 8)


@njit(_TWO)
def cell_output(cell, code):
    """Return the activation of a cell in Q7.23: Q0.30 where it is bounded by 1, else Q7.23."""
    if code == TANH:
        return _above_half(min(rshift(abs(cell), 6), LARGEST), cell)
    if code == LINEAR:
        return cell
    if code == RELU:
        return max(cell, 0)
    return activation(rshift(cell, 7), code) >> 1


@njit(_ONE)
def power_of_e(d):
    """Return e**-d in Q0.30 for d >= 0 in Q15.16."""
    t = mulr(min(d, (1 << 21) - 1) << 9, LOG2_E)
    k, fraction = t >> 24, t & 0xFFFFFF
    n = fraction >> 16
    power = POWERS[n] + mulr(np.int64(POWERS[n + 1]) - POWERS[n], (fraction & 0xFFFF) << 15)
    if k == 0:
        return power
    return rshift(power, k) if k < 32 else 0


@njit(_ONE)
def square_root(value):
    """Return the integer part of the square root of 0 <= value < 2**62."""
    root, bit = 0, 1 << 60
    while bit > value:
        bit >>= 2
    while bit:
        if value >= root + bit:
            value -= root + bit
            root = (root >> 1) + bit
        else:
            root >>= 1
        bit >>= 2
    return root
