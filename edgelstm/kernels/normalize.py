"""Vectors brought to a size of 1; twin in `reference/normalize.py`."""

import numpy as np

from edgelstm.kernels.places import at16
from edgelstm.kernels.scalar import mulr, saturate32, square_root
from edgelstm.kernels.seldom import seldom


@seldom
def normalize(of, program, state, scratch):
    """Divide a vector by its size, Q7.24, and write `bias + mulr(sat32(v << shift), multiplier)`.

    of  source place, count, whether the mean is subtracted, whether epsilon is the least square and not added to it,
        the low and the high 31 bits of epsilon, parameters word (multipliers, shifts, bias), result word
    """
    q, count, centred = at16(of[0], state, scratch), np.int64(of[1]), of[2]
    parameters, result = program[of[6] :], scratch[of[7] :]
    total, square = np.int64(0), np.int64(0)
    for n in range(count):
        total += q[n]
        square += np.int64(q[n]) * q[n]
    if centred:
        square = count * square - total * total
    epsilon = (np.int64(of[5]) << 31) + of[4]
    size = max(square, epsilon) if of[3] else square + epsilon
    doublings, root = 0, np.int64(1)
    if size > 0:
        while size < 1 << 60:
            size <<= 2
            doublings += 1
        root = square_root(size)
    for n in range(count):
        value = count * q[n] - total if centred else np.int64(q[n])
        if size > 0:
            value = ((value << (24 + doublings)) + (root >> 1)) // root
        else:
            value = np.int64(0)
        scaled = saturate32(value << parameters[count + n])
        result[n] = parameters[2 * count + n] + mulr(scaled, parameters[n])
