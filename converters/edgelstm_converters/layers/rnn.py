"""The simple recurrent layer (Elman 1990)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar

import numpy as np

from edgelstm.layers import Rnn
from edgelstm.layers.activation import UNBOUNDED
from edgelstm_converters.layers.float_layer import ACTIVATIONS, FloatRecurrent, Floats, Quantised, scaled
from edgelstm_converters.layers.lstm import integer_state
from edgelstm_converters.quantize import (
    BOUNDED_FORM,
    Vector,
    finest_exponent,
    form_of,
    reach_of,
    row_product,
)


@dataclass(frozen=True, slots=True, eq=False)
class FloatRnn(FloatRecurrent):
    """Simple recurrent layer, h = activation(W x + R h + bias). input_weights (h, i), hidden_weights (h, h), bias (h,)."""

    kind: ClassVar[str] = "rnn"
    bias: Floats
    activation: str = "tanh"
    initial_hidden: Floats | None = field(default=None, kw_only=True)
    hidden_mask: Floats | None = field(default=None, kw_only=True)

    def run(self, *sources: Floats) -> Floats:
        hidden = np.zeros(self.units, np.float32) if self.initial_hidden is None else self.initial_hidden
        activation, parts = ACTIVATIONS[self.activation], sources[0] @ self.input_weights.T + self.bias
        y = np.empty((*parts.shape[:-1], self.units), np.float32)
        for t, part in enumerate(parts):
            seen = hidden if self.hidden_mask is None else hidden * self.hidden_mask
            y[t] = hidden = activation(part + seen @ self.hidden_weights.T)
        return y

    def with_scaled_input(self, mean: Floats, std: Floats) -> FloatRnn:
        weights, bias = scaled(self.input_weights, self.bias, mean, std)
        return replace(self, input_weights=weights, bias=bias)

    def quantize(
        self, sources: Sequence[Vector], seen: Sequence[Floats], given: Floats, *, read: bool
    ) -> Quantised:
        form = form_of(finest_exponent(reach_of(given))) if self.activation in UNBOUNDED else BOUNDED_FORM
        hidden, known = Vector.uniform(self.units, form.step), self.int8_steps.get
        past = hidden if sources[0].samples is None else self.seeing_past(hidden, given)
        layer = Rnn(
            self.name,
            row_product(self.name, self.input_weights, self.bias, sources[0], form.scale, steps=known("input_weights")),
            row_product(self.name, self.hidden_weights, np.zeros_like(self.bias), past, form.scale, steps=known("hidden_weights")),
            self.activation,
            form.exponent,
            initial_hidden=integer_state(self.name, self.initial_hidden, form.step),
        )  # fmt: skip
        return Quantised(layer, hidden, hidden.step)
