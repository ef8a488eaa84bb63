"""Gated recurrent unit (Cho et al. 2014; reset after the product: Keras, cuDNN, PyTorch)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from edgelstm.errors import ConversionError
from edgelstm.layers import Gru
from edgelstm_converters.layers.float_layer import FloatRecurrent, Floats, Quantised, scaled, sigmoid
from edgelstm_converters.quantize import GATE_SCALE, HIDDEN_STEP, RowsSeeing, Vector, row_product


@dataclass(frozen=True, slots=True, eq=False)
class FloatGru(FloatRecurrent):
    """Gated recurrent unit. input_weights (3h, i), hidden_weights (3h, h), both biases (3h,)."""

    kind: ClassVar[str] = "gru"
    input_bias: Floats
    hidden_bias: Floats
    reset_after: bool = True
    hidden_mask: Floats | None = field(default=None, kw_only=True)
    initial_hidden: Floats | None = field(default=None, kw_only=True)

    def run(self, *sources: Floats) -> Floats:
        h = self.units
        hidden = np.zeros(h, np.float32) if self.initial_hidden is None else self.initial_hidden
        parts = sources[0] @ self.input_weights.T + self.input_bias
        gates, new = self.hidden_weights[: 2 * h], self.hidden_weights[2 * h :]
        y = np.empty((*parts.shape[:-1], h), np.float32)
        for t, part in enumerate(parts):
            seen = hidden if self.hidden_mask is None else hidden * self.hidden_mask
            r, u = np.split(
                sigmoid(part[..., : 2 * h] + seen @ gates.T + self.hidden_bias[: 2 * h]), 2, axis=-1
            )
            if self.reset_after:
                recurrent = r * (seen @ new.T + self.hidden_bias[2 * h :])
            else:
                recurrent = (r * seen) @ new.T + self.hidden_bias[2 * h :]
            n = np.tanh(part[..., 2 * h :] + recurrent)
            y[t] = hidden = n + u * (hidden - n)
        return y

    def with_scaled_input(self, mean: Floats, std: Floats) -> FloatGru:
        weights, bias = scaled(self.input_weights, self.input_bias, mean, std)
        return replace(self, input_weights=weights, input_bias=bias)

    def quantize(
        self, sources: Sequence[Vector], seen: Sequence[Floats], given: Floats, *, read: bool
    ) -> Quantised:
        hidden, known = Vector.uniform(self.units, HIDDEN_STEP), self.int8_steps.get
        past, gated = hidden, []
        if sources[0].samples is not None:
            past = self.seeing_past(hidden, given)
            gated = [] if self.reset_after else [self._seen_behind_reset(seen[0], given)]
        layer = Gru(
            self.name,
            row_product(self.name, self.input_weights, self.input_bias, sources[0], GATE_SCALE, steps=known("input_weights")),
            row_product(self.name, self.hidden_weights, self.hidden_bias, past, GATE_SCALE, gated, known("hidden_weights")),
            self.reset_after,
            initial_state=_integer_state(self.name, self.initial_hidden),
        )  # fmt: skip
        return Quantised(layer, hidden, hidden.step)

    def _seen_behind_reset(self, x: Floats, given: Floats) -> RowsSeeing:
        """Return what the rows of n saw: the past times r."""
        h = self.units
        seen = given[:-1] if self.hidden_mask is None else given[:-1] * self.hidden_mask
        z = x[len(x) - len(seen) :] @ self.input_weights[:h].T + self.input_bias[:h]
        r = sigmoid(z + seen @ self.hidden_weights[:h].T + self.hidden_bias[:h])
        return RowsSeeing(slice(2 * h, 3 * h), r * seen)


def _integer_state(name: str, hidden: Floats | None) -> NDArray[np.int32] | None:
    """Return what a new stream begins with, Q8.23."""
    if hidden is None:
        return None
    if np.abs(hidden).max() > 1.0:
        raise ConversionError(
            f'layer "{name}": its initial hidden state reaches {np.abs(hidden).max():.3g}, more than it ever gives'
        )
    return np.rint(hidden.astype(np.float64) * 2.0**23).astype(np.int32)
