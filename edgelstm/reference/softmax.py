"""Activations that few programs use, in place of the 32-bit values that a product left in scratch."""

import numpy as np

from edgelstm.reference.activations import SOFTMAX, activation, power_of_e


def activate_seldom(of, program, state, scratch):
    """Apply an activation in place, Q15.16 to Q0.31.

    of  units, z word, activation code
    """
    units, word, code = of[:3]
    z = scratch[word : word + units].astype(np.int64)
    scratch[word : word + units] = _softmax(z) if code == SOFTMAX else activation(z, code)


def _softmax(z):
    """Return e**z over the sum of all e**z, each relative to the largest z (so none overflows)."""
    powers = power_of_e(z.max() - z)
    total = powers.sum()
    return np.minimum(((powers << 31) + (total >> 1)) // total, (1 << 31) - 1)
