"""A factor and a shift for every element: batch normalisation that could not be folded, scaling, a lone activation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from edgelstm.layers import Affine
from edgelstm.layers.activation import UNBOUNDED
from edgelstm_converters.layers.float_layer import ACTIVATIONS, FloatLayer, Floats, Quantised
from edgelstm_converters.quantize import (
    GATE_SCALE,
    HIDDEN_STEP,
    Vector,
    element_product,
    finest_exponent,
    wide_exponent,
)


@dataclass(frozen=True, slots=True, eq=False)
class FloatAffine(FloatLayer):
    """y = activation(factor * x + shift), element by element; factor and shift (units,)."""

    kind: ClassVar[str] = "affine"
    factor: Floats
    shift: Floats
    activation: str = "linear"

    @property
    def inputs(self) -> int:
        return len(self.factor)

    @property
    def units(self) -> int:
        return len(self.factor)

    def run(self, *sources: Floats) -> Floats:
        return ACTIVATIONS[self.activation](sources[0] * self.factor + self.shift)

    def with_scaled_input(self, mean: Floats, std: Floats) -> FloatAffine:
        with np.errstate(over="ignore", invalid="ignore"):  # refused when the layers are run
            factor = self.factor.astype(np.float64) / std
            shift = self.shift - factor * mean
            return replace(self, factor=factor.astype(np.float32), shift=shift.astype(np.float32))

    def followed_by(self, factor: Floats, shift: Floats, activation: str) -> FloatAffine | None:
        if self.activation != "linear":
            return None
        return replace(
            self, factor=self.factor * factor, shift=self.shift * factor + shift, activation=activation
        )

    def quantize(
        self, sources: Sequence[Vector], seen: Sequence[Floats], reach: float, *, read: bool
    ) -> Quantised:
        (source,) = sources
        if self.activation not in UNBOUNDED:
            product = element_product(self.name, self.factor, self.shift, source, GATE_SCALE)
            layer = Affine(self.name, product, self.activation)
            return Quantised(layer, Vector.uniform(self.units, HIDDEN_STEP), np.full(self.units, 2.0**-31))
        worst = np.abs(self.factor * source.step) * 32768.0 + np.abs(self.shift + self.factor * source.offset)
        exponent = finest_exponent(reach) if read else wide_exponent(float(worst.max()))
        product = element_product(self.name, self.factor, self.shift, source, 2.0 ** (exponent + 8))
        layer = Affine(self.name, product, self.activation, exponent)
        scale = np.full(self.units, 2.0 ** -(exponent + 8))
        return Quantised(layer, Vector.uniform(self.units, 2.0**-exponent), scale)
