"""Clockwork recurrent layer (Koutník et al. 2014): groups of units that run at periods of their own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar

import numpy as np

from edgelstm.layers import Clockwork
from edgelstm.layers.activation import UNBOUNDED
from edgelstm_converters.layers.float_layer import ACTIVATIONS, FloatRecurrent, Floats, Quantised, scaled
from edgelstm_converters.quantize import (
    BOUNDED_FORM,
    RowsSeeing,
    Vector,
    finest_exponent,
    form_of,
    reach_of,
    row_product,
)


@dataclass(frozen=True, slots=True, eq=False)
class FloatClockwork(FloatRecurrent):
    """Units in groups of `sizes`, the fastest first; input_weights (h, i), hidden_weights (h, h), bias (h,).

    At sample t the groups whose period divides t compute h = activation(W x + R h + bias), from the h of before; the others
    hold. A group sees itself and slower groups: what `hidden_weights` say of faster ones is not looked at.
    """

    kind: ClassVar[str] = "clockwork"
    bias: Floats
    sizes: tuple[int, ...]
    periods: tuple[int, ...]
    activation: str = "tanh"
    hidden_mask: Floats | None = field(default=None, kw_only=True)

    @property
    def seen_weights(self) -> Floats:
        group = np.repeat(np.arange(len(self.sizes)), self.sizes)
        return np.where(group[:, None] <= group, self.hidden_weights, np.float32(0.0))

    def run(self, *sources: Floats) -> Floats:
        hidden, weights = np.zeros(self.units, np.float32), self.seen_weights.T
        periods, activation = np.repeat(self.periods, self.sizes), ACTIVATIONS[self.activation]
        parts = sources[0] @ self.input_weights.T + self.bias
        y = np.empty((*parts.shape[:-1], self.units), np.float32)
        for t, part in enumerate(parts):
            seen = hidden if self.hidden_mask is None else hidden * self.hidden_mask
            y[t] = hidden = np.where(t % periods == 0, activation(part + seen @ weights), hidden)
        return y

    def with_scaled_input(self, mean: Floats, std: Floats) -> FloatClockwork:
        weights, bias = scaled(self.input_weights, self.bias, mean, std)
        return replace(self, input_weights=weights, bias=bias)

    def _seen_of_groups(self, x: Floats, given: Floats) -> list[tuple[RowsSeeing, RowsSeeing]]:
        """Return what every group saw of the source, and of the past from its own first unit on, when it ran."""
        found, first = [], 0
        for size, period in zip(self.sizes, self.periods, strict=True):
            rows, past = slice(first, first + size), given[period - 1 : -1 : period]
            seen = past if self.hidden_mask is None else past * self.hidden_mask
            found.append((RowsSeeing(rows, x[::period]), RowsSeeing(rows, seen, first)))
            first += size
        return found

    def quantize(
        self, sources: Sequence[Vector], seen: Sequence[Floats], given: Floats, *, read: bool
    ) -> Quantised:
        form = form_of(finest_exponent(reach_of(given))) if self.activation in UNBOUNDED else BOUNDED_FORM
        hidden = Vector.uniform(self.units, form.step)
        groups = [] if sources[0].samples is None else self._seen_of_groups(seen[0], given)
        none = np.zeros_like(self.bias)
        layer = Clockwork(
            self.name,
            row_product(
                self.name,
                self.input_weights,
                self.bias,
                sources[0],
                form.scale,
                [inputs for inputs, _ in groups],
            ),
            row_product(self.name, self.seen_weights, none, hidden, form.scale, [past for _, past in groups]),
            self.sizes,
            self.periods,
            self.activation,
            form.exponent,
        )
        return Quantised(layer, hidden, hidden.step)
