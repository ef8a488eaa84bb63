"""Convolutional LSTM over a small grid of sensors (Shi et al. 2015, without peephole connections, as in Keras)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from edgelstm.layers.bounds import require, require_int32, require_units
from edgelstm.layers.layer import Layer
from edgelstm.layers.products import RowProduct
from edgelstm.reference import operations as op

if TYPE_CHECKING:
    from edgelstm.lowering import Builder, Vector

GATES = 4


@dataclass(frozen=True, slots=True, eq=False)
class ConvLstm(Layer):
    """An LSTM at every pixel, which sees what lies around it; the same weights for all.

    Its source and its output are grids of `rows` x `columns` pixels, the values of a pixel together. Both products give
    Q15.16 rows in gate order i, f, g, o; their columns are a patch of `kernel` x `kernel` pixels, row by row.
    """

    kind: ClassVar[str] = "conv_lstm"
    inputs: RowProduct
    hidden: RowProduct
    rows: int
    columns: int
    kernel: int

    @property
    def filters(self) -> int:
        return self.hidden.rows // GATES

    @property
    def pixels(self) -> int:
        return self.rows * self.columns

    @property
    def units(self) -> int:
        return self.pixels * self.filters

    @property
    def memory(self) -> None:
        return None

    def multiply_adds(self, columns: Sequence[int]) -> float:
        del columns
        return self.pixels * self.weight_count

    def check(self, columns: Sequence[int]) -> None:
        where = f'layer "{self.name}"'
        require(self.rows >= 1 and self.columns >= 1, f"{where}: a grid of {self.rows} x {self.columns}")
        require_units(self.filters, where)
        require_units(self.units, where)
        require(
            self.kernel % 2 == 1 and 1 <= self.kernel <= 15, f"{where}: kernel is {self.kernel}, expected odd"
        )
        values, rest = divmod(columns[0], self.pixels)
        require(
            rest == 0 and values >= 1,
            f"{where}: {columns[0]} values are no grid of {self.rows} x {self.columns}",
        )
        around = self.kernel * self.kernel
        inputs = self.inputs.check(f"{where}: inputs", GATES * self.filters, around * values)
        hidden = self.hidden.check(f"{where}: hidden", GATES * self.filters, around * self.filters)
        require_int32(inputs + hidden, where)

    def lower(self, build: Builder, sources: Sequence[Vector]) -> Vector:
        filters, all_stride = self.filters, build.padded(self.units)
        z, all_z = build.scratch(build.padded(GATES * filters)), build.scratch(GATES * all_stride)
        cell, hidden = build.cell_state(self.units), build.state_vector(self.units)
        with build.loop(self.pixels) as pixel:
            for product, grid, first in ((self.inputs, sources[0], True), (self.hidden, hidden, False)):
                around = build.scratch_vector(product.columns)
                values = grid.count // self.pixels
                shape = self.rows, self.columns, values, self.kernel, self.kernel
                build.operation(op.PATCH, grid.place, *shape, pixel, around.place)
                build.product(
                    product, 1, around, z, accumulate=not first
                )  # few filters: no lanes for each gate
            build.operation(op.SPLIT_GATES, z, GATES, filters, filters, pixel, all_z, all_stride)
        build.operation(op.LSTM_CELL, all_stride, all_z, cell, hidden.half)
        return hidden
