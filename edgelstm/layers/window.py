"""Layers that are run over a window of the last samples again and again: what reads the future, or begins anew each time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from edgelstm.layers.bounds import require, require_array
from edgelstm.layers.graph import check_layers, multiply_adds_of, sources_of, tables_of
from edgelstm.layers.layer import INPUT, Layer
from edgelstm.reference import operations as op

if TYPE_CHECKING:
    from edgelstm.lowering import Builder, Vector

MAX_LENGTH = 4096
_Sequence = tuple["Vector", int]
"""Rows one after another, and the width of a row."""


@dataclass(frozen=True, slots=True, eq=False)
class Window(Layer):
    """Layers over the last `length` samples, from their initial state; `input` names what the window reads.

    Further sources, such as a mask, are kept for as many samples; inner layers know them by their own names.

    layers    inner layers in order; each gives a row for every row of the window
    backward  names of those that begin at the newest row
    heads     names of those whose rows are the output, one after another
    rows      which row of each head, 0 the oldest
    lookahead samples that the output is late: it belongs to the sample so many before the newest one
    hop, due  the window is run at every `hop`-th sample, first at sample `due`, and its output held in between
    initial   int16 (columns of its source,), what stands before the first sample where that is not 0
    """

    kind: ClassVar[str] = "window"
    length: int
    layers: tuple[Layer, ...]
    heads: tuple[str, ...]
    rows: tuple[int, ...]
    backward: tuple[str, ...] = field(default=(), kw_only=True)
    lookahead: int = field(default=0, kw_only=True)
    hop: int = field(default=1, kw_only=True)
    due: int = field(default=0, kw_only=True)
    initial: NDArray[np.int16] | None = field(default=None, kw_only=True)

    @property
    def units(self) -> int:
        units = {layer.name: layer.units for layer in self.layers}
        return sum(units.get(head, 0) for head in self.heads)

    @property
    def latency(self) -> int:
        return self.lookahead

    @property
    def memory(self) -> int:
        return self.length - 1

    @property
    def rhythm(self) -> tuple[int, int]:
        return self.hop, self.due

    def multiply_adds(self, columns: Sequence[int]) -> float:
        others = dict(zip(self.sources[1:], columns[1:], strict=True))
        return sum(multiply_adds_of(self.layers, columns[0], others).values()) * self.length / self.hop

    def check(self, columns: Sequence[int]) -> None:
        where = f'layer "{self.name}"'
        require(
            1 <= self.length <= MAX_LENGTH, f"{where}: length is {self.length}, expected 1 to {MAX_LENGTH}"
        )
        require(1 <= self.hop <= MAX_LENGTH, f"{where}: hop is {self.hop}, expected 1 to {MAX_LENGTH}")
        require(0 <= self.due < self.hop, f"{where}: due is {self.due}, expected less than its hop")
        require(
            0 <= self.lookahead < self.length,
            f"{where}: lookahead is {self.lookahead}, expected less than its length",
        )
        units = check_layers(self.layers, columns[0], dict(zip(self.sources[1:], columns[1:], strict=True)))
        for layer in self.layers:
            require(
                layer.kind != "masking",
                f'{where}: its layer "{layer.name}" looks at the newest sample only; it has to stand before the window',
            )
        require(bool(self.heads), f"{where}: has no heads")
        require(
            len(self.rows) == len(self.heads), f"{where}: {len(self.rows)} rows for {len(self.heads)} heads"
        )
        for name in (*self.heads, *self.backward):
            require(
                name in units and name not in (INPUT, *self.sources[1:]),
                f'{where}: "{name}" is none of its layers',
            )
        for row in self.rows:
            require(0 <= row < self.length, f"{where}: takes row {row}, expected 0 to {self.length - 1}")
        if self.initial is not None:
            require_array(self.initial, (columns[0],), np.int16, f"{where}: initial")

    def tables(self, sources: Sequence[Sequence[int]]) -> Iterator[tuple[int, int]]:
        others = dict(zip(self.sources[1:], sources[1:], strict=True))
        return tables_of(self.layers, sources[0], others)

    def lower(self, build: Builder, sources: Sequence[Vector]) -> Vector:
        names = INPUT, *self.sources[1:]
        initial = [self.initial, *(None for _ in sources[1:])]
        rings = [build.ring(source, self.length, q) for source, q in zip(sources, initial, strict=True)]

        def run() -> Vector:
            sequences: dict[str, _Sequence] = {}
            for name, source, ring in zip(names, sources, rings, strict=True):
                sequences[name] = build.scratch_vector(self.length * source.count), source.count
                build.operation(op.GATHER, *ring, self.length, 1, sequences[name][0].place)
            for number, layer in enumerate(self.layers):
                read = [sequences[source] for source in sources_of(self.layers, number)]
                when = sequences[layer.when] if layer.when else None
                sequences[layer.name] = self._loop(build, layer, read, when)
            output, first = build.scratch_vector(self.units), 0
            for head, row in zip(self.heads, self.rows, strict=True):
                sequence, width = sequences[head]
                build.copy(sequence.part(row * width, width), output.part(first, width))
                first += width
            return output

        return build.now_and_then(self.hop, self.due, run)

    def _loop(
        self, build: Builder, layer: Layer, sources: Sequence[_Sequence], when: _Sequence | None
    ) -> _Sequence:
        """Add the loop of one layer over the rows; return its sequence and the width of a row."""
        first, step = (self.length - 1, -1) if layer.name in self.backward else (0, 1)
        sequence = build.scratch_vector(self.length * layer.units)
        with build.loop(self.length) as counter:
            vectors = []
            for source, width in (*sources, *([when] if when else [])):
                vectors.append(build.scratch_vector(width))
                build.operation(op.LOAD_ROW, source.place, width, counter, first, step, vectors[-1].place)
            flag = vectors.pop() if when else None
            given = build.layer(layer, vectors, read=True, when=flag)
            build.operation(op.STORE_ROW, sequence.place, layer.units, counter, first, step, given.place)
        return sequence, layer.units
