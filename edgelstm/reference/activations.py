"""The logistic function and the hyperbolic tangent, from one table with linear steps between its knots."""

import numpy as np

from edgelstm.reference.fixed_point import Integers, mulr, rshift
from edgelstm.reference.sigmoid_table import KNOTS

SIXTEEN = 1 << 20
"""16.0 in Q15.16, where the table ends."""

_KNOTS: Integers = KNOTS.astype(np.int64)


def sigmoid(z: Integers) -> Integers:
    """Return s(z) in Q0.31 for z in Q15.16."""
    q = np.clip(z, -SIXTEEN, SIXTEEN)
    k = (q >> 11) + 512
    result: Integers = _KNOTS[k] + mulr(_KNOTS[k + 1] - _KNOTS[k], (q & 2047) << 20)
    return result


def tanh(z: Integers) -> Integers:
    """Return tanh(z) = 2 s(2z) - 1 in Q0.31 for z in Q15.16."""
    return 2 * (sigmoid(2 * z) - (1 << 30))


def tanh_of_cell(cell: Integers) -> Integers:
    """Return tanh in Q0.31 of a cell state in Q8.23: 2c in Q15.16 is c shifted by 6."""
    return 2 * (sigmoid(rshift(cell, 6)) - (1 << 30))
