"""Dropout that stays on: several masked runs of the same layers, their mean and their spread (Gal and Ghahramani 2016)."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from edgelstm.layers.bounds import require, require_array, require_range
from edgelstm.layers.graph import check_layers, memory_of, multiply_adds_of, tables_of
from edgelstm.layers.layer import COMPUTED, Layer
from edgelstm.reference import operations as op

if TYPE_CHECKING:
    from edgelstm.lowering import Builder, Vector

MAX_RUNS = 128


@dataclass(frozen=True, slots=True, eq=False)
class Variational(Layer):
    """Runs a chain of layers once for every row of `masks`, each run with a state of its own; gives means, then deviations.

    masks  int8 (runs, values), 0 or 1: for every layer in turn what it sees of its source, and, where it is recurrent, of its
           own past
    """

    kind: ClassVar[str] = "variational"
    layers: tuple[Layer, ...]
    masks: NDArray[np.int8]

    @property
    def units(self) -> int:
        return 2 * self.layers[-1].units if self.layers else -1

    @property
    def latency(self) -> int:
        return sum(layer.latency for layer in self.layers)

    @property
    def memory(self) -> int | None:
        return memory_of(self.layers, (self.layers[-1].name,))

    def multiply_adds(self, columns: Sequence[int]) -> float:
        return len(self.masks) * sum(multiply_adds_of(self.layers, columns[0]).values())

    def check(self, columns: Sequence[int]) -> None:
        where = f'layer "{self.name}"'
        check_layers(self.layers, columns[0])
        for layer in self.layers:
            require(not layer.sources, f'{where}: its layer "{layer.name}" has sources, expected a chain')
            require(
                layer.period == 1 and not layer.when,
                f'{where}: its layer "{layer.name}" runs now and then, expected at every sample',
            )
        runs = len(self.masks)
        require(2 <= runs <= MAX_RUNS, f"{where}: {runs} runs, expected 2 to {MAX_RUNS}")
        widths = mask_widths(self.layers, columns[0])
        require_array(self.masks, (runs, sum(widths)), np.int8, f"{where}: masks")
        require_range(self.masks, 0, 1, f"{where}: masks")

    def tables(self, sources: Sequence[Sequence[int]]) -> Iterator[tuple[int, int]]:
        return tables_of(self.layers, [COMPUTED] * len(sources[0]))  # what is masked is no channel any more

    def lower(self, build: Builder, sources: Sequence[Vector]) -> Vector:
        width = self.layers[-1].units
        found = build.scratch_vector(len(self.masks) * width)
        for run, masks in enumerate(self.masks):
            ends = np.cumsum(mask_widths(self.layers, sources[0].count))
            parts = iter(np.split(masks, ends[:-1]))
            vector = sources[0]
            for layer in self.layers:
                vector = build.masked(vector, next(parts))
                if is_recurrent(layer):
                    changes: dict[str, Any] = {"hidden_mask": next(parts)}
                    layer = replace(layer, **changes)
                vector = build.layer(layer, [vector], read=True)
            build.copy(vector, found.part(run * width, width))
        z = build.scratch(build.padded(2 * width))
        build.operation(op.SPREAD, found.place, width, len(self.masks), z)
        return build.leave(z, 2 * width, bits=8)


def is_recurrent(layer: Any) -> bool:
    """Return whether a layer can be given a mask of what it sees of its own past."""
    return any(field.name == "hidden_mask" for field in dataclasses.fields(layer))


def mask_widths(layers: Sequence[Any], columns: int) -> list[int]:
    """Return how many values each mask of a chain has, in the order of `Variational.masks`."""
    widths = []
    for layer in layers:
        widths.append(columns)
        if is_recurrent(layer):
            widths.append(layer.units)
        columns = layer.units
    return widths
