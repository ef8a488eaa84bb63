"""Layers that read each other: who reads what, and whether it fits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

from edgelstm.layers.bounds import require
from edgelstm.layers.layer import INPUT, Layer

MAX_LAYERS = 64
MAX_PERIOD = 1 << 20


class Node(Protocol):
    """What a layer of integers and a layer of floats have in common."""

    @property
    def name(self) -> str: ...
    @property
    def sources(self) -> tuple[str, ...]: ...
    def carried(self, sources: Sequence[Sequence[int]]) -> Sequence[int]: ...
    def tables(self, sources: Sequence[Sequence[int]]) -> Iterator[tuple[int, int]]: ...


def sources_of(layers: Sequence[Node], number: int) -> tuple[str, ...]:
    """Return the names of what layer `number` reads: its `sources`, or the layer before it."""
    return layers[number].sources or (layers[number - 1].name if number else INPUT,)


def check_layers(
    layers: Sequence[Layer], inputs: int, given: Mapping[str, int] | None = None
) -> dict[str, int]:
    """Check every layer; return how many values each gives, by name. Raises ModelFileError for the first that is wrong.

    given  how many values others give that stand beside `input`, by name
    """
    require(1 <= len(layers) <= MAX_LAYERS, f"{len(layers)} layers, expected 1 to {MAX_LAYERS}")
    units = {INPUT: inputs, **(given or {})}
    for number, layer in enumerate(layers):
        where = f'layer "{layer.name}"'
        require(bool(layer.name), "a layer has an empty name")
        require(layer.name != INPUT, f"{where}: the name is taken by the channels")
        require(layer.name not in units, f'two layers are named "{layer.name}"')
        sources = sources_of(layers, number)
        for source in sources:
            require(source in units, f'{where}: reads "{source}", which is no layer before it')
        require(
            1 <= layer.period <= MAX_PERIOD,
            f"{where}: period is {layer.period}, expected 1 to {MAX_PERIOD}",
        )
        require(
            0 <= layer.phase < layer.period, f"{where}: phase is {layer.phase}, expected less than its period"
        )
        if layer.when:
            require(
                layer.when in units,
                f'{where}: runs when "{layer.when}" is not 0, which is no layer before it',
            )
            found = units[layer.when]
            require(
                found == 1,
                f'{where}: runs when "{layer.when}" is not 0, which gives {found} values, expected 1',
            )
        layer.check([units[source] for source in sources])
        units[layer.name] = layer.units
    return units


def tables_of(
    layers: Sequence[Node], carried: Sequence[int], given: Mapping[str, Sequence[int]] | None = None
) -> Iterator[tuple[int, int]]:
    """Yield which channel chooses a row of a table of these layers, and how many rows that has.

    carried  for every value at `input` the channel that it is, or `COMPUTED`
    given    the same of others that stand beside `input`, by name
    """
    known: dict[str, Sequence[int]] = {INPUT: carried, **(given or {})}
    for number, layer in enumerate(layers):
        sources = [known[name] for name in sources_of(layers, number)]
        yield from layer.tables(sources)
        known[layer.name] = layer.carried(sources)


def rows_by_channel(layers: Sequence[Node], channels: int) -> dict[int, int]:
    """Return the channels that choose a row of a table, and how many rows there are: of several tables the fewest."""
    found: dict[int, int] = {}
    for channel, rows in tables_of(layers, range(channels)):
        found[channel] = min(rows, found.get(channel, rows))
    return found


def multiply_adds_of(
    layers: Sequence[Layer], inputs: int, given: Mapping[str, int] | None = None
) -> dict[str, float]:
    """Return the multiply-adds of each layer by name, averaged over samples, as if `when` were never 0; arguments as of
    `check_layers`."""
    units, found = {INPUT: inputs, **(given or {})}, {}
    for number, layer in enumerate(layers):
        columns = [units[source] for source in sources_of(layers, number)]
        found[layer.name] = layer.multiply_adds(columns) / layer.period
        units[layer.name] = layer.units
    return found


def memory_of(layers: Sequence[Layer], heads: Sequence[str]) -> int | None:
    """Return how many samples before the newest one the heads rest on; None where one remembers without an end."""
    known: dict[str, tuple[int, int, int] | None] = {INPUT: (0, 1, 0)}
    for number, layer in enumerate(layers):
        read = [known.get(name) for name in sources_of(layers, number)]
        known[layer.name] = None
        if layer.memory is None or layer.when or None in read:
            continue
        every, first = layer.rhythm
        period, phase = layer.period * every, layer.phase + layer.period * first
        oldest = 0
        for base, source_period, source_phase in (each for each in read if each is not None):
            together = layer.period % source_period == 0  # then what it reads is always of the same age
            age = (layer.phase - source_phase) % source_period if together else source_period - 1
            oldest = max(oldest, base + age)
        known[layer.name] = layer.memory * layer.period + oldest, period, phase
    found = [known[head] for head in heads]
    return (
        None
        if None in found
        else max(base + period - 1 for base, period, _ in (e for e in found if e is not None))
    )
