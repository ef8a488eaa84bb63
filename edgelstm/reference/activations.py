"""The logistic function and the hyperbolic tangent, from one table with linear steps between its knots.

Both come from the odd function s(x) - 1/2 = tanh(x / 2) / 2, so that what is symmetric stays so to the bit.
"""

import math

import numpy as np

from edgelstm.reference.fixed_point import Integers, mulr, rshift, saturate31
from edgelstm.reference.power_table import POWERS
from edgelstm.reference.sigmoid_table import KNOTS

LARGEST = (1 << 20) - 1
"""In Q15.16 just below 16, where the table ends."""

LINEAR, RELU, SIGMOID, TANH, HARD_SIGMOID, HARD_SIGMOID_6, SOFTMAX = range(7)
"""Codes of activations in a program."""

HARD_SLOPES = ((163_840, 1_717_986_918), (196_608, 1_431_655_765))
"""Where the hard sigmoids `x / 5 + 1/2` and `x / 6 + 1/2` end, in Q15.16, and 2**33 times their slope."""

LOG2_E = 1_549_082_005
"""The logarithm of e to base 2, in Q1.30."""

_POWERS: Integers = POWERS.astype(np.int64)
_KNOTS: Integers = KNOTS.astype(np.int64)


def sigmoid(z: Integers) -> Integers:
    """Return s(z) in Q0.31 for z in Q15.16."""
    return _above_half(np.minimum(np.abs(z), LARGEST), z) + (1 << 30)


def tanh(z: Integers) -> Integers:
    """Return tanh(z) = 2 (s(2z) - 1/2) in Q0.30 for z in Q15.16."""
    return _above_half(2 * np.minimum(np.abs(z), LARGEST >> 1), z)


def tanh_of_cell(cell: Integers) -> Integers:
    """Return tanh in Q0.30 of a cell state in Q7.23: 2|c| in Q15.16 is |c| shifted by 6."""
    return _above_half(np.minimum(rshift(np.abs(cell), 6), LARGEST), cell)


def _above_half(magnitude: Integers, sign: Integers) -> Integers:
    """Return s(z) - 1/2 in Q0.31 for |z| in Q15.16, 0 to LARGEST, and a number that has the sign of z.

    The step between two knots is below 2**24, so four of its bits go and the product stays inside int32.
    """
    k = magnitude >> 11
    step = (_KNOTS[k + 1] - _KNOTS[k]) >> 4
    value = _KNOTS[k] + ((step * (magnitude & 2047)) >> 7)
    result: Integers = np.where(sign < 0, -value, value)
    return result


def activation(z: Integers, code: int) -> Integers:
    """Return the activation of z in Q15.16: Q0.31 where it is bounded by 1, else Q15.16."""
    if code == SIGMOID:
        return sigmoid(z)
    if code == TANH:
        return 2 * tanh(z)
    if code == RELU:
        return np.maximum(z, 0)
    if code in (HARD_SIGMOID, HARD_SIGMOID_6):
        reach, slope = HARD_SLOPES[code - HARD_SIGMOID]
        value = (1 << 30) + 2 * mulr(np.clip(z, -reach, reach) << 12, slope)
        return np.clip(value, 0, (1 << 31) - 1)
    return z


def cell_input(z: Integers, code: int) -> Integers:
    """Return the activation of z in Q15.16 as Q7.23, what is added to a cell."""
    if code in (LINEAR, RELU):
        return saturate31(activation(z, code) << 7)
    return rshift(tanh(z), 7) if code == TANH else rshift(activation(z, code), 8)


def cell_output(cell: Integers, code: int) -> Integers:
    """Return the activation of a cell in Q7.23: Q0.30 where it is bounded by 1, else Q7.23."""
    if code == TANH:
        return tanh_of_cell(cell)
    if code == LINEAR:
        return cell
    if code == RELU:
        return np.maximum(cell, 0)
    return activation(rshift(cell, 7), code) >> 1


def power_of_e(d: Integers) -> Integers:
    """Return e**-d in Q0.30 for d >= 0 in Q15.16."""
    t = mulr(np.minimum(d, (1 << 21) - 1) << 9, LOG2_E)
    k, fraction = t >> 24, t & 0xFFFFFF
    n = fraction >> 16
    power = _POWERS[n] + mulr(_POWERS[n + 1] - _POWERS[n], (fraction & 0xFFFF) << 15)
    half = np.where(k > 0, 1 << np.maximum(k - 1, 0), 0)
    result: Integers = np.where(k < 32, (power + half) >> k, 0)
    return result


def square_root(value: int) -> int:
    """Return the integer part of the square root of 0 <= value < 2**62."""
    return math.isqrt(value)
