"""A function of one number, as straight lines between knots at equal distances."""

import numpy as np

from edgelstm.reference.fixed_point import mulr

PIECES = 512
"""Straight lines between the knots of a curve."""


def curve(of, program, state, scratch):
    """Replace places between knots, Q9.16, by the values there; beyond the first and the last knot by theirs.

    of  count, word of the places, knots word (513 words)
    """
    count, z, knots = of[:3]
    place = np.clip(scratch[z : z + count].astype(np.int64), 0, (PIECES << 16) - 1)
    values = program[knots : knots + PIECES + 1].astype(np.int64)
    k, fraction = place >> 16, place & 0xFFFF
    scratch[z : z + count] = values[k] + mulr(values[k + 1] - values[k], fraction << 15)
