"""Layers that make one vector of several, or take a part of one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import ClassVar

import numpy as np

from edgelstm.layers import Add, Concat, ElementProduct, Multiply, Select
from edgelstm.layers.activation import UNBOUNDED
from edgelstm_converters.layers.float_layer import ACTIVATIONS, FloatLayer, Floats, Quantised
from edgelstm_converters.quantize import (
    BOUNDED_FORM,
    Vector,
    element_product,
    finest_exponent,
    form_of,
    output_form,
    reach_of,
)


@dataclass(frozen=True, slots=True, eq=False)
class FloatConcat(FloatLayer):
    """The values of its sources one after another; `widths` says how many each gives."""

    kind: ClassVar[str] = "concat"
    widths: tuple[int, ...]

    @property
    def inputs(self) -> int:
        return self.widths[0]

    @property
    def units(self) -> int:
        return sum(self.widths)

    def carried(self, sources: Sequence[Sequence[int]]) -> Sequence[int]:
        return [channel for source in sources for channel in source]

    def run(self, *sources: Floats) -> Floats:
        return np.concatenate(sources, axis=-1)

    def quantize(
        self, sources: Sequence[Vector], seen: Sequence[Floats], given: Floats, *, read: bool
    ) -> Quantised:
        step = np.concatenate([source.step for source in sources])
        offset = np.concatenate([source.offset for source in sources])
        if np.unique(step).size == 1 and not offset.any():
            vector = Vector(step, offset)
            return Quantised(Concat(self.name, self.widths), vector, step)
        # one row of weights has one scale, so its columns had better come in the same steps
        form = form_of(finest_exponent(reach_of(given)))
        one, none = np.ones(self.units, np.float32), np.zeros(self.units, np.float32)
        product = element_product(self.name, one, none, Vector(step, offset), form.scale)
        vector = Vector.uniform(self.units, form.step)
        return Quantised(Concat(self.name, self.widths, product=product), vector, vector.step)


@dataclass(frozen=True, slots=True, eq=False)
class FloatSelect(FloatLayer):
    """The values `first` to `first + count` of its source, which gives `inputs`."""

    kind: ClassVar[str] = "select"
    first: int
    count: int
    width: int

    @property
    def plain(self) -> bool:
        return False

    @property
    def inputs(self) -> int:
        return self.width

    @property
    def units(self) -> int:
        return self.count

    def carried(self, sources: Sequence[Sequence[int]]) -> Sequence[int]:
        return sources[0][self.first : self.first + self.count]

    def run(self, *sources: Floats) -> Floats:
        return sources[0][..., self.first : self.first + self.count]

    def with_scaled_input(self, mean: Floats, std: Floats) -> FloatSelect | None:
        taken = slice(self.first, self.first + self.count)
        return None if np.any(mean[taken]) or np.any(std[taken] != 1.0) else self

    def quantize(
        self, sources: Sequence[Vector], seen: Sequence[Floats], given: Floats, *, read: bool
    ) -> Quantised:
        taken = slice(self.first, self.first + self.count)
        vector = Vector(sources[0].step[taken], sources[0].offset[taken])
        return Quantised(Select(self.name, self.first, self.count), vector, vector.step)


@dataclass(frozen=True, slots=True, eq=False)
class FloatAdd(FloatLayer):
    """activation(sum of factor * source): residual connections (1, 1), differences (1, -1), averages (1/n, ...)."""

    kind: ClassVar[str] = "add"
    width: int
    factors: tuple[float, ...]
    activation: str = "linear"

    @property
    def inputs(self) -> int:
        return self.width

    @property
    def units(self) -> int:
        return self.width

    def run(self, *sources: Floats) -> Floats:
        parts = [np.float32(factor) * x for factor, x in zip(self.factors, sources, strict=True)]
        return ACTIVATIONS[self.activation](reduce(np.add, parts))

    def quantize(
        self, sources: Sequence[Vector], seen: Sequence[Floats], given: Floats, *, read: bool
    ) -> Quantised:
        pairs = list(zip(self.factors, sources, strict=True))
        form = BOUNDED_FORM
        if self.activation in UNBOUNDED:
            worst = sum(
                abs(factor) * (source.step * 32768.0 + np.abs(source.offset)) for factor, source in pairs
            )
            form = output_form(reach_of(given), float(np.max(worst)), read=read)
        none = np.zeros(self.width, np.float32)
        parts = [
            element_product(self.name, np.full(self.width, factor, np.float32), none, source, form.scale)
            for factor, source in pairs
        ]
        names = ("multipliers", "shifts", "bias")
        product = ElementProduct(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))
        return Quantised.of(Add(self.name, self.width, product, self.activation, form.exponent), form)


@dataclass(frozen=True, slots=True, eq=False)
class FloatMultiply(FloatLayer):
    """The product of two sources, element by element."""

    kind: ClassVar[str] = "multiply"
    needs_plain: ClassVar[bool] = True
    width: int

    @property
    def inputs(self) -> int:
        return self.width

    @property
    def units(self) -> int:
        return self.width

    def run(self, *sources: Floats) -> Floats:
        return sources[0] * sources[1]

    def quantize(
        self, sources: Sequence[Vector], seen: Sequence[Floats], given: Floats, *, read: bool
    ) -> Quantised:
        first, second = sources
        step = first.step * second.step
        form = output_form(reach_of(given), float((step * 2.0**30).max()), read=read)
        product_of = Vector(step, np.zeros(self.width))
        one, none = np.ones(self.width, np.float32), np.zeros(self.width, np.float32)
        product = element_product(self.name, one, none, product_of, form.scale)
        return Quantised.of(Multiply(self.name, product, form.exponent), form)
