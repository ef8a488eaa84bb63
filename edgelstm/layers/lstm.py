"""Long short-term memory (Hochreiter and Schmidhuber 1997, with the forget gate of Gers et al. 2000)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from edgelstm.layers.bounds import require_int32, require_units
from edgelstm.layers.layer import Layer
from edgelstm.layers.products import RowProduct
from edgelstm.reference import operations as op

if TYPE_CHECKING:
    from edgelstm.program import Builder, Vector


@dataclass(frozen=True, slots=True, eq=False)
class Lstm(Layer):
    """Long short-term memory layer; both products give Q15.16 rows in gate order i, f, g, o."""

    kind: ClassVar[str] = "lstm"
    inputs: RowProduct
    hidden: RowProduct

    @property
    def units(self) -> int:
        return self.hidden.columns

    def check(self, columns: Sequence[int]) -> None:
        where = f'layer "{self.name}"'
        require_units(self.units, where)
        inputs = self.inputs.check(f"{where}: inputs", 4 * self.units, columns[0])
        hidden = self.hidden.check(f"{where}: hidden", 4 * self.units, self.units)
        require_int32(inputs + hidden, where)

    def lower(self, build: Builder, sources: Sequence[Vector]) -> Vector:
        stride = build.padded(self.units)
        z = build.scratch(4 * stride)
        cell = build.cell_state(self.units)
        hidden = build.state_vector(self.units)
        build.product(self.inputs, 4, sources[0], z)
        build.product(self.hidden, 4, hidden, z, accumulate=True)
        build.operation(op.LSTM_CELL, stride, z, cell, hidden.half)
        return hidden
