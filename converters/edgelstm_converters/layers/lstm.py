"""Long short-term memory (Hochreiter and Schmidhuber 1997, with the forget gate of Gers et al. 2000)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from edgelstm.layers import Lstm
from edgelstm_converters.layers.float_layer import FloatLayer, Floats, Quantised, scaled, sigmoid
from edgelstm_converters.quantize import GATE_SCALE, HIDDEN_STEP, Vector, row_product


@dataclass(frozen=True, slots=True, eq=False)
class FloatLstm(FloatLayer):
    """Long short-term memory layer. input_weights (4h, i), hidden_weights (4h, h), bias (4h,)."""

    kind: ClassVar[str] = "lstm"
    input_weights: Floats
    hidden_weights: Floats
    bias: Floats

    @property
    def inputs(self) -> int:
        return int(self.input_weights.shape[1])

    @property
    def units(self) -> int:
        return int(self.hidden_weights.shape[1])

    def run(self, *sources: Floats) -> Floats:
        hidden = cell = np.zeros(self.units, np.float32)
        parts = sources[0] @ self.input_weights.T + self.bias
        y = np.empty((len(parts), self.units), np.float32)
        for t, part in enumerate(parts):
            i, f, g, o = np.split(part + self.hidden_weights @ hidden, 4)
            cell = sigmoid(f) * cell + sigmoid(i) * np.tanh(g)
            y[t] = hidden = sigmoid(o) * np.tanh(cell)
        return y

    def with_scaled_input(self, mean: Floats, std: Floats) -> FloatLstm:
        weights, bias = scaled(self.input_weights, self.bias, mean, std)
        return replace(self, input_weights=weights, bias=bias)

    def quantize(self, sources: Sequence[Vector], reach: float, *, read: bool) -> Quantised:
        hidden = Vector.uniform(self.units, HIDDEN_STEP)
        none = np.zeros_like(self.bias)
        layer = Lstm(
            self.name,
            row_product(self.name, self.input_weights, self.bias, sources[0], GATE_SCALE),
            row_product(self.name, self.hidden_weights, none, hidden, GATE_SCALE),
        )
        return Quantised(layer, hidden, hidden.step)
