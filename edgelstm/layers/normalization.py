"""Normalisation of a vector by its own size: layer normalisation (Ba et al. 2016), root mean square, L2."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from edgelstm.layers.activation import check_exponent
from edgelstm.layers.bounds import require, require_int32, require_units
from edgelstm.layers.layer import Layer
from edgelstm.layers.products import ElementProduct
from edgelstm.reference import operations as op

if TYPE_CHECKING:
    from edgelstm.lowering import Builder, Vector


@dataclass(frozen=True, slots=True, eq=False)
class Normalization(Layer):
    """y = scaled(d / size), real * 2**(exponent + 8), of the int16 q that it reads, all in the same steps.

    centred: d = n q - sum q and size**2 = n sum q**2 - (sum q)**2; else d = q and size**2 = sum q**2.
    epsilon is added to size**2, or, with `least`, is the least that it can be.
    """

    kind: ClassVar[str] = "normalization"
    product: ElementProduct
    centred: bool
    least: bool
    epsilon: int
    exponent: int = 15

    @property
    def units(self) -> int:
        return self.product.count

    def check(self, columns: Sequence[int]) -> None:
        where = f'layer "{self.name}"'
        require_units(columns[0], where)
        check_exponent(self.exponent, where)
        require(0 <= self.epsilon < 2**61, f"{where}: epsilon is {self.epsilon}, expected 0 to 2**61 - 1")
        largest = math.isqrt(columns[0] << 48) + 2
        require_int32(self.product.check(f"{where}: product", columns[0], largest), f"{where}: product")

    def lower(self, build: Builder, sources: Sequence[Vector]) -> Vector:
        z = build.scratch(build.padded(self.units))
        low, high = self.epsilon & (2**31 - 1), self.epsilon >> 31
        flags = int(self.centred), int(self.least)
        where = build.elements(self.product)
        build.operation(op.NORMALIZE, sources[0].place, self.units, *flags, low, high, where, z)
        return build.leave(z, self.units, bits=8)
