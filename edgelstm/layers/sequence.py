"""Layers whose state begins anew after a symbol that ends a sequence."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from edgelstm.layers.bounds import require
from edgelstm.layers.graph import check_layers, multiply_adds_of, sources_of, tables_of
from edgelstm.layers.layer import INPUT, Layer

if TYPE_CHECKING:
    from edgelstm.lowering import Builder, Vector


@dataclass(frozen=True, slots=True, eq=False)
class SequenceLayers(Layer):
    """Layers that run at every sample, from their initial state again after a sample at which the second source is not 0.

    layers  inner layers in order; `input` names the first source
    heads   names of those whose values are the output, one after another
    """

    kind: ClassVar[str] = "sequence"
    layers: tuple[Layer, ...]
    heads: tuple[str, ...]

    @property
    def units(self) -> int:
        units = {layer.name: layer.units for layer in self.layers}
        return sum(units.get(head, 0) for head in self.heads)

    @property
    def memory(self) -> None:
        return None

    def multiply_adds(self, columns: Sequence[int]) -> float:
        return sum(multiply_adds_of(self.layers, columns[0]).values())

    def check(self, columns: Sequence[int]) -> None:
        where = f'layer "{self.name}"'
        require(
            len(columns) == 2 and columns[1] == 1,
            f"{where}: its sources give {', '.join(map(str, columns))} values, expected those it reads, and 1 that ends a sequence",
        )
        units = check_layers(self.layers, columns[0])
        require(bool(self.heads), f"{where}: has no heads")
        for head in self.heads:
            require(head in units and head != INPUT, f'{where}: "{head}" is none of its layers')
        for layer in self.layers:
            require(
                layer.latency == 0,
                f'{where}: its layer "{layer.name}" is {layer.latency} samples late, expected 0',
            )

    def tables(self, sources: Sequence[Sequence[int]]) -> Iterator[tuple[int, int]]:
        return tables_of(self.layers, sources[0])

    def lower(self, build: Builder, sources: Sequence[Vector]) -> Vector:
        vectors = {INPUT: sources[0]}
        with build.beginning_after(sources[1]):
            for number, layer in enumerate(self.layers):
                read = [vectors[source] for source in sources_of(self.layers, number)]
                when = vectors[layer.when] if layer.when else None
                vectors[layer.name] = build.layer(layer, read, read=True, when=when)
        output, first = build.scratch_vector(self.units), 0
        for head in self.heads:
            count = vectors[head].count
            build.copy(vectors[head], output.part(first, count))
            first += count
        return output
