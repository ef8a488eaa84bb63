"""Long short-term memory (Hochreiter and Schmidhuber 1997, with the forget gate of Gers et al. 2000) and its variants."""

from __future__ import annotations

import math
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
    element_product,
    finest_exponent,
    reach_of,
    row_product,
    wide_exponent,
)

CELL_SCALE, NORMAL_STEP = 2.0**23, 2.0**-24


@dataclass(frozen=True, slots=True, eq=False)
class FloatLstm(FloatRecurrent):
    """Long short-term memory layer. input_weights (4c, i), hidden_weights (4c, h), bias (4c,) for c cells, h units.

    Gate rows are in the order i, f, g, o; without f where `coupled`, when f = 1 - i (Greff et al. 2017).
    peephole            (3, c) for i, f, o, (2, c) for i, o where coupled (Gers and Schmidhuber 2000)
    projection_weights  (h, c), with projection_bias (h,): the hidden vector (Sak et al. 2014); without, h = c
    cell_clip           the cell is limited to this magnitude; 0 for no limit
    gate_clip           what gates and the cell's input read is limited to this magnitude; 0 for no limit
    projection_clip     the projected hidden vector is limited to this magnitude; 0 for no limit
    norm_factor         (gates * c,): what a gate reads, with bias and peephole, is brought to mean 0 and variance 1 over the cells
                        (Ba et al. 2016), then multiplied with this, and `norm_shift` is added; `norm_epsilon` to the variance
    with_cells          it gives its cells too, behind the hidden vector: what the decoder of a sequence begins with
    """

    kind: ClassVar[str] = "lstm"
    bias: Floats
    gate_activation: str = field(default="sigmoid", kw_only=True)
    cell_activation: str = field(default="tanh", kw_only=True)
    output_activation: str = field(default="tanh", kw_only=True)
    coupled: bool = field(default=False, kw_only=True)
    cell_clip: float = field(default=0.0, kw_only=True)
    gate_clip: float = field(default=0.0, kw_only=True)
    projection_clip: float = field(default=0.0, kw_only=True)
    norm_factor: Floats | None = field(default=None, kw_only=True)
    norm_shift: Floats | None = field(default=None, kw_only=True)
    norm_epsilon: float = field(default=1e-5, kw_only=True)
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
            i = gate(self._read(0, z[0] + peephole[0] * cell))
            f = np.float32(1.0) - i if self.coupled else gate(self._read(1, z[1] + peephole[1] * cell))
            cell = _limited(f * cell + i * squash(self._read(self.gates - 2, z[-2])), self.cell_clip)
            cells[t] = cell
            o = gate(self._read(self.gates - 1, z[-1] + peephole[-1] * cell))
            hidden = outputs[t] = o * output(cell)
            if self.projection_weights is not None:
                hidden = hidden @ self.projection_weights.T + _or_zeros(
                    self.projection_bias, self.hidden_units
                )
                hidden = _limited(hidden, self.projection_clip)
            y[t] = hidden
        return y, outputs, cells

    def _read(self, number: int, z: Floats) -> Floats:
        """Return what the activation of a gate reads where its rows give `z`."""
        if self.norm_factor is not None:
            rows = slice(number * self.cells, (number + 1) * self.cells)
            z = z - z.mean(axis=-1, keepdims=True)
            size = np.sqrt(np.square(z).mean(axis=-1, keepdims=True) + np.float32(self.norm_epsilon))
            z = z / size * self.norm_factor[rows] + _or_zeros(self.norm_shift, len(self.bias))[rows]
        return _limited(z, self.gate_clip)

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
        scale, norm, epsilon = GATE_SCALE, None, 0
        if self.norm_factor is not None:
            scale = self._scale_to_normalise(sources[0], step)
            factor = self.norm_factor * np.float32(np.sqrt(self.cells))
            shift, normal = _or_zeros(self.norm_shift, len(factor)), Vector.uniform(len(factor), NORMAL_STEP)
            norm = element_product(self.name, factor, shift, normal, GATE_SCALE)
            epsilon = round(self.norm_epsilon * self.cells * scale**2)
        layer = Lstm(
            self.name,
            row_product(self.name, self.input_weights, self.bias, sources[0], scale, steps=known("input_weights")),
            row_product(self.name, self.hidden_weights, none, past, scale, steps=known("hidden_weights")),
            gate_activation=self.gate_activation, cell_activation=self.cell_activation, output_activation=self.output_activation,
            coupled=self.coupled,
            cell_clip=min(round(self.cell_clip * CELL_SCALE), 2**30 - 1), gate_clip=round(self.gate_clip * GATE_SCALE),
            norm=norm, norm_epsilon=epsilon,
            projection_clip=min(round(self.projection_clip * 2.0 ** (exponent + 8)), 2**31 - 1),
            output_exponent=output_exponent,
            exponent=exponent,
            peephole=self._integers("peephole", self.peephole, scale * 2.0**8, 2**30),
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

    def _scale_to_normalise(self, source: Vector, step: float) -> float:
        """Return what rows are multiplied with that are normalised then: as fine as the worst case, epsilon and the peephole allow."""
        worst = np.abs(self.input_weights.astype(np.float64) * source.step).sum(axis=1) * 32768.0
        worst += np.abs(self.bias + self.input_weights @ source.offset)
        worst += np.abs(self.hidden_weights.astype(np.float64)).sum(axis=1) * step * 32768.0
        seen = 0.0 if self.peephole is None else float(np.abs(self.peephole).max())
        scale = 2.0 ** (wide_exponent(float(worst.max()) + 128.0 * seen) + 8)
        if self.norm_epsilon:
            scale = min(scale, 2.0 ** (29 - math.ceil(math.log2(self.norm_epsilon * self.cells) / 2)))
        return min(scale, 2.0 ** (21 - math.ceil(math.log2(seen)))) if seen else scale

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


def _limited(values: Floats, end: float) -> Floats:
    """Return values limited to a magnitude; 0 for no limit."""
    return np.clip(values, np.float32(-end), np.float32(end)) if end else values


def _or_zeros(values: Floats | None, count: int) -> Floats:
    return np.zeros(count, np.float32) if values is None else values
