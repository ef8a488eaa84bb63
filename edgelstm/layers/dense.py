"""The fully connected layer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from edgelstm.layers.activation import ACTIVATIONS, check_exponent, narrowing
from edgelstm.layers.bounds import require_int32, require_one_of
from edgelstm.layers.layer import Layer
from edgelstm.layers.products import RowProduct

if TYPE_CHECKING:
    from edgelstm.lowering import Builder, Vector


@dataclass(frozen=True, slots=True, eq=False)
class Dense(Layer):
    """Fully connected layer.

    Activations that are bounded by 1: the product gives Q15.16; the activation is Q0.31 and leaves
    as Q0.15. linear, relu: the product gives real * 2**(exponent + 8) and leaves as int16 = sat16(rshift(v, 8));
    as an output of the model the 32-bit value leaves directly, scaled by `Output.scale`.
    """

    kind: ClassVar[str] = "dense"
    product: RowProduct
    activation: str = "linear"
    exponent: int = 15

    @property
    def units(self) -> int:
        return self.product.rows

    def check(self, columns: Sequence[int]) -> None:
        where = f'layer "{self.name}"'
        require_one_of(self.activation, ACTIVATIONS, f"{where}: activation")
        check_exponent(self.exponent, where)
        worst = self.product.check(f"{where}: product", None, columns[0])
        require_int32(worst, f"{where}: product")

    def lower(self, build: Builder, sources: Sequence[Vector]) -> Vector:
        z = build.scratch(build.padded(self.units))
        build.product(self.product, 1, sources[0], z)
        build.activate(self.activation, self.units, z)
        return build.leave(z, self.units, bits=narrowing(self.activation))
