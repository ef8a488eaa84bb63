"""The long short-term memory cell with everything that variants of it have; twin in `reference/lstm_options.py`."""

import numpy as np

from edgelstm.kernels.places import at16
from edgelstm.kernels.scalar import activation, cell_input, cell_output, mulr, rshift, saturate16, saturate31
from edgelstm.kernels.seldom import seldom


@seldom
def lstm_cell_options(of, program, state, scratch):
    """Advance the state of one layer from its pre-activations, in place.

    of  units, stride of a gate, z word, cell word, place of the hidden vector,
        activation codes of gates, cell input and output, whether i and f are coupled (then z has no f),
        cell clip in Q7.23 or 0, word of the peephole weights (i, f, o, without f where coupled) or 0,
        bits that the hidden vector is narrowed by
    """
    units, stride, coupled, clip, bits = of[0], of[1], of[8], of[9], of[11]
    gate, squash, output = of[5], of[6], of[7]
    z, cell, hidden = scratch[of[2] :], state[of[3] :], at16(of[4], state, scratch)
    weights, peephole = program[of[10] :], of[10] != 0
    last = 2 if coupled else 3
    for n in range(units):
        c = np.int64(cell[n])
        p_i = mulr(c, weights[n]) if peephole else 0
        i = activation(z[n] + p_i, gate)
        if coupled:
            f = (1 << 31) - 1 - i
        else:
            p_f = mulr(c, weights[units + n]) if peephole else 0
            f = activation(z[stride + n] + p_f, gate)
        c = saturate31(mulr(f, c) + mulr(i, cell_input(z[(last - 1) * stride + n], squash)))
        if clip:
            c = min(max(c, -clip), clip)
        p_o = mulr(c, weights[(last - 1) * units + n]) if peephole else 0
        o = activation(z[last * stride + n] + p_o, gate)
        cell[n] = c
        hidden[n] = saturate16(rshift(mulr(o, cell_output(c, output)), bits))
