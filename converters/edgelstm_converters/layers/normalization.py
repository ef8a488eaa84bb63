"""Normalisation of a vector by its own size: layer normalisation (Ba et al. 2016), root mean square, L2."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from edgelstm.layers import Normalization
from edgelstm_converters.layers.float_layer import FloatLayer, Floats, Quantised
from edgelstm_converters.quantize import Vector, element_product, output_form, reach_of

MODES = ("layer", "rms", "l2")
NORMAL_STEP = 2.0**-24


@dataclass(frozen=True, slots=True, eq=False)
class FloatNormalization(FloatLayer):
    """factor * x / size + shift, over the values of one sample; factor and shift (units,).

    layer  (x - mean) / sqrt(variance + epsilon)      rms  x / sqrt(mean square + epsilon)
    l2     x / max(sqrt(sum of squares), epsilon)
    """

    kind: ClassVar[str] = "normalization"
    needs_plain: ClassVar[bool] = True
    mode: str
    factor: Floats
    shift: Floats
    epsilon: float = 1e-5

    @property
    def inputs(self) -> int:
        return len(self.factor)

    @property
    def units(self) -> int:
        return len(self.factor)

    def run(self, *sources: Floats) -> Floats:
        x, epsilon = sources[0], np.float32(self.epsilon)
        if self.mode == "layer":
            x = x - x.mean(axis=-1, keepdims=True)
        square = np.square(x).mean(axis=-1, keepdims=True)
        size = np.sqrt(square + epsilon)
        if self.mode == "l2":
            size = np.maximum(np.sqrt(square * np.float32(self.units)), epsilon)
        result: Floats = self.factor * x / size + self.shift
        return result

    def quantize(
        self, sources: Sequence[Vector], seen: Sequence[Floats], given: Floats, *, read: bool
    ) -> Quantised:
        n, step = self.units, float(sources[0].step[0])
        epsilon = {
            "layer": self.epsilon * n * n / step**2,
            "rms": self.epsilon * n / step**2,
            "l2": (self.epsilon / step) ** 2,
        }[self.mode]
        factor = self.factor * np.float32(np.sqrt(n)) if self.mode == "rms" else self.factor
        worst = np.abs(factor) * (np.sqrt(n) if self.mode == "layer" else 1.0) + np.abs(self.shift)
        form = output_form(reach_of(given), float(worst.max()), read=read)
        source = Vector.uniform(n, NORMAL_STEP)
        product = element_product(self.name, factor, self.shift, source, form.scale)
        integer = min(round(epsilon), 2**61 - 1)
        layer = Normalization(
            self.name, product, self.mode == "layer", self.mode == "l2", integer, form.exponent
        )
        return Quantised.of(layer, form)
