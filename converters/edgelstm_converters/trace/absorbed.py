"""What is linear in front of a layer, taken into its weights: of one sample, or of a window of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from edgelstm_converters.layers import FloatConv1d, FloatLayer
from edgelstm_converters.trace.expressions import Expression, expression_of, time_of, vector
from edgelstm_converters.trace.linear import Doubles, Linear


def behind(layer: FloatLayer, matrix: Doubles, bias: Doubles) -> FloatLayer:
    """Return the recurrent layer that gives for x what `layer` gives for matrix @ x + bias."""
    held: Any = layer
    weights = held.input_weights.astype(np.float64)
    name = "input_bias" if hasattr(layer, "input_bias") else "bias"
    changed: dict[str, Any] = {
        "input_weights": (weights @ matrix).astype(np.float32),
        name: (getattr(layer, name) + weights @ bias).astype(np.float32),
    }
    return replace(layer, **changed)


def over_window(
    name: str, read: Linear, table: Sequence[Expression]
) -> tuple[FloatConv1d, dict[int, Doubles]]:
    """Return the convolution that computes linear combinations of earlier samples, and the newest row's matrix on each vector."""
    taps = int(time_of(read.atoms).max()) + 1
    numbers = [int(number) for number in np.unique(expression_of(read.atoms))]
    parts = {
        number: np.stack(
            [read.columns(vector(number, table[number].size, delay)) for delay in reversed(range(taps))],
            axis=2,
        )
        for number in numbers
    }
    weights = np.concatenate(list(parts.values()), axis=1).astype(np.float32)
    layer = FloatConv1d(name, weights, read.bias.astype(np.float32))
    return layer, {number: part[..., -1] for number, part in parts.items()}
