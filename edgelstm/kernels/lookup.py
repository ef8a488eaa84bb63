"""A row of a table, chosen by a sample; twin in `reference/lookup.py`."""

import numpy as np

from edgelstm.kernels.places import at16
from edgelstm.kernels.scalar import mulr, rshift, saturate32
from edgelstm.kernels.seldom import seldom


@seldom
def lookup(of, program, state, scratch):
    """Copy the row whose number, in Q15.16, is `bias + mulr(sat32(x << shift), multiplier)`, the nearest there is.

    of  source place, parameters word (multiplier, shift, bias), table word (int16 rows), rows, width, place of the result
    """
    parameters, rows, width = program[of[1] :], np.int64(of[3]), of[4]
    x = np.int64(at16(of[0], state, scratch)[0])
    number = parameters[2] + mulr(saturate32(x << parameters[1]), parameters[0])
    row = min(max(rshift(number, 16), 0), rows - 1)
    table, to = program.view(np.int16)[2 * of[2] + row * width :], at16(of[5], state, scratch)
    for n in range(width):
        to[n] = table[n]
