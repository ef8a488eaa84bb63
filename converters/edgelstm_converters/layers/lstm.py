"""Long short-term memory (Hochreiter and Schmidhuber 1997, with the forget gate of Gers et al. 2000) and its variants."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from edgelstm.errors import ConversionError
from edgelstm.layers import Lstm
from edgelstm.layers.activation import UNBOUNDED
from edgelstm_converters.layers.float_layer import ACTIVATIONS, FloatRecurrent, Floats, Quantised, scaled
from edgelstm_converters.quantize import (
    GATE_SCALE,
    Vector,
    finest_exponent,
    reach_of,
    row_product,
)

CELL_SCALE = 2.0**23


@dataclass(frozen=True, slots=True, eq=False)
class FloatLstm(FloatRecurrent):
    """Long short-term memory layer. input_weights (4c, i), hidden_weights (4c, h), bias (4c,) for c cells, h units.

    Gate rows are in the order i, f, g, o; without f where `coupled`, when f = 1 - i (Greff et al. 2017).
    peephole            (3, c) for i, f, o, (2, c) for i, o where coupled (Gers and Schmidhuber 2000)
    projection_weights  (h, c), with projection_bias (h,): the hidden vector (Sak et al. 2014); without, h = c
    cell_clip           the cell is limited to this magnitude; 0 for no limit
    with_cells          it gives its cells too, behind the hidden vector: what the decoder of a sequence begins with
    """

    kind: ClassVar[str] = "lstm"
    bias: Floats
    gate_activation: str = field(default="sigmoid", kw_only=True)
    cell_activation: str = field(default="tanh", kw_only=True)
    output_activation: str = field(default="tanh", kw_only=True)
    coupled: bool = field(default=False, kw_only=True)
    cell_clip: float = field(default=0.0, kw_only=True)
    peephole: Floats | None = field(default=None, kw_only=True)
    projection_weights: Floats | None = field(default=None, kw_only=True)
    projection_bias: Floats | None = field(default=None, kw_only=True)
    initial_hidden: Floats | None = field(default=None, kw_only=True)
    hidden_mask: Floats | None = field(default=None, kw_only=True)
    initial_cell: Floats | None = field(default=None, kw_only=True)
    with_cells: bool = field(default=False, kw_only=True)

    @property
    def units(self) -> int:
        return self.hidden_units + (self.cells if self.with_cells else 0)

    @property
    def plain(self) -> bool:
        return not self.with_cells

    @property
    def gates(self) -> int:
        return 3 if self.coupled else 4

    @property
    def cells(self) -> int:
        return len(self.hidden_weights) // self.gates

    def run(self, *sources: Floats) -> Floats:
        hidden, _, cells = self._run(sources[0])
        return np.concatenate([hidden, cells], axis=-1) if self.with_cells else hidden

    def _run(self, x: Floats) -> tuple[Floats, Floats, Floats]:
        """Return the hidden vectors (samples, h), the outputs of the cells before projection (samples, c), and the cells."""
        hidden = _or_zeros(self.initial_hidden, self.hidden_units)
        cell = _or_zeros(self.initial_cell, self.cells)
        peephole = (
            np.zeros((self.gates - 1, self.cells), np.float32) if self.peephole is None else self.peephole
        )
        gate, squash = ACTIVATIONS[self.gate_activation], ACTIVATIONS[self.cell_activation]
        output = ACTIVATIONS[self.output_activation]
        parts = x @ self.input_weights.T + self.bias
        y = np.empty((*parts.shape[:-1], self.hidden_units), np.float32)
        outputs = np.empty((*parts.shape[:-1], self.cells), np.float32)
        cells = np.empty_like(outputs)
        for t, part in enumerate(parts):
            seen = hidden if self.hidden_mask is None else hidden * self.hidden_mask
            z = np.split(part + seen @ self.hidden_weights.T, self.gates, axis=-1)
            i = gate(z[0] + peephole[0] * cell)
            f = np.float32(1.0) - i if self.coupled else gate(z[1] + peephole[1] * cell)
            cell = f * cell + i * squash(z[-2])
            if self.cell_clip:
                cell = np.clip(cell, np.float32(-self.cell_clip), np.float32(self.cell_clip))
            cells[t] = cell
            hidden = outputs[t] = gate(z[-1] + peephole[-1] * cell) * output(cell)
            if self.projection_weights is not None:
                hidden = hidden @ self.projection_weights.T + _or_zeros(
                    self.projection_bias, self.hidden_units
                )
            y[t] = hidden
        return y, outputs, cells

    def with_scaled_input(self, mean: Floats, std: Floats) -> FloatLstm:
        weights, bias = scaled(self.input_weights, self.bias, mean, std)
        return replace(self, input_weights=weights, bias=bias)

    def quantize(
        self, sources: Sequence[Vector], seen: Sequence[Floats], given: Floats, *, read: bool
    ) -> Quantised:
        output_exponent, exponent, projection, known = 15, 15, None, self.int8_steps.get
        reach, calibrated = reach_of(given[..., : self.hidden_units]), sources[0].samples is not None
        if self.output_activation in UNBOUNDED:
            largest = reach if self.projection_weights is None else reach_of(self._run(seen[0])[1])
            output_exponent = min(max(finest_exponent(largest), 8), 22)  # a cell ends at 128
        step = 2.0**-output_exponent
        if self.projection_weights is not None:
            exponent = finest_exponent(reach)
            bias, output = (
                _or_zeros(self.projection_bias, self.hidden_units),
                Vector.uniform(self.cells, step),
            )
            if calibrated:
                output = output.seeing(self._run(seen[0])[1])
            projection = row_product(
                self.name, self.projection_weights, bias, output, 2.0 ** (exponent + 8), steps=known("projection_weights")
            )  # fmt: skip
            step = 2.0**-exponent
        hidden = Vector.uniform(self.hidden_units, step)
        past = self.seeing_past(hidden, given) if calibrated else hidden
        none = np.zeros_like(self.bias)
        layer = Lstm(
            self.name,
            row_product(self.name, self.input_weights, self.bias, sources[0], GATE_SCALE, steps=known("input_weights")),
            row_product(self.name, self.hidden_weights, none, past, GATE_SCALE, steps=known("hidden_weights")),
            gate_activation=self.gate_activation, cell_activation=self.cell_activation, output_activation=self.output_activation,
            coupled=self.coupled,
            cell_clip=min(round(self.cell_clip * CELL_SCALE), 2**30 - 1),
            output_exponent=output_exponent,
            exponent=exponent,
            peephole=self._integers("peephole", self.peephole, 2.0**24, 2**30),
            projection=projection,
            initial_cell=self._integers("initial cell", self.initial_cell, CELL_SCALE, 2**30),
            initial_hidden=integer_state(self.name, self.initial_hidden, step),
        )  # fmt: skip
        if not self.with_cells:
            return Quantised(layer, hidden, hidden.step)
        cell_exponent = min(max(finest_exponent(reach_of(given[..., self.hidden_units :])), 8), 22)
        steps = np.concatenate([hidden.step, np.full(self.cells, 2.0**-cell_exponent)])
        layer = replace(layer, cell_exponent=cell_exponent)
        return Quantised(layer, Vector(steps, np.zeros(len(steps))), steps)

    def _integers(self, what: str, values: Floats | None, scale: float, end: int) -> NDArray[np.int32] | None:
        if values is None:
            return None
        rounded = np.rint(values.astype(np.float64) * scale)
        if np.abs(rounded).max() >= end:
            raise ConversionError(
                f'layer "{self.name}": its {what} reaches {np.abs(values).max():.3g}, expected less than {end / scale:g}'
            )
        return rounded.astype(np.int32)


def integer_state(name: str, hidden: Floats | None, step: float) -> NDArray[np.int16] | None:
    """Return the hidden vector that a new stream begins with, as int16 in units of `step`."""
    if hidden is None:
        return None
    rounded = np.rint(hidden.astype(np.float64) / step)
    if rounded.max() > 32768 or rounded.min() < -32768:
        raise ConversionError(
            f'layer "{name}": its initial hidden state reaches {np.abs(hidden).max():.3g}, more than it ever gives'
        )
    return np.minimum(rounded, 32767).astype(np.int16)


def _or_zeros(values: Floats | None, count: int) -> Floats:
    return np.zeros(count, np.float32) if values is None else values
