"""Any function of one number, element by element, as straight lines between knots: GELU, SiLU, ELU and others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from edgelstm.layers.activation import check_exponent
from edgelstm.layers.bounds import require_array, require_int32, require_range, require_units
from edgelstm.layers.layer import Layer
from edgelstm.layers.products import ElementProduct
from edgelstm.reference import operations as op
from edgelstm.reference.curve import PIECES

if TYPE_CHECKING:
    from edgelstm.lowering import Builder, Vector


@dataclass(frozen=True, slots=True, eq=False)
class Curve(Layer):
    """y = f(factor * x + shift), element by element, as real * 2**(exponent + 8).

    product  gives the place between the knots, Q9.16; what is beyond the first or the last knot is taken to be there
    knots    int32 (513,)  |knot| < 2**29
    """

    kind: ClassVar[str] = "curve"
    product: ElementProduct
    knots: NDArray[np.int32]
    exponent: int = 15

    @property
    def units(self) -> int:
        return self.product.count

    def check(self, columns: Sequence[int]) -> None:
        where = f'layer "{self.name}"'
        require_units(self.units, where)
        check_exponent(self.exponent, where)
        require_array(self.knots, (PIECES + 1,), np.int32, f"{where}: knots")
        require_range(self.knots, 1 - 2**29, 2**29 - 1, f"{where}: knots")
        require_int32(self.product.check(f"{where}: product", columns[0]), f"{where}: product")

    def lower(self, build: Builder, sources: Sequence[Vector]) -> Vector:
        z = build.scratch(build.padded(self.units))
        build.element_product(self.product, sources[0], z)
        build.operation(op.CURVE, self.units, z, build.constant(self.knots))
        return build.leave(z, self.units, bits=8)
