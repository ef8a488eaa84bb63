"""What an assembly comes to: a list of layers, each with a name of its own, and which outputs of a graph the model has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from edgelstm.errors import ConversionError
from edgelstm.layers import INPUT
from edgelstm_converters.float_model import FloatLayer, FloatModel
from edgelstm_converters.trace.atoms import plain
from edgelstm_converters.trace.clocks import EVERY_SAMPLE, Clock

MAX_LAYERS = 128
STATE = "it is a state"
"""Why an output is left out that is nothing else than the memory of a layer, which a stream carries by itself."""


@dataclass(frozen=True, slots=True, eq=False)
class Assembled:
    """A model, whose outputs are those of the numbers `kept` of a graph, why the others are none, by their number, and at which
    rows the outputs come.
    """

    model: FloatModel
    kept: tuple[int, ...]
    left_out: dict[int, str]
    clock: Clock = EVERY_SAMPLE


def added(layers: list[FloatLayer], layer: FloatLayer) -> str:
    """Put a layer behind the others; return its name, with a number where that is taken."""
    if len(layers) >= MAX_LAYERS:
        raise ConversionError(
            f"it computes more than {MAX_LAYERS} layers at every sample; its steps are no cells known here"
        )
    name, taken = plain(layer.name), {layer.name for layer in layers} | {INPUT}
    number = 1
    while (name if number == 1 else f"{name}_{number}") in taken:
        number += 1
    layers.append(replace(layer, name=name if number == 1 else f"{name}_{number}"))
    return layers[-1].name


def in_line(layers: Sequence[FloatLayer]) -> list[FloatLayer]:
    """Return the layers, those that read the one before them without saying so."""
    before = [INPUT, *(layer.name for layer in layers)]
    return [
        replace(layer, sources=() if layer.sources == (name,) else layer.sources)
        for name, layer in zip(before, layers, strict=False)
    ]
