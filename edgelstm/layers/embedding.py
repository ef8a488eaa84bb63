"""A table of vectors, one for each number that its source may be."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from edgelstm.layers.activation import check_exponent
from edgelstm.layers.bounds import require, require_array, require_int32, require_units
from edgelstm.layers.layer import COMPUTED, Layer
from edgelstm.layers.products import ElementProduct
from edgelstm.reference import operations as op

if TYPE_CHECKING:
    from edgelstm.lowering import Builder, Vector

MAX_ROWS = 16_384


@dataclass(frozen=True, slots=True, eq=False)
class Embedding(Layer):
    """The row of `table` whose number its source, one value of a channel, is nearest to.

    table    int16 (rows, units), in steps of 2**-exponent
    product  of the source, one element, to the number in Q15.16
    """

    kind: ClassVar[str] = "embedding"
    table: NDArray[np.int16]
    product: ElementProduct
    exponent: int = 15

    @property
    def units(self) -> int:
        return int(self.table.shape[1]) if self.table.ndim == 2 else -1

    def check(self, columns: Sequence[int]) -> None:
        where = f'layer "{self.name}"'
        require_units(self.units, where)
        rows = len(self.table)
        require(1 <= rows <= MAX_ROWS, f"{where}: {rows} rows, expected 1 to {MAX_ROWS}")
        require_array(self.table, (rows, self.units), np.int16, f"{where}: table")
        require(columns[0] == 1, f"{where}: reads {columns[0]} values, expected 1; select one")
        require_int32(self.product.check(f"{where}: product", 1), f"{where}: product")
        check_exponent(self.exponent, where)

    def tables(self, sources: Sequence[Sequence[int]]) -> Iterator[tuple[int, int]]:
        (channel,) = sources[0]
        require(
            channel != COMPUTED,
            f'layer "{self.name}": reads a computed value, expected a channel: a row that its table has not got would go unseen',
        )
        yield channel, len(self.table)

    def lower(self, build: Builder, sources: Sequence[Vector]) -> Vector:
        vector = build.scratch_vector(self.units)
        parameters, table = build.elements(self.product), build.constant(self.table.ravel())
        place = sources[0].place
        build.operation(op.LOOKUP, place, parameters, table, len(self.table), self.units, vector.place)
        return vector
