"""The long short-term memory cell with everything that variants of it have.

Peephole connections: Gers and Schmidhuber 2000; coupled gates: Greff et al. 2017; cell clip and projection: Sak et al. 2014.
"""

import numpy as np

from edgelstm.reference.activations import activation, cell_input, cell_output
from edgelstm.reference.fixed_point import mulr, rshift, saturate16, saturate31
from edgelstm.reference.places import at16


def lstm_cell_options(of, program, state, scratch):
    """Advance the state of one layer from its pre-activations, in place.

    of  units, stride of a gate, z word, cell word, place of the hidden vector,
        activation codes of gates, cell input and output, whether i and f are coupled (then z has no f),
        cell clip in Q7.23 or 0, word of the peephole weights (i, f, o, without f where coupled) or 0,
        bits that the hidden vector is narrowed by
    """
    units, stride, word, cell_word, hidden_place, gate, squash, output, coupled, clip, peephole, bits = of[
        :12
    ]
    gates = 3 if coupled else 4
    z = scratch[word : word + gates * stride].astype(np.int64).reshape(gates, stride)[:, :units]
    c = state[cell_word : cell_word + units].astype(np.int64)
    weights = np.zeros((gates - 1, units), np.int64)
    if peephole:
        weights += program[peephole : peephole + (gates - 1) * units].reshape(gates - 1, units)
    i = activation(z[0] + mulr(c, weights[0]), gate)
    f = (1 << 31) - 1 - i if coupled else activation(z[1] + mulr(c, weights[1]), gate)
    c = saturate31(mulr(f, c) + mulr(i, cell_input(z[-2], squash)))
    if clip:
        c = np.clip(c, -clip, clip)
    o = activation(z[-1] + mulr(c, weights[-1]), gate)
    state[cell_word : cell_word + units] = c
    hidden = saturate16(rshift(mulr(o, cell_output(c, output)), bits))
    at16(hidden_place, state, scratch)[:units] = hidden
