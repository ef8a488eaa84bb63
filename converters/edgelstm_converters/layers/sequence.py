"""Layers whose state begins anew after a symbol that ends a sequence."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from edgelstm.layers import INPUT, SequenceLayers
from edgelstm.layers.graph import tables_of
from edgelstm_converters.layers.float_layer import FloatLayer, Floats, Quantised, run_now_and_then
from edgelstm_converters.layers.graph import padded_of, quantize_layers, sources_of, with_plain_sources
from edgelstm_converters.quantize import Vector


@dataclass(frozen=True, slots=True, eq=False)
class FloatSequence(FloatLayer):
    """Layers on `width` values, from their initial state again after a sample at which the second source is not 0.

    heads  names of those whose values are the output, one after another
    """

    kind: ClassVar[str] = "sequence"
    width: int
    layers: tuple[FloatLayer, ...]
    heads: tuple[str, ...]

    @property
    def plain(self) -> bool:
        return False

    @property
    def span(self) -> None:
        return None

    @property
    def inputs(self) -> int:
        return self.width

    @property
    def units(self) -> int:
        units = {layer.name: layer.units for layer in self.layers}
        return sum(units[head] for head in self.heads)

    def tables(self, sources: Sequence[Sequence[int]]) -> Iterator[tuple[int, int]]:
        return tables_of(self.layers, sources[0])

    def padded(self, sources: Sequence[Sequence[int]]) -> Iterator[tuple[int, float]]:
        return padded_of(self.layers, sources[0])

    def run(self, *sources: Floats) -> Floats:
        values = self._run_inside(sources, self.layers)
        return np.concatenate([values[head] for head in self.heads], axis=-1)

    def _run_inside(self, sources: Sequence[Floats], layers: Sequence[FloatLayer]) -> dict[str, Floats]:
        """Return what `input` and every inner layer gives, sequence after sequence: (samples, values)."""
        x, ended = sources
        ends = np.flatnonzero(ended[:-1, 0]) + 1
        found: list[dict[str, Floats]] = []
        for part in np.split(x, ends):
            values = {INPUT: part}
            for number, layer in enumerate(layers):
                read = [values[name] for name in sources_of(layers, number)]
                values[layer.name] = run_now_and_then(layer, read, values.get(layer.when))
            found.append(values)
        return {name: np.concatenate([values[name] for values in found]) for name in found[0]}

    def quantize(
        self, sources: Sequence[Vector], seen: Sequence[Floats], given: Floats, *, read: bool
    ) -> Quantised:
        layers = with_plain_sources(self.layers, self.width)
        inner = quantize_layers(layers, sources[0], self._run_inside(seen, layers), frozenset(self.heads))
        vectors = {quantised.layer.name: quantised.vector for quantised in inner}
        layer = SequenceLayers(self.name, tuple(quantised.layer for quantised in inner), self.heads)
        step, offset = (
            np.concatenate([getattr(vectors[head], part) for head in self.heads])
            for part in ("step", "offset")
        )
        return Quantised(layer, Vector(step, offset), step)
