"""A factor and a shift for every element: batch normalisation that could not be folded, scaling, a lone activation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from edgelstm.layers.activation import ACTIVATIONS, check_exponent, narrowing
from edgelstm.layers.bounds import require_int32, require_one_of, require_units
from edgelstm.layers.layer import Layer
from edgelstm.layers.products import ElementProduct

if TYPE_CHECKING:
    from edgelstm.lowering import Builder, Vector


@dataclass(frozen=True, slots=True, eq=False)
class Affine(Layer):
    """y = activation(factor * x + shift), element by element; fixed points as in `Dense`."""

    kind: ClassVar[str] = "affine"
    product: ElementProduct
    activation: str = "linear"
    exponent: int = 15

    @property
    def units(self) -> int:
        return self.product.count

    def check(self, columns: Sequence[int]) -> None:
        where = f'layer "{self.name}"'
        require_units(self.units, where)
        require_one_of(self.activation, ACTIVATIONS, f"{where}: activation")
        check_exponent(self.exponent, where)
        require_int32(self.product.check(f"{where}: product", columns[0]), f"{where}: product")

    def lower(self, build: Builder, sources: Sequence[Vector]) -> Vector:
        z = build.scratch(build.padded(self.units))
        build.element_product(self.product, sources[0], z)
        build.activate(self.activation, self.units, z)
        return build.leave(z, self.units, bits=narrowing(self.activation))
