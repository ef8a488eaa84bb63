"""The logistic function and the hyperbolic tangent; twins in `reference/activations.py`."""

import numpy as np

from edgelstm.kernels.compiled import njit
from edgelstm.kernels.fixed_point import mulr, rshift
from edgelstm.reference.sigmoid_table import KNOTS

SIXTEEN = 1 << 20
_KNOTS = KNOTS  # frozen into the machine code


@njit
def sigmoid(z):
    """Return s(z) in Q0.31 for an int64 `z` in Q15.16."""
    q = min(max(z, -SIXTEEN), SIXTEEN)
    k = (q >> 11) + 512
    low = np.int64(_KNOTS[k])
    return low + mulr(_KNOTS[k + 1] - low, (q & 2047) << 20)


@njit
def tanh(z):
    """Return tanh(z) in Q0.31 for an int64 `z` in Q15.16."""
    return 2 * (sigmoid(2 * z) - (1 << 30))


@njit
def tanh_of_cell(cell):
    """Return tanh in Q0.31 of an int64 `cell` in Q8.23."""
    return 2 * (sigmoid(rshift(cell, 6)) - (1 << 30))
