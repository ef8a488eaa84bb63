"""What every reader makes of a trained model: a graph of float32 layers, and the path through it.

Gate rows are in the order of this project, i f g o (LSTM) and r u n (GRU); `gate_order` brings them there.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from edgelstm.errors import ConversionError
from edgelstm.layers import INPUT
from edgelstm_converters.layers import FloatAffine, FloatDense, FloatGru, FloatLayer, FloatLstm
from edgelstm_converters.layers.float_layer import ACTIVATIONS, Floats, run_now_and_then
from edgelstm_converters.layers.graph import sources_of, span_of

__all__ = ["ACTIVATIONS", "FloatDense", "FloatGru", "FloatLayer", "FloatLstm", "FloatModel", "Floats"]


@dataclass(frozen=True, slots=True, eq=False)
class FloatModel:
    """Float32 layers on `inputs` channels, each reading what its `sources` name, or the layer before it.

    heads     names of the layers whose values are the outputs; none: the last layer
    backward  names of the layers that begin at the end of a sequence: a stream has none, so such a model is run over windows
    after     names of the layers that run once for a whole window, on what the others end with; none of them: the output is
              such an end itself. None: every sample has its output
    """

    inputs: int
    layers: tuple[FloatLayer, ...]
    heads: tuple[str, ...] = ()
    backward: tuple[str, ...] = ()
    after: tuple[str, ...] | None = None

    @property
    def head_names(self) -> tuple[str, ...]:
        return self.heads or (self.layers[-1].name,)

    @property
    def outputs(self) -> int:
        units = {layer.name: layer.units for layer in self.layers}
        return sum(units[head] for head in self.head_names)

    @property
    def span(self) -> int | None:
        """The samples of the shortest window over which the model gives what it gives with its state carried, once it has seen as
        many; None where there is no such window."""
        return None if self.backward or self.after is not None else span_of(self.layers, self.head_names)

    def check(self) -> None:
        """Raise ConversionError, naming the layer, where one reads what is not there, or of another size."""
        units = {INPUT: self.inputs}
        for number, layer in enumerate(self.layers):
            where = f'layer "{layer.name}" ({layer.kind})'
            if not layer.name or layer.name in units:
                raise ConversionError(
                    f"{where}: the name is empty, or taken by a layer before it or the channels"
                )
            for source in (*self.sources_of(number), *([layer.when] if layer.when else [])):
                if source not in units:
                    raise ConversionError(f'{where}: reads "{source}", which is no layer before it')
            given = units[self.sources_of(number)[0]]
            if given != layer.inputs:
                raise ConversionError(
                    f'{where}: reads {layer.inputs} values, but "{self.sources_of(number)[0]}" gives {given}'
                )
            units[layer.name] = layer.units
        for head in self.heads if self.layers else ("",):
            if head not in units or head == INPUT:
                raise ConversionError(f'the output is to come from "{head}", which is no layer')

    def sources_of(self, number: int) -> tuple[str, ...]:
        """Return the names of what layer `number` reads."""
        return sources_of(self.layers, number)

    def run(self, x: Floats) -> Floats:
        """Return the outputs for every sample of (samples, inputs), state carried from sample to sample."""
        outputs = dict(zip((layer.name for layer in self.layers), self.run_layers(x), strict=True))
        if self.after == ():
            outputs = {name: self.end(name, y) for name, y in outputs.items()}
        return np.concatenate([outputs[head] for head in self.head_names], axis=1)

    def end(self, name: str, y: Floats) -> Floats:
        """Return what a layer ends with, standing at every sample: its last row, or its first where it runs backward."""
        row = y[:1] if name in self.backward else y[-1:]
        return np.repeat(row, len(y), axis=0)

    def run_layers(self, x: Floats) -> list[Floats]:
        """Return what every layer gives for every sample, from the initial state on."""
        found = {INPUT: np.asarray(x, np.float32)}
        for number, layer in enumerate(self.layers):
            turn = slice(None, None, -1) if layer.name in self.backward else slice(None)
            read = {source: found[source] for source in self.sources_of(number)}
            if self.after and layer.name in self.after:
                read = {name: y if name in self.after else self.end(name, y) for name, y in read.items()}
            sources = [read[name][turn] for name in self.sources_of(number)]
            when = found[layer.when][turn] if layer.when else None
            found[layer.name] = run_now_and_then(layer, sources, when)[turn]
        return [found[layer.name] for layer in self.layers]


def with_folded_affine(model: FloatModel) -> FloatModel:
    """Return the model with every factor and shift taken into the weights of the layer before it, where that can be.

    That is batch normalisation after a linear layer (Ioffe and Szegedy 2015, in its form for inference), and an
    activation that the trained model has as a layer of its own.
    """
    layers = list(model.layers)
    sources = {layer.name: model.sources_of(number) for number, layer in enumerate(layers)}
    readers = [name for each in sources.values() for name in each] + list(model.head_names)
    by_name, renamed = {layer.name: layer for layer in layers}, {}
    for layer in model.layers:
        before = by_name.get(sources[layer.name][0])
        if not isinstance(layer, FloatAffine) or before is None or readers.count(before.name) != 1:
            continue
        together = (before.period, before.phase, before.when) == (layer.period, layer.phase, layer.when)
        if not together or _apart(model, before, layer):
            continue
        folded = before.followed_by(layer.factor, layer.shift, layer.activation)
        if folded is not None:
            folded = replace(folded, name=layer.name, sources=sources[before.name])
            by_name[layer.name], renamed[before.name] = folded, layer.name
            sources[layer.name] = sources[before.name]
    kept = [by_name[layer.name] for layer in layers if layer.name not in renamed]
    explicit = [replace(layer, sources=sources[layer.name]) for layer in kept]
    return replace(model, layers=tuple(explicit)) if renamed else model


def _apart(model: FloatModel, one: FloatLayer, other: FloatLayer) -> bool:
    """Whether two layers run in different directions, or one of them once for a whole window only."""
    return any((one.name in names) != (other.name in names) for names in (model.backward, model.after or ()))
