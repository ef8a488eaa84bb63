"""The long short-term memory cell (Hochreiter and Schmidhuber 1997, with the forget gate of Gers 2000)."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgelstm.reference.activations import sigmoid, tanh, tanh_of_cell
from edgelstm.reference.fixed_point import mulr, rshift, saturate16, saturate31
from edgelstm.reference.row_product import LANES, row_product

GATES = 4

GROUP_VECTORS = 5
MULTIPLIERS, MINUS_WEIGHT_SUMS, BIAS = 0, 2, 4
"""Of each row group: multipliers of both products, minus the sums of the weights of both products' rows, one bias for both."""

SHIFT_VECTORS = 2
"""Of each row group: shifts of both products."""


def by_unit(rows: NDArray[Any]) -> NDArray[Any]:
    """Return rows of gates, each gate padded to a multiple of LANES, with the four gates of LANES units side by side."""
    return rows.reshape(GATES, -1, LANES, *rows.shape[1:]).swapaxes(0, 1).reshape(rows.shape)


def by_gate(rows: NDArray[Any]) -> NDArray[Any]:
    """Undo `by_unit`."""
    return rows.reshape(-1, GATES, LANES, *rows.shape[1:]).swapaxes(0, 1).reshape(rows.shape)


def lstm_cell(z, stride, cell, hidden):
    """Advance the state of one layer from its pre-activations, in place.

    z       int32  (4 * stride,)  Q15.16, gates i, f, g, o, each padded with zeros to `stride`
    cell    int32  (stride,)      Q7.23, read, then written
    hidden  int16  (stride,)      Q0.15, written
    """
    i, f, g, o = z[: 4 * stride].astype(np.int64).reshape(4, stride)
    kept = mulr(sigmoid(f), cell[:stride].astype(np.int64))
    c = saturate31(kept + mulr(sigmoid(i), rshift(tanh(g), 7)))
    cell[:stride] = c
    hidden[:stride] = saturate16(rshift(mulr(sigmoid(o), tanh_of_cell(c)), 15))


def lstm_layer(
    input_weights, input_quads, x, hidden_weights, hidden_quads, hidden, parameters, shifts, shifted, stride,
    cell, z, backward,
):  # fmt: skip
    """Advance the state of one layer by one sample, in place.

    input_weights, hidden_weights  int8   packed as for `row_product`, rows in the order of `by_unit`
    x                              int16  (4 * input_quads,)
    hidden                         int16  (stride,)  Q0.15, read, then written
    parameters                     int32  (4 * stride * GROUP_VECTORS,)  of each row group MULTIPLIERS and MINUS_WEIGHT_SUMS of both
                                   products, and BIAS
    shifts                         int32  (4 * stride * SHIFT_VECTORS,)  of both products; all 0 where `shifted` is 0
    cell                           int32  (stride,)  Q7.23, read, then written
    z                              int32  (4 * stride,)  written: the pre-activations, gates i, f, g, o
    backward                       1 to begin at the last units: what the step before read last is still in the cache
    """
    del shifted, backward  # for machine code
    rows = GATES * stride
    groups = rows // LANES
    of_group = parameters[: rows * GROUP_VECTORS].reshape(groups, GROUP_VECTORS, LANES)
    shifts = shifts[: rows * SHIFT_VECTORS].reshape(groups, SHIFT_VECTORS, LANES)
    total = np.zeros(rows, np.int64)
    products = (input_weights, input_quads, x), (hidden_weights, hidden_quads, hidden)
    for n, (weights, quads, source) in enumerate(products):
        row_product(
            weights,
            of_group[:, MULTIPLIERS + n].ravel(),
            shifts[:, n].ravel(),
            np.zeros(rows, np.int64),
            of_group[:, MINUS_WEIGHT_SUMS + n].ravel(),
            groups,
            quads,
            source,
            total,
            accumulate=1,
            shifted=1,
            backward=0,
        )
    z[:rows] = by_gate(total + of_group[:, BIAS].ravel())
    lstm_cell(z, stride, cell, hidden)
