"""A factor and a shift for every element: batch normalisation that could not be folded, scaling, a lone activation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from edgelstm.layers import Affine
from edgelstm.layers.activation import UNBOUNDED
from edgelstm_converters.layers.float_layer import ACTIVATIONS, FloatLayer, Floats, Quantised, scaled_elements
from edgelstm_converters.quantize import BOUNDED_FORM, Vector, element_product, output_form, reach_of


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
        factor, shift = scaled_elements(self.factor, self.shift, mean, std)
        return replace(self, factor=factor, shift=shift)

    def followed_by(self, factor: Floats, shift: Floats, activation: str) -> FloatAffine | None:
        if self.activation != "linear":
            return None
        return replace(
            self, factor=self.factor * factor, shift=self.shift * factor + shift, activation=activation
        )

    def quantize(
        self, sources: Sequence[Vector], seen: Sequence[Floats], given: Floats, *, read: bool
    ) -> Quantised:
        (source,) = sources
        form = BOUNDED_FORM
        if self.activation in UNBOUNDED:
            worst = np.abs(self.factor * source.step) * 32768.0 + np.abs(
                self.shift + self.factor * source.offset
            )
            form = output_form(reach_of(given), float(worst.max()), read=read)
        product = element_product(self.name, self.factor, self.shift, source, form.scale)
        return Quantised.of(Affine(self.name, product, self.activation, form.exponent), form)
