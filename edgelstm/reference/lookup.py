"""A row of a table, chosen by a sample."""

import numpy as np

from edgelstm.reference.fixed_point import mulr, rshift, saturate32
from edgelstm.reference.places import at16


def lookup(of, program, state, scratch):
    """Copy the row whose number, in Q15.16, is `bias + mulr(sat32(x << shift), multiplier)`, the nearest there is.

    of  source place, parameters word (multiplier, shift, bias), table word (int16 rows), rows, width, place of the result
    """
    source, parameters, table, rows, width, to = of[:6]
    multiplier, shift, bias = program[parameters : parameters + 3].astype(np.int64)
    x = at16(source, state, scratch)[:1].astype(np.int64)
    row = int(np.clip(rshift(bias + mulr(saturate32(x << shift), multiplier), 16), 0, rows - 1)[0])
    first = 2 * table + row * width
    at16(to, state, scratch)[:width] = program.view(np.int16)[first : first + width]
