"""Layers that are stepped on what they gave themselves: the decoder of a sequence to sequence network (Sutskever et al. 2014)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from edgelstm.layers.bounds import require, require_array, require_int32, require_units
from edgelstm.layers.graph import check_layers, multiply_adds_of, sources_of, tables_of
from edgelstm.layers.gru import Gru
from edgelstm.layers.layer import INPUT, Layer
from edgelstm.layers.lstm import Lstm
from edgelstm.layers.products import ElementProduct
from edgelstm.layers.rnn import Rnn
from edgelstm.reference import operations as op

if TYPE_CHECKING:
    from edgelstm.lowering import Builder, Vector
    from edgelstm.state_field import StateField

MAX_STEPS = 1024
SYMBOL_STEPS = 4
"""A symbol n is the int16 4 n, so that an embedding tells it from the next."""
MAX_SYMBOLS = 8191
LIMITS = {"gru": 1 << 23, "lstm": (1 << 30) - 1}
"""Of the 32-bit state of a GRU, Q8.23, and of an LSTM, Q7.23."""


def widths_of(layer: Layer) -> tuple[int, ...]:
    """Return how many values the state of a recurrent layer has: of its hidden vector, and of its cells."""
    return (layer.hidden_units, layer.cells) if isinstance(layer, Lstm) else (layer.units,)


@dataclass(frozen=True, slots=True, eq=False)
class Decoder(Layer):
    """Inner layers, stepped `steps` times; `input` names what they are given: `start`, then what `feedback` gave the step before.

    layers    inner layers in order, at every step; the states of recurrent ones named in `begins` are the values of the source,
              one after another, of an LSTM its hidden vector and then its cells
    begin     of the source: real * 2**(exponent + 8) for hidden vectors in steps of 2**-exponent, Q7.23 for cells
    feedback  the name of a layer. Its values are given to the next step as sat16(rshift(feed, 8)), and are what leaves, row by row;
              without `feed` it is a dense layer, and the number of its largest value, times 4, is given and leaves: a symbol
    start     int16, what is given at the first step
    end       the symbol that ends the output and fills what is left of it; -1 for none
    """

    kind: ClassVar[str] = "decoder"
    layers: tuple[Layer, ...]
    steps: int
    feedback: str
    begins: tuple[str, ...]
    begin: ElementProduct
    start: NDArray[np.int16]
    end: int = -1
    feed: ElementProduct | None = field(default=None, kw_only=True)

    @property
    def width(self) -> int:
        """How many values leave at a step."""
        return 1 if self.feed is None else self.feed.count

    @property
    def units(self) -> int:
        return self.steps * self.width

    def multiply_adds(self, columns: Sequence[int]) -> float:
        """Of one run, to the last of its steps."""
        del columns
        return self.steps * sum(multiply_adds_of(self.layers, self.width).values())

    def check(self, columns: Sequence[int]) -> None:
        where = f'layer "{self.name}"'
        require(1 <= self.steps <= MAX_STEPS, f"{where}: {self.steps} steps, expected 1 to {MAX_STEPS}")
        require_array(self.start, (self.width,), np.int16, f"{where}: start")
        require_units(self.units, where)
        units = check_layers(self.layers, self.width)
        by_name = {layer.name: layer for layer in self.layers}
        for layer in self.layers:
            plain = layer.period == 1 and not layer.when and layer.latency == 0 and layer.kind != "masking"
            require(plain, f'{where}: its layer "{layer.name}" ({layer.kind}) does not run at every step')
        require(
            self.feedback in by_name, f'{where}: gives back "{self.feedback}", which is none of its layers'
        )
        for name in self.begins:
            known = isinstance(by_name.get(name), Lstm | Gru | Rnn)
            require(known, f'{where}: begins the state of "{name}", which is no recurrent layer of it')
        require(
            len(set(self.begins)) == len(self.begins),
            f"{where}: begins a state twice: {', '.join(self.begins)}",
        )
        expected = sum(sum(widths_of(by_name[name])) for name in self.begins)
        require(
            columns[0] == expected,
            f"{where}: its source gives {columns[0]} values, its states have {expected}",
        )
        require_int32(self.begin.check(f"{where}: begin", expected), f"{where}: begin")
        if self.feed is not None:
            require(self.end == -1, f"{where}: ends at symbol {self.end}, but gives back values")
            require_int32(self.feed.check(f"{where}: feed", units[self.feedback]), f"{where}: feed")
            return
        symbols = units[self.feedback]
        require(by_name[self.feedback].kind == "dense", f'{where}: "{self.feedback}" is no dense layer')
        require(symbols <= MAX_SYMBOLS, f"{where}: {symbols} symbols, expected at most {MAX_SYMBOLS}")
        require(-1 <= self.end < symbols, f"{where}: ends at symbol {self.end}, expected -1 to {symbols - 1}")
        for _, rows in tables_of(self.layers, [0]):
            require(
                rows >= symbols and 0 <= int(self.start[0]) <= SYMBOL_STEPS * (rows - 1),
                f"{where}: a table has {rows} rows for {symbols} symbols, and {self.start[0] / SYMBOL_STEPS:g} to start with",
            )

    def tables(self, sources: Sequence[Sequence[int]]) -> Iterator[tuple[int, int]]:
        del sources
        yield from ()  # no number but its own comes to a table inside: `check`

    def lower(self, build: Builder, sources: Sequence[Vector]) -> Vector:
        (source,) = sources
        z = build.scratch(build.padded(source.count))
        build.element_product(self.begin, source, z)
        output = build.scratch_vector(self.units)
        made: dict[str, list[StateField]] = {}
        with build.loop(self.steps, begin=lambda: self._begin(build, z, made)) as counter:
            given = build.state_vector(self.width, initial=self.start)
            going = build.state_vector(1, initial=np.ones(1, np.int16))
            with build.where(going):
                found = self._step(build, given, made)
                if self.feed is None:
                    build.operation(
                        op.CHOOSE, found.exact or 0, found.count, self.end, given.place, going.place
                    )
                else:
                    again = build.scratch(build.padded(self.width))
                    build.element_product(self.feed, found, again)
                    build.narrow(again, 8, given)
            build.operation(op.STORE_ROW, output.place, self.width, counter, 0, 1, given.place)
        return output

    def _step(self, build: Builder, given: Vector, made: dict[str, list[StateField]]) -> Vector:
        vectors = {INPUT: given}
        for number, layer in enumerate(self.layers):
            first = len(build.state_fields)
            read = [vectors[source] for source in sources_of(self.layers, number)]
            vectors[layer.name] = build.layer(layer, read, read=True)
            made[layer.name] = build.state_fields[first:]
        return vectors[self.feedback]

    def _begin(self, build: Builder, z: int, made: dict[str, list[StateField]]) -> None:
        """Write the source over the initial states: hidden vectors as int16, what they are rounded from as 32 bits."""
        by_name = {layer.name: layer for layer in self.layers}
        for name in self.begins:
            layer = by_name[name]
            deep = [state for state in made[name] if state.dtype is np.int32]
            (hidden,) = (state for state in made[name] if state.dtype is np.int16)
            of_hidden, of_deep = z, z + layer.hidden_units if isinstance(layer, Lstm) else z
            for state in deep:
                build.operation(op.BEGIN, of_deep, state.count, state.word, LIMITS[layer.kind])
            build.operation(op.BEGIN_HIDDEN, of_hidden, hidden.count, hidden.word)
            z += sum(widths_of(layer))
