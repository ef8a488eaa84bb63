"""Layers that read each other: who reads what, and whether it fits."""

from __future__ import annotations

from collections.abc import Sequence

from edgelstm.layers.bounds import require
from edgelstm.layers.layer import INPUT, Layer

MAX_LAYERS = 64
MAX_PERIOD = 1 << 20


def sources_of(layers: Sequence[Layer], number: int) -> tuple[str, ...]:
    """Return the names of what layer `number` reads: its `sources`, or the layer before it."""
    return layers[number].sources or (layers[number - 1].name if number else INPUT,)


def check_layers(layers: Sequence[Layer], inputs: int) -> dict[str, int]:
    """Check every layer; return how many values each gives, by name. Raises ModelFileError for the first that is wrong."""
    require(1 <= len(layers) <= MAX_LAYERS, f"{len(layers)} layers, expected 1 to {MAX_LAYERS}")
    units = {INPUT: inputs}
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
        layer.check([units[source] for source in sources])
        units[layer.name] = layer.units
    return units
