"""Activations that few programs use; twin in `reference/softmax.py`."""

import numpy as np

from edgelstm.kernels.scalar import activation, power_of_e
from edgelstm.kernels.seldom import seldom
from edgelstm.reference.activations import SOFTMAX


@seldom
def activate_seldom(of, program, state, scratch):
    """Apply an activation in place, Q15.16 to Q0.31.

    of  units, z word, activation code
    """
    units, z, code = of[0], scratch[of[1] :], of[2]
    if code != SOFTMAX:
        for n in range(units):
            z[n] = activation(z[n], code)
        return
    largest = np.int64(z[0])
    for n in range(1, units):
        largest = max(largest, np.int64(z[n]))
    total = np.int64(0)
    for n in range(units):
        power = power_of_e(largest - z[n])
        total += power
        z[n] = power
    for n in range(units):
        z[n] = min(((np.int64(z[n]) << 31) + (total >> 1)) // total, (1 << 31) - 1)
