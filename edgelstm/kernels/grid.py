"""Grids of pixels, in a loop over them; twins in `reference/grid.py`."""

import numpy as np

from edgelstm.kernels.places import after, at16
from edgelstm.kernels.seldom import seldom


@seldom
def patch(of, program, state, scratch):
    """Copy what lies around a pixel, row by row, zeros beyond the edge.

    of  place of the grid (rows, columns, values), rows, columns, values, rows and columns of the patch (odd),
        scratch word of the counter, which is the pixel, place of the result
    """
    grid, rows, columns, values = at16(of[0], state, scratch), of[1], of[2], np.int64(of[3])
    high, wide, pixel, to = of[4], of[5], scratch[of[6]], at16(of[7], state, scratch)
    left, run = pixel % columns - wide // 2, wide * values
    before, behind = max(0, -left) * values, run - max(0, left + wide - columns) * values
    for row in range(pixel // columns - high // 2, pixel // columns + high // 2 + 1):
        beyond = row < 0 or row >= rows
        source = after(grid, (row * columns + left) * values)  # what is beyond the edge is not looked at
        for n in range(run):
            to[n] = 0 if beyond or n < before or n >= behind else source[n]
        to = after(to, run)


@seldom
def split_gates(of, program, state, scratch):
    """Put the gates of one pixel to those of all pixels, where each gate's units stand together.

    of  word of the pixel's gates, gates, units of a pixel, their stride, scratch word of the counter, which is the pixel,
        word of all gates, their stride
    """
    units, first = of[2], of[5] + scratch[of[4]] * of[2]
    for gate in range(of[1]):
        for n in range(units):
            scratch[first + gate * of[6] + n] = scratch[of[0] + gate * of[3] + n]
