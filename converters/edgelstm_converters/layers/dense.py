"""The fully connected layer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from edgelstm.layers import Dense
from edgelstm.layers.activation import UNBOUNDED
from edgelstm_converters.layers.float_layer import ACTIVATIONS, FloatLayer, Floats, Quantised, scaled
from edgelstm_converters.quantize import BOUNDED_FORM, Vector, output_form, reach_of, row_product


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
        steps = self.scaled_steps("weights", factor)
        return replace(self, weights=weights, bias=bias, activation=activation, int8_steps=steps)

    def quantize(
        self, sources: Sequence[Vector], seen: Sequence[Floats], given: Floats, *, read: bool
    ) -> Quantised:
        (source,) = sources
        form = BOUNDED_FORM
        if self.activation in UNBOUNDED:
            worst = np.abs(self.weights.astype(np.float64) * source.step).sum(axis=1) * 32768.0
            worst += np.abs(self.bias + self.weights @ source.offset)
            form = output_form(reach_of(given), float(worst.max()), read=read)
        product = row_product(
            self.name, self.weights, self.bias, source, form.scale, steps=self.int8_steps.get("weights")
        )
        return Quantised.of(Dense(self.name, product, self.activation, form.exponent), form)
