"""Several masked runs of the same layers, and what they agree on; twins in `reference/runs.py`."""

import numpy as np

from edgelstm.kernels.places import at16
from edgelstm.kernels.scalar import square_root
from edgelstm.kernels.seldom import seldom


@seldom
def mask(of, program, state, scratch):
    """Copy a vector, with 0 where its mask is 0.

    of  source place, width, word of the mask (int8), place of the result
    """
    source, to = at16(of[0], state, scratch), at16(of[3], state, scratch)
    kept = program.view(np.int8)[4 * of[2] :]
    for n in range(of[1]):
        to[n] = source[n] if kept[n] else 0


@seldom
def spread(of, program, state, scratch):
    """Write the means of the columns of a sequence, then their standard deviations, both times 2**8.

    of  place of the sequence, width, rows, result word
    """
    sequence, width, rows, result = at16(of[0], state, scratch), of[1], np.int64(of[2]), scratch[of[3] :]
    for n in range(width):
        total, square = np.int64(0), np.int64(0)
        for row in range(rows):
            q = np.int64(sequence[row * width + n])
            total += q
            square += q * q
        square = rows * square - total * total
        result[n] = ((total << 8) + (rows >> 1)) // rows
        result[width + n] = square_root(square << 16) // rows
