"""An encoder and a decoder as layers of one model (Cho et al. 2014, Sutskever et al. 2014)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from edgelstm.errors import ConversionError
from edgelstm.layers import INPUT
from edgelstm_converters.layers.decoder import FloatDecoder
from edgelstm_converters.layers.float_layer import FloatLayer, FloatRecurrent, Floats
from edgelstm_converters.layers.lstm import FloatLstm
from edgelstm_converters.layers.masking import FloatMasking
from edgelstm_converters.layers.merge import FloatSelect
from edgelstm_converters.layers.sequence import FloatSequence
from edgelstm_converters.layers.window import FloatWindow


def encoder_decoder(
    encoder: Sequence[FloatLayer],
    decoder: Sequence[FloatLayer],
    *,
    steps: int,
    start: Floats,
    symbols: bool = True,
    end: int = -1,
    ends_with: float | None = None,
    window: int = 0,
    hop: int = 1,
) -> tuple[FloatLayer, ...]:
    """Return layers that encode a sequence and decode it into another one, greedily.

    encoder, decoder  chains of layers with as many recurrent ones: the states of one begin as those of the other ended
    steps, start, symbols, end  as in `FloatDecoder`; the last layer of the decoder is given back
    ends_with         the encoder runs sample by sample, and this value of the only channel, its last sample, ends a sequence
    window, hop       or it runs over the last `window` samples, at every `hop`-th sample

    Raises ConversionError for chains that do not fit each other.
    """
    if (ends_with is None) == (not window):
        raise ConversionError("an encoder ends either with a symbol or with its window")
    ours, states = _with_states(encoder)
    theirs = [layer.name for layer in decoder if isinstance(layer, FloatRecurrent)]
    if len(theirs) != len(states) or not states:
        raise ConversionError(f"the encoder has {len(states)} recurrent layers, the decoder {len(theirs)}")
    found = FloatDecoder(
        "decoder",
        tuple(decoder),
        steps,
        decoder[-1].name,
        tuple(theirs),
        start,
        symbols,
        end=end,
        sources=("encoder",),
    )
    width = encoder[0].inputs
    units = {layer.name: layer.units for layer in ours}
    if sum(units[name] for name in states) != found.inputs:
        raise ConversionError("the recurrent layers of encoder and decoder differ in size or kind")
    if ends_with is None:
        last, due = window - 1, (window - 1) % hop
        whole = FloatWindow("encoder", width, window, ours, states, (last,) * len(states), hop=hop, due=due)
        return whole, replace(found, period=hop, phase=due)
    if width != 1:
        raise ConversionError(f"a symbol ends sequences of one channel, but the encoder reads {width}")
    mask = FloatMasking("end", 1, (0,), (ends_with,), matches=True, sources=(INPUT,))
    return (
        mask,
        FloatSequence("encoder", width, ours, states, sources=(INPUT, "end")),
        replace(found, when="end"),
    )


def _with_states(layers: Sequence[FloatLayer]) -> tuple[tuple[FloatLayer, ...], tuple[str, ...]]:
    """Return a chain whose recurrent layers show all of their state, and the names of those."""
    found: list[FloatLayer] = []
    states = []
    for layer in layers:
        found.append(layer)
        if isinstance(layer, FloatRecurrent):
            states.append(layer.name)
        if isinstance(layer, FloatLstm):
            found[-1] = shown = replace(layer, with_cells=True)
            hidden = FloatSelect(f"{layer.name} hidden", 0, layer.hidden_units, shown.units)
            found.append(hidden)
    while found and found[-1].name not in states:  # nothing behind the last state is looked at
        found.pop()
    return tuple(found), tuple(states)
