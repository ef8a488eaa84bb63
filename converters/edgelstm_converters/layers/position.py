"""A vector of its own for each row of a window, as position encodings are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from edgelstm.errors import ConversionError
from edgelstm_converters.layers.convolution import FloatConv1d
from edgelstm_converters.layers.float_layer import FloatLayer, Floats, Quantised
from edgelstm_converters.quantize import Vector


@dataclass(frozen=True, slots=True, eq=False)
class FloatPosition(FloatLayer):
    """Row t of `table` (rows, units) at row t of a window of as many samples. Its source is 1 at the first row, and 0 after it."""

    kind: ClassVar[str] = "position"
    table: Floats

    @property
    def inputs(self) -> int:
        return 1

    @property
    def units(self) -> int:
        return int(self.table.shape[1])

    @property
    def count(self) -> int:
        return len(self.table)

    @property
    def span(self) -> None:
        return None

    def run(self, *sources: Floats) -> Floats:
        return self.in_window().run(*sources)

    def quantize(
        self, sources: Sequence[Vector], seen: Sequence[Floats], given: Floats, *, read: bool
    ) -> Quantised:
        raise ConversionError(f'layer "{self.name}" has to run in a window')

    def in_window(self) -> FloatConv1d:
        """Return the layer that does it in a window: a convolution finds the 1 as many rows back as have passed."""
        weights = np.ascontiguousarray(self.table[::-1].T[:, None, :])
        return FloatConv1d(self.name, weights, np.zeros(self.units, np.float32), sources=self.sources)
