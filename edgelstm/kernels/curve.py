"""A function of one number, as straight lines between knots at equal distances; twin in `reference/curve.py`."""

import numpy as np

from edgelstm.kernels.scalar import mulr
from edgelstm.kernels.seldom import seldom
from edgelstm.reference.curve import PIECES


@seldom
def curve(of, program, state, scratch):
    """Replace places between knots, Q9.16, by the values there; beyond the first and the last knot by theirs.

    of  count, word of the places, knots word (513 words)
    """
    z, knots = scratch[of[1] :], program[of[2] :]
    for n in range(of[0]):
        place = min(max(z[n], 0), (PIECES << 16) - 1)
        low, high = np.int64(knots[place >> 16]), np.int64(knots[(place >> 16) + 1])
        z[n] = low + mulr(high - low, np.int64(place & 0xFFFF) << 15)
