"""The logistic function and the hyperbolic tangent, from one table with linear steps between its knots.

Both come from the odd function s(x) - 1/2 = tanh(x / 2) / 2, so that what is symmetric stays so to the bit.
"""

import numpy as np

from edgelstm.reference.fixed_point import Integers, rshift
from edgelstm.reference.sigmoid_table import KNOTS

LARGEST = (1 << 20) - 1
"""In Q15.16 just below 16, where the table ends."""

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
