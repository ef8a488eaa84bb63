"""The long short-term memory cell with everything that variants of it have.

Peephole connections: Gers and Schmidhuber 2000; coupled gates: Greff et al. 2017; cell clip and projection: Sak et al. 2014;
normalised gates: Ba et al. 2016.
"""

import numpy as np

from edgelstm.reference.activations import activation, cell_input, cell_output, square_root
from edgelstm.reference.fixed_point import mulr, rshift, saturate16, saturate31, saturate32
from edgelstm.reference.places import at16

CELL, OUTPUT = 1, 2
NORM_BITS = 23
"""Of the differences from the mean that a normalised gate squares."""


def lstm_cell_options(of, program, state, scratch):
    """Advance the state of one layer from its pre-activations, in place.

    of  units, stride of a gate, z word, cell word, place of the hidden vector,
        activation codes of gates, cell input and output, whether i and f are coupled (then z has no f),
        cell clip in Q7.23 or 0, word of the peephole weights (i, f, o, without f where coupled) or 0,
        bits that the hidden vector is narrowed by, limit of what gates and cell input read in Q15.16 or 0,
        0 to do all of it, CELL for the cell alone, OUTPUT for the output alone, of a cell that is advanced already
    """
    units, stride, word, cell_word, hidden_place, gate, squash, output, coupled, clip, peephole, bits = of[
        :12
    ]
    limit, part = of[12:14]
    gates = 3 if coupled else 4
    z = scratch[word : word + gates * stride].astype(np.int64).reshape(gates, stride)[:, :units]
    c = state[cell_word : cell_word + units].astype(np.int64)
    weights = np.zeros((gates - 1, units), np.int64)
    if peephole:
        weights += program[peephole : peephole + (gates - 1) * units].reshape(gates - 1, units)

    def limited(values):
        return np.clip(values, -int(limit), int(limit)) if limit else values

    if part != OUTPUT:
        i = activation(limited(z[0] + mulr(c, weights[0])), gate)
        f = (1 << 31) - 1 - i if coupled else activation(limited(z[1] + mulr(c, weights[1])), gate)
        c = saturate31(mulr(f, c) + mulr(i, cell_input(limited(z[-2]), squash)))
        if clip:
            c = np.clip(c, -clip, clip)
        state[cell_word : cell_word + units] = c
    if part != CELL:
        o = activation(limited(z[-1] + mulr(c, weights[-1])), gate)
        hidden = saturate16(rshift(mulr(o, cell_output(c, output)), bits))
        at16(hidden_place, state, scratch)[:units] = hidden


def lstm_norm(of, program, state, scratch):
    """Bring what one gate reads, in any fixed point, to mean 0 and size 1, and write `bias + mulr(sat32(v << shift), multiplier)`.

    of  units, z word, cell word, word of its peephole weights or 0 (then `mulr(cell, weight)` is added first),
        parameters word (multipliers, shifts, bias), the low and the high 31 bits of epsilon
    """
    units, word, cell_word, peephole, parameters, low, high = of[:7]
    z = scratch[word : word + units].astype(np.int64)
    if peephole:
        weights = program[peephole : peephole + units].astype(np.int64)
        z = z + mulr(state[cell_word : cell_word + units].astype(np.int64), weights)
    d = z - (2 * int(z.sum()) + int(units)) // (2 * int(units))
    coarser = max(int(np.abs(d).max()).bit_length() - NORM_BITS, 0)
    d = rshift(d, coarser) if coarser else d
    size = int((d * d).sum()) + (((int(high) << 31) + int(low)) >> (2 * coarser))
    doublings = (62 - size.bit_length()) // 2 if size else 0  # the root gets 30 or 31 bits
    root = max(square_root(size << 2 * doublings), 1)
    values = ((d << (24 + doublings)) + (root >> 1)) // root if size else 0 * d
    multipliers, shifts, bias = (
        program[parameters : parameters + 3 * units].astype(np.int64).reshape(3, units)
    )
    scratch[word : word + units] = bias + mulr(saturate32(values << shifts), multipliers)
