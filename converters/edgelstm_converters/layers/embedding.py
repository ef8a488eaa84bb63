"""A table of vectors, one for each number that its source may be."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from edgelstm.errors import ConversionError
from edgelstm.layers import Embedding
from edgelstm.layers.layer import COMPUTED
from edgelstm_converters.layers.float_layer import FloatLayer, Floats, Quantised
from edgelstm_converters.quantize import Vector, element_product, finest_exponent


@dataclass(frozen=True, slots=True, eq=False)
class FloatEmbedding(FloatLayer):
    """The row of `table` (rows, units) whose number its source, one value, is nearest to."""

    kind: ClassVar[str] = "embedding"
    table: Floats

    @property
    def inputs(self) -> int:
        return 1

    @property
    def units(self) -> int:
        return int(self.table.shape[1])

    def tables(self, sources: Sequence[Sequence[int]]) -> Iterator[tuple[int, int]]:
        (channel,) = sources[0]
        if channel == COMPUTED:
            raise ConversionError(
                f'layer "{self.name}": reads a computed value, expected a channel as it comes (with a scaling: mean 0, std 1)'
            )
        yield channel, len(self.table)

    def run(self, *sources: Floats) -> Floats:
        rows = np.floor(sources[0][..., 0].astype(np.float64) + 0.5)
        outside = (rows < 0) | (rows >= len(self.table))
        if outside.any():
            raise ConversionError(
                f'layer "{self.name}": sample {int(np.argwhere(outside)[0, 0])} chooses row {rows[outside][0]:g} of a table, '
                f"expected 0 to {len(self.table) - 1}"
            )
        return self.table[rows.astype(np.int64)]

    def with_scaled_input(self, mean: Floats, std: Floats) -> FloatEmbedding | None:
        return None if np.any(mean) or np.any(std != 1.0) else self

    def quantize(
        self, sources: Sequence[Vector], seen: Sequence[Floats], given: Floats, *, read: bool
    ) -> Quantised:
        step = float(sources[0].step[0])
        if step > 0.25:
            raise ConversionError(
                f'layer "{self.name}": its source comes in steps of {step:g}, too coarse to tell one row from the next'
            )
        exponent = finest_exponent(float(np.abs(self.table).max()) / 2.0)  # nothing beyond the table can come
        table = np.clip(np.rint(self.table.astype(np.float64) * 2.0**exponent), -32768, 32767)
        one, none = np.ones(1, np.float32), np.zeros(1, np.float32)
        product = element_product(self.name, one, none, sources[0], 65536.0)
        vector = Vector.uniform(self.units, 2.0**-exponent)
        return Quantised(Embedding(self.name, table.astype(np.int16), product, exponent), vector, vector.step)
