"""Float layers that read each other: who reads what, and their quantisation one after another."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from edgelstm.errors import ConversionError
from edgelstm.layers import INPUT
from edgelstm_converters.layers.affine import FloatAffine
from edgelstm_converters.layers.float_layer import FloatLayer, Floats, Quantised, rows_of
from edgelstm_converters.quantize import Vector


def sources_of(layers: Sequence[FloatLayer], number: int) -> tuple[str, ...]:
    """Return the names of what layer `number` reads: its `sources`, or the layer before it."""
    return layers[number].sources or (layers[number - 1].name if number else INPUT,)


def span_of(layers: Sequence[FloatLayer], heads: Sequence[str]) -> int | None:
    """Return how many of the newest samples the heads rest on; None where no number is enough, or one does not run at each."""
    known: dict[str, int | None] = {INPUT: 1}
    for number, layer in enumerate(layers):
        spans = [known.get(name) for name in sources_of(layers, number)]
        known[layer.name] = None
        if layer.span is not None and layer.period == 1 and not layer.when and None not in spans:
            known[layer.name] = layer.span - 1 + max(span for span in spans if span is not None)
    found = [known[head] for head in heads]
    return None if None in found else max(span for span in found if span is not None)


def padded_of(layers: Sequence[FloatLayer], carried: Sequence[int]) -> Iterator[tuple[int, float]]:
    """Yield which channels stand in these layers before the first sample, and with which value.

    carried  for every value at `input` the channel that it is, or `COMPUTED`
    """
    known: dict[str, Sequence[int]] = {INPUT: carried}
    for number, layer in enumerate(layers):
        names = sources_of(layers, number)
        sources = [known.get(name, ()) for name in names]  # what stands beside a window is no channel
        yield from layer.padded(sources)
        known[layer.name] = layer.carried(sources)


def padding(layers: Sequence[FloatLayer], channels: int) -> dict[int, float]:
    """Return what stands for a channel before the first sample, by its number, where a layer looks back so far.

    Raises ConversionError where two layers do not agree on it.
    """
    found: dict[int, float] = {}
    for channel, value in padded_of(layers, range(channels)):
        if found.setdefault(channel, value) != value:
            raise ConversionError(
                f"before the first sample, channel {channel} is {found[channel]:g} for one layer and {value:g} for another"
            )
    return found


def quantize_layers(
    layers: Sequence[FloatLayer],
    source: Vector,
    values: Mapping[str, Floats],
    kept: frozenset[str] = frozenset(),
    backward: Collection[str] = (),
    masks: Mapping[str, Floats] | None = None,
    begun: Mapping[str, Floats] | None = None,
) -> list[Quantised]:
    """Quantise layers in order.

    source  how what `input` names is to be read; where it has samples, weights are rounded as calibration says
    values  what calibration gave at `input` and at every layer, by name: (samples, values)
    kept    names of layers whose int16 output is needed also where none of these reads it
    backward  names of layers that run from the newest of the samples to the oldest
    masks   what multiplies what layers read, by their names
    begun   the hidden vectors that layers begin with, by their names
    """
    vectors, found = {INPUT: source}, []
    sources = [sources_of(layers, number) for number in range(len(layers))]
    read = kept.union(*sources)
    for layer, names in zip(layers, sources, strict=True):
        turn = slice(None, None, -1) if layer.name in backward else slice(None)
        when = values[layer.when][turn] if layer.when else None
        *seen, given = (_seen(layer, values[name][turn], when) for name in (*names, layer.name))
        if begun and layer.name in begun:
            given = np.concatenate([begun[layer.name][None], given])
        if masks:
            seen = [part * masks[layer.name] for part in seen]
        read_as = [vectors[name] for name in names]
        if source.samples is not None:
            read_as = [vector.seeing(part) for vector, part in zip(read_as, seen, strict=True)]
        quantised = layer.quantize(read_as, seen, given, read=layer.name in read)
        timed = replace(
            quantised.layer, sources=layer.sources, period=layer.period, phase=layer.phase, when=layer.when
        )
        found.append(replace(quantised, layer=timed))
        vectors[layer.name] = quantised.vector
    return found


def _seen(layer: FloatLayer, values: Floats, when: Floats | None) -> Floats:
    """Return those of the values at its source, (samples, ..., values), that a layer gets to read; of windows all."""
    if when is None or values.ndim > 2:
        return values[layer.phase :: layer.period]
    runs = rows_of(layer, when)
    return values[runs] if runs.any() else values


def with_plain_sources(layers: Sequence[FloatLayer], inputs: int) -> tuple[FloatLayer, ...]:
    """Return the layers with one that rescales in front of each that cannot read values in steps that differ.

    The channels, and what is put together of several layers, come in steps and offsets of their own; products of rows take
    that in, but not every family can.
    """
    found: list[FloatLayer] = []
    units, plain = {INPUT: inputs}, {INPUT: False}
    for number, layer in enumerate(layers):
        names = sources_of(layers, number)
        renamed = list(names)
        for position, source in enumerate(names if layer.needs_plain else ()):
            if not plain[source]:
                name = f"{source} for {layer.name}"
                one, none = np.ones(units[source], np.float32), np.zeros(units[source], np.float32)
                if name not in units:
                    rescaled = FloatAffine(name, one, none, sources=(source,))
                    found.append(replace(rescaled, period=layer.period, phase=layer.phase, when=layer.when))
                    units[name] = units[source]
                renamed[position] = name
        found.append(layer if tuple(renamed) == names else replace(layer, sources=tuple(renamed)))
        units[layer.name], plain[layer.name] = layer.units, layer.plain
    return tuple(found)
