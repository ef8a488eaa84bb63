"""Long short-term memory (Hochreiter and Schmidhuber 1997, with the forget gate of Gers et al. 2000) and its variants."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from edgelstm.layers.activation import (
    ACTIVATIONS,
    CELL_ACTIVATIONS,
    GATE_ACTIVATIONS,
    UNBOUNDED,
    check_exponent,
)
from edgelstm.layers.bounds import (
    require,
    require_array,
    require_int32,
    require_one_of,
    require_range,
    require_units,
)
from edgelstm.layers.layer import Layer
from edgelstm.layers.products import ElementProduct, RowProduct
from edgelstm.reference import operations as op
from edgelstm.reference.lstm_options import CELL, OUTPUT

if TYPE_CHECKING:
    from edgelstm.lowering import Builder, Vector

LARGEST_NORMAL = (1 << 24) + 2
"""Of a value that was divided by the size of its vector, Q7.24, rounding included."""


@dataclass(frozen=True, slots=True, eq=False)
class Lstm(Layer):
    """Long short-term memory layer; both products give Q15.16 rows in gate order i, f, g, o.

    gate_activation, cell_activation, output_activation  of the gates, of g, and of the cell on its way out
    coupled         f = 1 - i, and the products have no rows for f (Greff et al. 2017)
    cell_clip       the cell is limited to this, in Q7.23; 0 for no limit
    gate_clip       what gates and g read is limited to this, in Q15.16; 0 for no limit
    norm            (gates * cells,): each gate's rows, with its peephole, are normalised over the cells and scaled by this; then
                    products give them in any fixed point, peephole weights are in units of that, and `norm_epsilon` is added
                    to the sum of their squares
    projection_clip the projected hidden vector is limited to this, real * 2**(exponent + 8); 0 for no limit
    peephole        int32 (3, cells), in units of 2**-24: what each gate sees of its cell, in gate order i, f, o, without
                    f where coupled (Gers and Schmidhuber 2000)
    output_exponent the cell's output is int16 in steps of 2**-output_exponent: 15 unless it is linear or relu
    projection      the hidden vector is this product of the cell's output (Sak et al. 2014), real * 2**(exponent + 8)
    exponent        of the projected hidden vector
    initial_cell    int32 (cells,), Q7.23;  initial_hidden  int16 (units,): the state of a new stream where it is not 0
    hidden_mask     int8 (units,), 0 where the layer does not see its own past
    cell_exponent   not 0: the layer gives its cells too, behind the hidden vector, as int16 in steps of 2**-cell_exponent
    """

    kind: ClassVar[str] = "lstm"
    inputs: RowProduct
    hidden: RowProduct
    gate_activation: str = field(default="sigmoid", kw_only=True)
    cell_activation: str = field(default="tanh", kw_only=True)
    output_activation: str = field(default="tanh", kw_only=True)
    coupled: bool = field(default=False, kw_only=True)
    cell_clip: int = field(default=0, kw_only=True)
    gate_clip: int = field(default=0, kw_only=True)
    norm: ElementProduct | None = field(default=None, kw_only=True)
    norm_epsilon: int = field(default=0, kw_only=True)
    projection_clip: int = field(default=0, kw_only=True)
    output_exponent: int = field(default=15, kw_only=True)
    exponent: int = field(default=15, kw_only=True)
    peephole: NDArray[np.int32] | None = field(default=None, kw_only=True)
    projection: RowProduct | None = field(default=None, kw_only=True)
    initial_cell: NDArray[np.int32] | None = field(default=None, kw_only=True)
    initial_hidden: NDArray[np.int16] | None = field(default=None, kw_only=True)
    hidden_mask: NDArray[np.int8] | None = field(default=None, kw_only=True)
    cell_exponent: int = field(default=0, kw_only=True)

    @property
    def units(self) -> int:
        return self.hidden_units + (self.cells if self.cell_exponent else 0)

    @property
    def memory(self) -> None:
        return None

    @property
    def hidden_units(self) -> int:
        return self.hidden.columns

    @property
    def gates(self) -> int:
        return 3 if self.coupled else 4

    @property
    def cells(self) -> int:
        return self.hidden.rows // self.gates

    def check(self, columns: Sequence[int]) -> None:
        where = f'layer "{self.name}"'
        cells, units = self.cells, self.hidden_units
        require_units(units, where)
        require_units(cells, where)
        require_one_of(self.gate_activation, GATE_ACTIVATIONS, f"{where}: gate_activation")
        for name in ("cell_activation", "output_activation"):
            require_one_of(getattr(self, name), CELL_ACTIVATIONS, f"{where}: {name}")
        require(
            0 <= self.cell_clip < 2**30, f"{where}: cell_clip is {self.cell_clip}, expected 0 to 2**30 - 1"
        )
        worst = self.inputs.check(f"{where}: inputs", self.gates * cells, columns[0])
        worst = worst + self.hidden.check(f"{where}: hidden", self.gates * cells, units)
        if self.peephole is not None:
            require_array(self.peephole, (self.gates - 1, cells), np.int32, f"{where}: peephole")
            require_range(self.peephole, 1 - 2**30, 2**30 - 1, f"{where}: peephole")
            seen = np.abs(self.peephole.astype(np.int64))
            worst = worst + np.concatenate([seen[:-1].ravel(), np.zeros(cells, np.int64), seen[-1]])
        require_int32(worst, where)
        self._check_limits(where)
        if self.projection is not None:
            check_exponent(self.exponent, where)
            require_int32(self.projection.check(f"{where}: projection", units, cells), f"{where}: projection")
        else:
            require(
                units == cells,
                f"{where}: hidden.weights have shape {self.hidden.weights.shape}, which is not {self.gates} x {units} rows",
            )
        low, high = (8, 22) if self.output_activation in UNBOUNDED else (15, 15)
        require(
            low <= self.output_exponent <= high,
            f"{where}: output_exponent is {self.output_exponent}, expected {low} to {high}",
        )
        if self.initial_cell is not None:
            require_array(self.initial_cell, (cells,), np.int32, f"{where}: initial_cell")
            require_range(self.initial_cell, -(2**30), 2**30 - 1, f"{where}: initial_cell")
        if self.initial_hidden is not None:
            require_array(self.initial_hidden, (units,), np.int16, f"{where}: initial_hidden")
        if self.hidden_mask is not None:
            require_array(self.hidden_mask, (units,), np.int8, f"{where}: hidden_mask")
        require(
            0 <= self.cell_exponent <= 22,
            f"{where}: cell_exponent is {self.cell_exponent}, expected 0 to 22",
        )

    def _check_limits(self, where: str) -> None:
        require(
            0 <= self.gate_clip < 2**23, f"{where}: gate_clip is {self.gate_clip}, expected 0 to 2**23 - 1"
        )
        require(
            0 <= self.norm_epsilon < 2**60,
            f"{where}: norm_epsilon is {self.norm_epsilon}, expected 0 to 2**60 - 1",
        )
        require(
            0 <= self.projection_clip < 2**31,
            f"{where}: projection_clip is {self.projection_clip}, expected 0 to 2**31 - 1",
        )
        if self.norm is not None:
            largest = self.norm.check(f"{where}: norm", self.gates * self.cells, LARGEST_NORMAL)
            require_int32(largest, f"{where}: norm")

    def lower(self, build: Builder, sources: Sequence[Vector]) -> Vector:
        cells, gates = self.cells, self.gates
        stride = build.padded(cells)
        z = build.scratch(gates * stride)
        cell = build.cell_state(cells, initial=self.initial_cell)
        hidden = build.state_vector(self.hidden_units, initial=self.initial_hidden)
        if self._plain and self.hidden_mask is None:
            build.lstm_layer(self.inputs, self.hidden, sources[0], cell, hidden, z)
            return self._given(build, cell, hidden)
        build.product(self.inputs, gates, sources[0], z)
        build.product(self.hidden, gates, build.masked(hidden, self.hidden_mask), z, accumulate=True)
        if self.projection is None:
            self._cell(build, stride, z, cell, hidden)
            return self._given(build, cell, hidden)
        output = build.scratch_vector(cells)
        self._cell(build, stride, z, cell, output)
        projected = build.scratch(build.padded(self.hidden_units))
        build.product(self.projection, 1, output, projected)
        if self.projection_clip:
            build.operation(op.LIMIT, self.hidden_units, projected, self.projection_clip)
        build.narrow(projected, 8, hidden)
        return self._given(build, cell, hidden)

    def _given(self, build: Builder, cell: int, hidden: Vector) -> Vector:
        """Return the hidden vector, with the cells behind it where they are asked for."""
        if not self.cell_exponent:
            return hidden
        both = build.scratch_vector(self.units)
        build.copy(hidden, both.part(0, self.hidden_units))
        place = both.part(self.hidden_units, self.cells).place
        build.operation(op.NARROW_STATE, cell, self.cells, 23 - self.cell_exponent, place)
        return both

    @property
    def _activations(self) -> tuple[str, str, str]:
        return self.gate_activation, self.cell_activation, self.output_activation

    @property
    def _plain(self) -> bool:
        """Whether the cell is that of LSTM_CELL, and its output the hidden vector."""
        usual = self._activations == ("sigmoid", "tanh", "tanh") and not self.coupled and not self.cell_clip
        plain = self.peephole is None and self.projection is None and self.norm is None
        return usual and plain and not self.gate_clip

    def _cell(self, build: Builder, stride: int, z: int, cell: int, hidden: Vector) -> None:
        if self._plain:
            build.operation(op.LSTM_CELL, stride, z, cell, hidden.half)
            return
        codes = [ACTIVATIONS.index(activation) for activation in self._activations]
        seen = self.peephole is not None and self.norm is None
        peephole = build.constant(self.peephole.ravel()) if seen and self.peephole is not None else 0
        bits = 23 - self.output_exponent if self.output_activation in UNBOUNDED else 15
        parts = [0]
        if self.norm is not None:
            for gate in range(self.gates - 1):
                self._normalised(build, gate, z + gate * stride, cell)
            parts = [CELL, OUTPUT]  # the output gate sees the cell of this step
        for part in parts:
            if part == OUTPUT:
                self._normalised(build, self.gates - 1, z + (self.gates - 1) * stride, cell)
            build.operation(
                op.LSTM_CELL_OPTIONS,
                self.cells, stride, z, cell, hidden.place, *codes, int(self.coupled), self.cell_clip, peephole, bits,
                self.gate_clip, part,
            )  # fmt: skip

    def _normalised(self, build: Builder, gate: int, z: int, cell: int) -> None:
        """Normalise the rows of a gate; those of g, the one before the last, see no cell."""
        assert self.norm is not None
        peephole: Any = 0
        if self.peephole is not None and gate != self.gates - 2:
            peephole = build.constant(self.peephole[min(gate, self.gates - 2)])
        parameters = build.elements(self.norm.part(gate * self.cells, (gate + 1) * self.cells))
        low, high = self.norm_epsilon & (2**31 - 1), self.norm_epsilon >> 31
        build.operation(op.LSTM_NORM, self.cells, z, cell, peephole, parameters, low, high)
