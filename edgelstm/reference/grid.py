"""Grids of pixels, in a loop over them: what lies around a pixel, and where the gates of its units go."""

import numpy as np

from edgelstm.reference.places import at16


def patch(of, program, state, scratch):
    """Copy what lies around a pixel, row by row, zeros beyond the edge.

    of  place of the grid (rows, columns, values), rows, columns, values, rows and columns of the patch (odd),
        scratch word of the counter, which is the pixel, place of the result
    """
    grid, rows, columns, values, high, wide, counter, to = of[:8]
    pixels = at16(grid, state, scratch)[: rows * columns * values].reshape(rows, columns, values)
    padded = np.pad(pixels, ((high // 2, high // 2), (wide // 2, wide // 2), (0, 0)))
    y, x = divmod(int(scratch[counter]), columns)
    at16(to, state, scratch)[: high * wide * values] = padded[y : y + high, x : x + wide].ravel()


def split_gates(of, program, state, scratch):
    """Put the gates of one pixel to those of all pixels, where each gate's units stand together.

    of  word of the pixel's gates, gates, units of a pixel, their stride, scratch word of the counter, which is the pixel,
        word of all gates, their stride
    """
    word, gates, units, stride, counter, to, to_stride = of[:7]
    for gate in range(gates):
        first = to + gate * to_stride + int(scratch[counter]) * units
        scratch[first : first + units] = scratch[word + gate * stride : word + gate * stride + units]
