"""Vectors brought to a size of 1: layer normalisation, root mean square, L2."""

import numpy as np

from edgelstm.reference.activations import square_root
from edgelstm.reference.fixed_point import mulr, saturate32
from edgelstm.reference.places import at16


def normalize(of, program, state, scratch):
    """Divide a vector by its size, Q7.24, and write `bias + mulr(sat32(v << shift), multiplier)`.

    of  source place, count, whether the mean is subtracted, whether epsilon is the least square and not added to it,
        the low and the high 31 bits of epsilon, parameters word (multipliers, shifts, bias), result word
    """
    source, count, centred, least, low, high, parameters, result = of[:8]
    q = at16(source, state, scratch)[:count].astype(np.int64)
    total, square = int(q.sum()), int((q * q).sum())
    epsilon = (int(high) << 31) + int(low)
    if centred:
        q, square = count * q - total, int(count) * square - total * total
    size = max(square, epsilon) if least else square + epsilon
    doublings = (62 - size.bit_length()) // 2 if size else 0  # the root gets 30 or 31 bits
    root = max(square_root(size << 2 * doublings), 1)
    values = ((q << (24 + doublings)) + (root >> 1)) // root if size else 0 * q
    words = program[parameters : parameters + 3 * count].astype(np.int64)
    multipliers, shifts, bias = words.reshape(3, count)
    scratch[result : result + count] = bias + mulr(saturate32(values << shifts), multipliers)
