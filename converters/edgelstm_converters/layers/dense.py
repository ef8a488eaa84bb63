"""The fully connected layer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from edgelstm.layers import Dense
from edgelstm.layers.activation import UNBOUNDED
from edgelstm_converters.layers.float_layer import ACTIVATIONS, FloatLayer, Floats, Quantised, scaled
from edgelstm_converters.quantize import (
    GATE_SCALE,
    HIDDEN_STEP,
    Vector,
    finest_exponent,
    row_product,
    wide_exponent,
)


@dataclass(frozen=True, slots=True, eq=False)
class FloatDense(FloatLayer):
    """Fully connected layer. weights (o, i), bias (o,); activation one of `ACTIVATIONS`."""

    kind: ClassVar[str] = "dense"
    weights: Floats
    bias: Floats
    activation: str = "linear"

    @property
    def inputs(self) -> int:
        return int(self.weights.shape[1])

    @property
    def units(self) -> int:
        return int(self.weights.shape[0])

    def run(self, *sources: Floats) -> Floats:
        return ACTIVATIONS[self.activation](sources[0] @ self.weights.T + self.bias)

    def with_scaled_input(self, mean: Floats, std: Floats) -> FloatDense:
        weights, bias = scaled(self.weights, self.bias, mean, std)
        return replace(self, weights=weights, bias=bias)

    def followed_by(self, factor: Floats, shift: Floats, activation: str) -> FloatDense | None:
        if self.activation != "linear":
            return None
        weights, bias = self.weights * factor[:, None], self.bias * factor + shift
        return replace(self, weights=weights, bias=bias, activation=activation)

    def quantize(
        self, sources: Sequence[Vector], seen: Sequence[Floats], reach: float, *, read: bool
    ) -> Quantised:
        (source,) = sources
        if self.activation not in UNBOUNDED:
            product = row_product(self.name, self.weights, self.bias, source, GATE_SCALE)
            layer = Dense(self.name, product, self.activation)
            return Quantised(layer, Vector.uniform(self.units, HIDDEN_STEP), np.full(self.units, 2.0**-31))
        worst = np.abs(self.weights.astype(np.float64) * source.step).sum(axis=1) * 32768.0
        worst += np.abs(self.bias + self.weights @ source.offset)
        exponent = finest_exponent(reach) if read else wide_exponent(float(worst.max()))
        product = row_product(self.name, self.weights, self.bias, source, 2.0 ** (exponent + 8))
        layer = Dense(self.name, product, self.activation, exponent)
        scale = np.full(self.units, 2.0 ** -(exponent + 8))
        return Quantised(layer, Vector.uniform(self.units, 2.0**-exponent), scale)
