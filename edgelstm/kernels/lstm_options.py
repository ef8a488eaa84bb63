"""The long short-term memory cell with everything that variants of it have; twin in `reference/lstm_options.py`."""

import numpy as np

from edgelstm.kernels.places import at16
from edgelstm.kernels.scalar import (
    activation,
    cell_input,
    cell_output,
    mulr,
    rshift,
    saturate16,
    saturate31,
    saturate32,
    square_root,
)
from edgelstm.kernels.seldom import seldom
from edgelstm.reference.lstm_options import CELL, NORM_BITS, OUTPUT


@seldom
def lstm_cell_options(of, program, state, scratch):
    """Advance the state of one layer from its pre-activations, in place.

    of  units, stride of a gate, z word, cell word, place of the hidden vector,
        activation codes of gates, cell input and output, whether i and f are coupled (then z has no f),
        cell clip in Q7.23 or 0, word of the peephole weights (i, f, o, without f where coupled) or 0,
        bits that the hidden vector is narrowed by, limit of what gates and cell input read in Q15.16 or 0,
        0 to do all of it, CELL for the cell alone, OUTPUT for the output alone, of a cell that is advanced already
    """
    units, stride, coupled, clip, bits = of[0], of[1], of[8], of[9], of[11]
    gate, squash, output, part = of[5], of[6], of[7], of[13]
    limit = np.int64(of[12]) if of[12] else np.int64(1) << 40
    z, cell, hidden = scratch[of[2] :], state[of[3] :], at16(of[4], state, scratch)
    weights, peephole = program[of[10] :], of[10] != 0
    last = 2 if coupled else 3
    for n in range(units):
        c = np.int64(cell[n])
        if part != OUTPUT:
            p_i = mulr(c, weights[n]) if peephole else 0
            i = activation(min(max(z[n] + p_i, -limit), limit), gate)
            if coupled:
                f = (1 << 31) - 1 - i
            else:
                p_f = mulr(c, weights[units + n]) if peephole else 0
                f = activation(min(max(z[stride + n] + p_f, -limit), limit), gate)
            g = min(max(np.int64(z[(last - 1) * stride + n]), -limit), limit)
            c = saturate31(mulr(f, c) + mulr(i, cell_input(g, squash)))
            if clip:
                c = min(max(c, -clip), clip)
            cell[n] = c
        if part != CELL:
            p_o = mulr(c, weights[(last - 1) * units + n]) if peephole else 0
            o = activation(min(max(z[last * stride + n] + p_o, -limit), limit), gate)
            hidden[n] = saturate16(rshift(mulr(o, cell_output(c, output)), bits))


@seldom
def lstm_norm(of, program, state, scratch):
    """Bring what one gate reads, in any fixed point, to mean 0 and size 1, and write `bias + mulr(sat32(v << shift), multiplier)`.

    of  units, z word, cell word, word of its peephole weights or 0 (then `mulr(cell, weight)` is added first),
        parameters word (multipliers, shifts, bias), the low and the high 31 bits of epsilon
    """
    units, z, cell = np.int64(of[0]), scratch[of[1] :], state[of[2] :]
    weights, peephole, parameters = program[of[3] :], of[3] != 0, program[of[4] :]
    total = np.int64(0)
    for n in range(units):
        total += z[n] + (mulr(cell[n], weights[n]) if peephole else 0)
    mean, largest = (2 * total + units) // (2 * units), np.int64(0)
    for n in range(units):
        largest = max(largest, abs(z[n] + (mulr(cell[n], weights[n]) if peephole else 0) - mean))
    coarser, doublings = 0, 0
    while largest >> (NORM_BITS + coarser):
        coarser += 1
    size = ((np.int64(of[6]) << 31) + of[5]) >> (2 * coarser)
    for n in range(units):
        d = z[n] + (mulr(cell[n], weights[n]) if peephole else 0) - mean
        z[n] = rshift(d, coarser) if coarser else d
        size += np.int64(z[n]) * z[n]
    known, root = size > 0, np.int64(1)
    if known:
        while size < 1 << 60:
            size <<= 2
            doublings += 1
        root = square_root(size)
    for n in range(units):
        value = ((np.int64(z[n]) << (24 + doublings)) + (root >> 1)) // root if known else np.int64(0)
        scaled = saturate32(value << parameters[units + n])
        z[n] = parameters[2 * units + n] + mulr(scaled, parameters[n])
