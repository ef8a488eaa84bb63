"""Layers that make one vector of several, or take a part of one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from edgelstm.layers.activation import ACTIVATIONS, check_exponent, narrowing
from edgelstm.layers.bounds import require, require_int32, require_one_of, require_units
from edgelstm.layers.layer import Layer
from edgelstm.layers.products import ElementProduct
from edgelstm.reference import operations as op

if TYPE_CHECKING:
    from edgelstm.lowering import Builder, Vector

MAX_SOURCES = 64


def _check_sources(layer: Layer, columns: Sequence[int], units: int, most: int = MAX_SOURCES) -> None:
    where = f'layer "{layer.name}"'
    require_units(units, where)
    require(2 <= len(columns) <= most, f"{where}: reads {len(columns)} layers, expected 2 to {most}")
    for source, found in zip(layer.sources, columns, strict=True):
        require(found == units, f'{where}: "{source}" gives {found} values, expected {units}')


@dataclass(frozen=True, slots=True, eq=False)
class Concat(Layer):
    """The values of its sources one after another: as they are, or brought to the same steps as sat16(rshift(product, 8))."""

    kind: ClassVar[str] = "concat"
    widths: tuple[int, ...]
    product: ElementProduct | None = field(default=None, kw_only=True)

    @property
    def units(self) -> int:
        return sum(self.widths)

    def check(self, columns: Sequence[int]) -> None:
        where = f'layer "{self.name}"'
        require_units(self.units, where)
        require(
            1 <= len(columns) <= MAX_SOURCES,
            f"{where}: reads {len(columns)} layers, expected 1 to {MAX_SOURCES}",
        )
        require(
            tuple(columns) == tuple(self.widths),
            f"{where}: widths are {self.widths}, its sources give {tuple(columns)}",
        )
        if self.product is not None:
            require_int32(self.product.check(f"{where}: product", self.units), f"{where}: product")

    def carried(self, sources: Sequence[Sequence[int]]) -> Sequence[int]:
        return [channel for source in sources for channel in source]

    def lower(self, build: Builder, sources: Sequence[Vector]) -> Vector:
        vector, first = build.scratch_vector(self.units), 0
        z = build.scratch(build.padded(self.units)) if self.product is not None else -1
        for source in sources:
            end = first + source.count
            if self.product is None:
                build.copy(source, vector.part(first, source.count))
            else:
                build.element_product(self.product.part(first, end), source, z + first)
            first = end
        if self.product is not None:
            build.narrow(z, 8, vector)
        return vector


@dataclass(frozen=True, slots=True, eq=False)
class Select(Layer):
    """The values `first` to `first + count` of its source: one of several inputs, or one of several heads."""

    kind: ClassVar[str] = "select"
    first: int
    count: int

    @property
    def units(self) -> int:
        return self.count

    def check(self, columns: Sequence[int]) -> None:
        where = f'layer "{self.name}"'
        require_units(self.count, where)
        require(
            0 <= self.first <= columns[0] - self.count,
            f"{where}: takes {self.count} values from {self.first} on, but its source gives {columns[0]}",
        )

    def carried(self, sources: Sequence[Sequence[int]]) -> Sequence[int]:
        return sources[0][self.first : self.first + self.count]

    def lower(self, build: Builder, sources: Sequence[Vector]) -> Vector:
        vector = build.scratch_vector(self.count)
        build.copy(sources[0].part(self.first, self.count), vector)
        return vector


@dataclass(frozen=True, slots=True, eq=False)
class Add(Layer):
    """The sum of its sources, each element times a factor of its own; residual connections, differences, averages.

    product  elements of the first source, then of the second, ...; each gives real * 2**(exponent + 8), or Q15.16 before an
             activation that is bounded by 1
    """

    kind: ClassVar[str] = "add"
    width: int
    product: ElementProduct
    activation: str = "linear"
    exponent: int = 15

    @property
    def units(self) -> int:
        return self.width

    def check(self, columns: Sequence[int]) -> None:
        where = f'layer "{self.name}"'
        _check_sources(self, columns, self.width)
        require_one_of(self.activation, ACTIVATIONS, f"{where}: activation")
        check_exponent(self.exponent, where)
        worst = self.product.check(f"{where}: product", len(columns) * self.width)
        require_int32(worst.reshape(len(columns), self.width).sum(axis=0), f"{where}: product")

    def lower(self, build: Builder, sources: Sequence[Vector]) -> Vector:
        z = build.scratch(build.padded(self.width))
        for number, source in enumerate(sources):
            part = self.product.part(number * self.width, (number + 1) * self.width)
            build.element_product(part, source, z, accumulate=number > 0)
        build.activate(self.activation, self.width, z)
        return build.leave(z, self.width, bits=narrowing(self.activation))


@dataclass(frozen=True, slots=True, eq=False)
class Multiply(Layer):
    """The product of two sources, element by element, as real * 2**(exponent + 8)."""

    kind: ClassVar[str] = "multiply"
    product: ElementProduct
    exponent: int = 15

    @property
    def units(self) -> int:
        return self.product.count

    def check(self, columns: Sequence[int]) -> None:
        where = f'layer "{self.name}"'
        _check_sources(self, columns, self.units, most=2)
        check_exponent(self.exponent, where)
        require_int32(
            self.product.check(f"{where}: product", self.units, largest=1 << 30), f"{where}: product"
        )

    def lower(self, build: Builder, sources: Sequence[Vector]) -> Vector:
        z = build.scratch(build.padded(self.units))
        first, second = (source.place for source in sources)
        build.operation(op.MULTIPLY, first, second, self.units, build.elements(self.product), z)
        return build.leave(z, self.units, bits=8)
