"""Samples that are passed over, as padding is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from edgelstm.layers import Masking
from edgelstm_converters.layers.float_layer import FloatLayer, Floats, Quantised
from edgelstm_converters.quantize import Vector


@dataclass(frozen=True, slots=True, eq=False)
class FloatMasking(FloatLayer):
    """0 where every one of `channels` of the sample equals its value, else 1; the other way round with `matches`.

    It reads the `width` channels of the model. Layers that run `when` it is not 0 skip the sample: their states stay as they are
    and they give again what they gave last, zeros before the first.
    """

    kind: ClassVar[str] = "masking"
    width: int
    channels: tuple[int, ...]
    values: tuple[float, ...]
    matches: bool = False

    @property
    def inputs(self) -> int:
        return self.width

    @property
    def units(self) -> int:
        return 1

    def run(self, *sources: Floats) -> Floats:
        equal = (sources[0][..., self.channels] == np.array(self.values, np.float32)).all(axis=-1)
        result: Floats = (equal == self.matches).astype(np.float32)[..., None]
        return result

    def with_scaled_input(self, mean: Floats, std: Floats) -> FloatMasking:
        raw = (value * std[c] + mean[c] for c, value in zip(self.channels, self.values, strict=True))
        return replace(self, values=tuple(float(np.float32(value)) for value in raw))

    def quantize(
        self, sources: Sequence[Vector], seen: Sequence[Floats], given: Floats, *, read: bool
    ) -> Quantised:
        vector = Vector.uniform(1, 1.0)
        values = tuple(float(np.float32(value)) for value in self.values)
        return Quantised(Masking(self.name, self.channels, values, self.matches), vector, vector.step)
