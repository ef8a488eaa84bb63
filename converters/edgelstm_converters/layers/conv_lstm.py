"""Convolutional LSTM over a small grid of sensors (Shi et al. 2015, without peephole connections, as in Keras)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from edgelstm.layers import ConvLstm
from edgelstm_converters.layers.float_layer import FloatLayer, Floats, Quantised, sigmoid
from edgelstm_converters.quantize import GATE_SCALE, HIDDEN_STEP, MOST_SAMPLES, Vector, row_product, some_rows


@dataclass(frozen=True, slots=True, eq=False)
class FloatConvLstm(FloatLayer):
    """An LSTM at every pixel of a grid of `rows` x `columns`, which sees the pixels around it, zeros beyond the edge.

    Source and output are grids, the values of a pixel together (channels last, as Keras has them).
    input_weights (4f, kernel, kernel, i), hidden_weights (4f, kernel, kernel, f), bias (4f,), gates in order i, f, g, o.
    """

    kind: ClassVar[str] = "conv_lstm"
    needs_plain: ClassVar[bool] = True
    input_weights: Floats
    hidden_weights: Floats
    bias: Floats
    rows: int
    columns: int

    @property
    def kernel(self) -> int:
        return int(self.input_weights.shape[1])

    @property
    def filters(self) -> int:
        return int(self.hidden_weights.shape[3])

    @property
    def span(self) -> None:
        return None

    @property
    def inputs(self) -> int:
        return self.rows * self.columns * int(self.input_weights.shape[3])

    @property
    def units(self) -> int:
        return self.rows * self.columns * self.filters

    def run(self, *sources: Floats) -> Floats:
        x = sources[0]
        hidden = cell = np.zeros((*x.shape[1:-1], self.units), np.float32)
        w, r = (self._matrix(weights).T for weights in (self.input_weights, self.hidden_weights))
        y = np.empty((*x.shape[:-1], self.units), np.float32)
        for t, sample in enumerate(x):
            z = self._patches(sample) @ w + self.bias + self._patches(hidden) @ r
            i, f, g, o = (gate.reshape(cell.shape) for gate in np.split(z, 4, axis=-1))
            cell = sigmoid(f) * cell + sigmoid(i) * np.tanh(g)
            y[t] = hidden = sigmoid(o) * np.tanh(cell)
        return y

    def _matrix(self, weights: Floats) -> Floats:
        return np.ascontiguousarray(weights.reshape(len(weights), -1))

    def _patches(self, grid: Floats) -> Floats:
        """Return what lies around every pixel, (..., pixels, kernel * kernel * values)."""
        half, batch = self.kernel // 2, grid.shape[:-1]
        pixels = grid.reshape(*batch, self.rows, self.columns, -1)
        padded = np.pad(pixels, [(0, 0)] * len(batch) + [(half, half), (half, half), (0, 0)])
        around = np.lib.stride_tricks.sliding_window_view(padded, (self.kernel, self.kernel), axis=(-3, -2))
        last = np.moveaxis(around, -3, -1)  # (..., rows, columns, kernel, kernel, values)
        return last.reshape(*batch, self.rows * self.columns, -1)

    def _some_patches(self, grids: Floats) -> Floats:
        """Return what lies around every pixel of as many grids as say enough."""
        return self._patches(some_rows(grids, MOST_SAMPLES // (self.rows * self.columns) + 1))

    def quantize(
        self, sources: Sequence[Vector], seen: Sequence[Floats], given: Floats, *, read: bool
    ) -> Quantised:
        around = self.kernel * self.kernel
        source = Vector.uniform(around * int(self.input_weights.shape[3]), float(sources[0].step[0]))
        seen_past = Vector.uniform(around * self.filters, HIDDEN_STEP)
        if sources[0].samples is not None:
            source = source.seeing(self._some_patches(seen[0]))
            seen_past = seen_past.seeing(self._some_patches(given[:-1]))
        none = np.zeros_like(self.bias)
        layer = ConvLstm(
            self.name,
            row_product(
                self.name,
                self._matrix(self.input_weights),
                self.bias,
                source,
                GATE_SCALE,
                steps=self.int8_steps.get("input_weights"),
            ),
            row_product(
                self.name,
                self._matrix(self.hidden_weights),
                none,
                seen_past,
                GATE_SCALE,
                steps=self.int8_steps.get("hidden_weights"),
            ),
            self.rows,
            self.columns,
            self.kernel,
        )
        hidden = Vector.uniform(self.units, HIDDEN_STEP)
        return Quantised(layer, hidden, hidden.step)
