"""Layers on grids of named arrays: convolutional LSTM, and what reads its flattened output."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgelstm_converters.gate_order import LSTM, reorder
from edgelstm_converters.layers import FloatConvLstm, FloatLayer
from edgelstm_converters.readers.architecture import ConvLstmEntry
from edgelstm_converters.readers.named_arrays import Floats, NamedArrays


def conv_lstm(arrays: NamedArrays, entry: ConvLstmEntry, widths: Sequence[int]) -> Sequence[FloatLayer]:
    arrays.order(entry.gates, LSTM)
    w, r = _both(arrays, entry)
    filters = r.shape[3]
    for what, found in (("input_weights", w), ("hidden_weights", r)):
        if len(found) != 4 * filters:
            raise arrays.wrong(f"{what} give {len(found)} values, expected 4 gates of {filters}")
        if found.shape[1] != found.shape[2] or found.shape[1] % 2 == 0 or found.shape[1:3] != r.shape[1:3]:
            raise arrays.wrong(
                f"its kernels are {w.shape[1]} x {w.shape[2]} and {r.shape[1]} x {r.shape[2]}, expected the same odd square"
            )
    pixels = entry.rows * entry.columns
    if widths[0] and widths[0] != pixels * w.shape[3]:
        raise arrays.wrong(
            f"its source gives {widths[0]} values, expected {entry.rows} x {entry.columns} pixels of {w.shape[3]}"
        )
    bias = sum(arrays.vector(key, 4 * filters) for key in ("bias", "input_bias", "hidden_bias"))
    w, r, bias = (reorder(part, entry.gates, LSTM) for part in (w, r, np.asarray(bias, np.float32)))
    return (FloatConvLstm(entry.name, w, r, bias, entry.rows, entry.columns),)


def _both(arrays: NamedArrays, entry: ConvLstmEntry) -> tuple[Floats, Floats]:
    """Return the weights of the input and of the past, (4f, k, k, values)."""

    def kernel(key: str) -> Floats:
        layout = "(k, k, values, 4 filters)" if entry.transposed else "(4 filters, values, k, k)"
        axes = (3, 0, 1, 2) if entry.transposed else (0, 2, 3, 1)
        return np.ascontiguousarray(arrays.array(key, 4, layout).transpose(axes))

    if entry.weights is None:
        return kernel("input_weights"), kernel("hidden_weights")
    if arrays.has("input_weights") or arrays.has("hidden_weights"):
        raise arrays.wrong(
            "weights are those of input and past together: leave input_weights and hidden_weights out"
        )
    both = kernel("weights")
    filters = len(both) // 4
    if len(both) % 4 or both.shape[3] <= filters:
        raise arrays.wrong(
            f"weights read {both.shape[3]} values and give {len(both)}, expected inputs and filters, and 4 filters"
        )
    read = both.shape[3] - filters
    return np.ascontiguousarray(both[..., :read]), np.ascontiguousarray(both[..., read:])


def dense_of_grid(arrays: NamedArrays, weights: Floats, grid: tuple[int, int]) -> Floats:
    """Return weights whose columns go pixel by pixel, of those that have all pixels of a value together."""
    pixels = grid[0] * grid[1]
    if weights.shape[1] % pixels:
        raise arrays.wrong(
            f"its weights read {weights.shape[1]} values, which are no grid of {grid[0]} x {grid[1]}"
        )
    by_pixel = weights.reshape(len(weights), -1, pixels).swapaxes(1, 2)
    return np.ascontiguousarray(by_pixel.reshape(weights.shape))
