"""Several masked runs of the same layers, and what they agree on."""

import numpy as np

from edgelstm.reference.activations import square_root
from edgelstm.reference.places import at16


def mask(of, program, state, scratch):
    """Copy a vector, with 0 where its mask is 0.

    of  source place, width, word of the mask (int8), place of the result
    """
    source, width, word, to = of[:4]
    kept = program.view(np.int8)[4 * word : 4 * word + width]
    at16(to, state, scratch)[:width] = np.where(kept != 0, at16(source, state, scratch)[:width], 0)


def spread(of, program, state, scratch):
    """Write the means of the columns of a sequence, then their standard deviations, both times 2**8.

    of  place of the sequence, width, rows, result word
    """
    sequence, width, rows, result = of[:4]
    q = at16(sequence, state, scratch)[: rows * width].astype(np.int64).reshape(rows, width)
    total = q.sum(axis=0)
    square = rows * (q * q).sum(axis=0) - total * total
    scratch[result : result + width] = ((total << 8) + (rows >> 1)) // rows
    roots = np.array([square_root(int(value) << 16) for value in square], np.int64)
    scratch[result + width : result + 2 * width] = roots // rows
