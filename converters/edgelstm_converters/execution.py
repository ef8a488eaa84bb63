"""How a network is run on a stream: with its state carried, anew over a window again and again, or several times with masks."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from edgelstm.errors import ConversionError
from edgelstm.layers import INPUT
from edgelstm.layers.window import MAX_LENGTH
from edgelstm.output_roles import SPREAD_SUFFIX
from edgelstm_converters.float_model import FloatModel
from edgelstm_converters.layers import (
    FloatConcat,
    FloatDense,
    FloatLayer,
    FloatMasking,
    FloatPosition,
    FloatRepeat,
    FloatSelect,
    FloatWindow,
    variational,
)


@dataclass(frozen=True, slots=True)
class Execution:
    """By default state is carried from sample to sample.

    window     samples that the network is run over from its initial state, as it was trained; 0 for no window
    hop        samples from one run to the next
    lookahead  samples of the window that are newer than the one an output belongs to; has to be said where layers run backward
    runs       of the network with masks of their own, of which mean and spread are given; 0 for one run without
    dropout    the share of values that a mask leaves out
    """

    window: int = 0
    hop: int = 1
    runs: int = 0
    dropout: float = 0.0
    lookahead: int | None = None

    def apply(self, model: FloatModel) -> FloatModel:
        """Return the model that is run so; raises ConversionError for what does not go together."""
        if self.window and self.runs:
            raise ConversionError(
                "masked runs carry their state: uncertainty and a window do not go together"
            )
        if model.after is not None and not self.window:
            raise ConversionError(
                f'layer "{model.backward[0]}" begins at the end of a sequence, and a stream has none: say --window N, the samples '
                "that it is run over"
            )
        if model.after is None and model.backward and (not self.window or self.lookahead is None):
            raise ConversionError(
                f'layer "{model.backward[0]}" is bidirectional, and a stream has no future: say --window N, the samples that it is '
                "run over, and --lookahead N, how many of them are newer than the one an output belongs to"
            )
        repeated = next((layer for layer in model.layers if isinstance(layer, FloatRepeat)), None)
        counted = next((layer for layer in model.layers if isinstance(layer, FloatPosition)), None)
        if counted is not None and self.window != counted.count:
            raise ConversionError(
                f'layer "{counted.name}" numbers the samples of a window of {counted.count}: say --mode windowed --window {counted.count}'
            )
        if repeated is not None and self.window != repeated.count:
            raise ConversionError(
                f'layer "{repeated.name}" repeats what a window of {repeated.count} samples ends with: say --mode windowed '
                f"--window {repeated.count}"
            )
        if self.same_as_carried(model):
            return model
        if self.window:
            return self._head_behind(model) or self._windowed(model)
        if self.lookahead is not None:
            raise ConversionError(f"a look-ahead of {self.lookahead} samples needs a window")
        if self.hop != 1:
            raise ConversionError(f"a hop of {self.hop} samples needs a window")
        if self.runs:
            return self._masked(model)
        if self.dropout:
            raise ConversionError(f"a dropout of {self.dropout:g} needs a number of runs, uncertainty")
        return model

    def same_as_carried(self, model: FloatModel) -> bool:
        """Whether a window gives what the model gives with its state carried, which takes one step a sample instead of many."""
        plain = self.hop == 1 and not self.lookahead and self.window <= MAX_LENGTH
        return plain and model.span is not None and self.window >= model.span

    def output_names(self, names: tuple[str, ...]) -> tuple[str, ...]:
        """Return the names of the outputs of the model that is run so."""
        return (*names, *(f"{name}{SPREAD_SUFFIX}" for name in names)) if self.runs else names

    def _head_behind(self, model: FloatModel) -> FloatModel | None:
        """Return the windowed model with its last linear layer behind the window, or None where it has to stay inside.

        What leaves a window are int16 of one step for all values of a layer, which channels of different units cannot share; the
        last layer of a model gives 32 bits. It is also computed once instead of at every row.
        """
        last, rest = model.layers[-1], model.layers[:-1]
        read = model.sources_of(len(rest))
        if model.after is not None or not isinstance(last, FloatDense) or last.activation != "linear":
            return None
        alone = (
            len(read) == 1 and read[0] != INPUT and not isinstance(rest[-1] if rest else None, FloatMasking)
        )
        if not alone or model.head_names != (last.name,) or last.name in model.backward or last.when:
            return None
        behind = self._windowed(replace(model, layers=rest, heads=read))
        head = replace(last, sources=(behind.layers[-1].name,))
        if self.hop > 1:  # what the window holds in between, it holds too
            head = replace(head, period=self.hop, phase=(self.window - 1) % self.hop)
        return replace(behind, layers=(*behind.layers, head), heads=())

    def _windowed(self, model: FloatModel) -> FloatModel:
        for what, samples in (("window", self.window), ("hop", self.hop)):
            if not 1 <= samples <= MAX_LENGTH:
                raise ConversionError(f"a {what} of {samples} samples, expected 1 to {MAX_LENGTH}")
        last, lookahead = self.window - 1, self.lookahead or 0
        if not 0 <= lookahead <= last:
            raise ConversionError(
                f"a look-ahead of {lookahead} samples, expected 0 to {last}, less than the window"
            )
        if model.after is not None and lookahead:
            raise ConversionError("its output belongs to a whole window: a look-ahead does not go with it")
        masks = tuple(
            layer for layer in model.layers if isinstance(layer, FloatMasking)
        )  # of the newest sample
        inner = tuple(_in_window(layer) for layer in _inner(model) if layer not in masks)
        read = {name for number in range(len(model.layers)) for name in model.sources_of(number)}
        if not read.isdisjoint(mask.name for mask in masks):
            raise ConversionError(
                "its layers of both directions give zeros where a sample is masked, which a window cannot: leave the mask out"
            )
        heads = ends_of(model)
        rows = [
            0 if model.after is not None and head in model.backward else last - lookahead for head in heads
        ]
        window = FloatWindow(
            "window",
            model.inputs,
            self.window,
            inner,
            heads,
            tuple(rows),
            backward=_backward(model),
            lookahead=lookahead,
            hop=self.hop,
            due=last % self.hop,
            sources=(INPUT, *(mask.name for mask in masks)) if masks else (),
        )
        behind = _behind(window, model)
        return replace(behind, layers=(*masks, *behind.layers))

    def _masked(self, model: FloatModel) -> FloatModel:
        layers, before = [], INPUT
        for layer in model.layers:
            layers.append(replace(layer, sources=()) if layer.sources == (before,) else layer)
            before = layer.name
        if model.heads and model.heads != (before,):
            raise ConversionError("masked runs need a chain of layers with one output layer at its end")
        return FloatModel(model.inputs, (variational("runs", layers, self.runs, self.dropout),))


def _in_window(layer: FloatLayer) -> FloatLayer:
    if isinstance(layer, FloatPosition):
        return layer.in_window()
    return layer.from_the_end() if isinstance(layer, FloatRepeat) else layer


def _backward(model: FloatModel) -> tuple[str, ...]:
    """Return the layers that run backward in a window: also what repeats the end of one that runs forward."""
    repeats = {layer.name for layer in model.layers if isinstance(layer, FloatRepeat)}
    return tuple(
        layer.name for layer in model.layers if (layer.name in model.backward) != (layer.name in repeats)
    )


def ends_of(model: FloatModel) -> tuple[str, ...]:
    """Return the names of the layers whose rows leave a window: its outputs, or what the layers behind it read."""
    if not model.after:
        return model.head_names
    read = [
        name
        for n, layer in enumerate(model.layers)
        if layer.name in model.after
        for name in model.sources_of(n)
    ]
    ends = tuple(dict.fromkeys(name for name in read if name not in model.after))
    if INPUT in ends:
        raise ConversionError(
            "what is computed of the ends of both directions reads the last sample, too: no window gives both"
        )
    return ends


def _inner(model: FloatModel) -> tuple[FloatLayer, ...]:
    """Return the layers inside of the window; each names what it reads where the one before it does not stay in front of it."""
    kept = [n for n, layer in enumerate(model.layers) if layer.name not in (model.after or ())]
    if len(kept) == len(model.layers):
        return model.layers
    return tuple(replace(model.layers[n], sources=model.sources_of(n)) for n in kept)


def _behind(window: FloatWindow, model: FloatModel) -> FloatModel:
    """Return a window and the layers that read what it gives: all of it, or some of its heads picked out of it."""
    units = {layer.name: layer.units for layer in window.layers}
    firsts = np.cumsum([0, *(units[head] for head in window.heads)])
    picked = {
        head: FloatSelect(head, int(first), units[head], window.units, sources=(window.name,))
        for head, first in zip(window.heads, firsts, strict=False)
    }
    alone = {window.heads[0]: window.name} if len(picked) == 1 else {}
    layers: list[FloatLayer] = []
    for number, layer in enumerate(model.layers):
        if layer.name not in (model.after or ()):
            continue
        sources = model.sources_of(number)
        if isinstance(layer, FloatConcat) and sources == window.heads:
            alone[layer.name] = window.name
            continue
        renamed = tuple(alone.get(source, source) for source in sources)
        layers += [picked.pop(source) for source in dict.fromkeys(renamed) if source in picked]
        layers.append(replace(layer, sources=renamed))
    heads = tuple(alone.get(head, head) for head in model.head_names) if model.after else ()
    return FloatModel(model.inputs, (window, *layers), heads)
