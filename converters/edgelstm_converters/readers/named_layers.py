"""What an architecture file says, made of the arrays that it names: the layers, in order, and the model of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgelstm.errors import ConversionError
from edgelstm.layers import INPUT
from edgelstm.layers.activation import ACTIVATIONS, CELL_ACTIVATIONS
from edgelstm_converters.float_model import FloatDense, FloatGru, FloatLayer, FloatLstm, FloatModel
from edgelstm_converters.gate_order import GRU, LSTM, reorder
from edgelstm_converters.layers import (
    FloatAdd,
    FloatClockwork,
    FloatConcat,
    FloatConv1d,
    FloatEmbedding,
    FloatNormalization,
    FloatPool,
    FloatRnn,
    encoder_decoder,
)
from edgelstm_converters.readers import Reading
from edgelstm_converters.readers import architecture as of
from edgelstm_converters.readers.named_arrays import Arrays, NamedArrays
from edgelstm_converters.readers.named_attention import attention
from edgelstm_converters.readers.named_grid import conv_lstm, dense_of_grid

AS_SAID = "not proved: the architecture is what the file says"
Widths = Sequence[int]
Maker = Callable[[NamedArrays, Any, Widths], Sequence[FloatLayer]]


def read(arrays: Arrays, path: str | Path, proof: str) -> Reading:
    """Return the model that the architecture file at `path` makes of the arrays; raises ConversionError naming layer and array."""
    said = of.load(Path(path))
    graph = _Graph(arrays, said.inputs)
    layers = graph.made(said.layers)
    if said.decoder is not None:
        layers = _with_decoder(arrays, said, layers)
    told = "; left out: ".join([proof, *filter(None, map(_left_out, layers))])
    return Reading(FloatModel(graph.widths[INPUT], tuple(layers)), told, said.dropout or 0.0)


def _left_out(layer: FloatLayer) -> str:
    """Say how many weights a clockwork layer has with which its groups would see faster ones, as a mask in training leaves out."""
    if not isinstance(layer, FloatClockwork):
        return ""
    count = int(((layer.hidden_weights != 0.0) & (layer.seen_weights == 0.0)).sum())
    return f'{count} weights with which groups of "{layer.name}" would see faster ones' if count else ""


def _with_decoder(arrays: Arrays, said: of.Architecture, encoder: list[FloatLayer]) -> list[FloatLayer]:
    decoder = said.decoder
    assert decoder is not None
    for entry in (*said.layers, *decoder.layers):
        if not isinstance(entry, of.OfSymbols) or entry.sources:
            raise ConversionError(
                f'layer "{entry.name}" ({entry.kind}): a decoder, and what stands in front of it, is a chain of layers of the '
                "kinds embedding, lstm, gru, rnn and dense, without sources"
            )
    return list(
        encoder_decoder(
            encoder,
            _Graph(arrays, None).made(decoder.layers),
            steps=decoder.steps,
            start=np.array([decoder.start], np.float32),
            end=decoder.end,
            ends_with=decoder.ends_with,
        )
    )


class _Graph:
    """Layers that were made, and how many values each gives."""

    def __init__(self, arrays: Arrays, inputs: int | None) -> None:
        self._arrays, self.layers = arrays, list[FloatLayer]()
        self.widths = {} if inputs is None else {INPUT: inputs}

    def made(self, entries: Sequence[of.Entry]) -> list[FloatLayer]:
        for entry in entries:
            self._add(entry)
        return self.layers

    def _add(self, entry: of.Entry) -> None:
        arrays = NamedArrays(self._arrays, entry)
        names = {INPUT, *(layer.name for layer in self.layers)}
        if entry.name in names:
            raise ConversionError(
                f'two layers are named "{entry.name}"'
                if entry.name != INPUT
                else 'a layer is named "input", as the channels are'
            )
        sources = entry.sources or (self.layers[-1].name if self.layers else INPUT,)
        if not entry.fewest <= len(sources) <= entry.most:
            expected = entry.fewest if entry.fewest == entry.most else f"{entry.fewest} to {entry.most}"
            raise arrays.wrong(f"reads {', '.join(sources)}, expected {expected} of sources")
        for source in sources:
            if source not in names:
                raise arrays.wrong(f'reads "{source}", which is no layer in front of it: {", ".join(names)}')
        widths = [self.widths.get(source, 0) for source in sources]
        made = list(MAKERS[type(entry)](arrays, entry, widths))
        self._check(arrays, made[0], sources, widths)
        if entry.sources:
            made[0] = replace(made[0], sources=entry.sources)
        self.layers += made
        self.widths[entry.name] = made[-1].units

    def _check(
        self, arrays: NamedArrays, layer: FloatLayer, sources: Sequence[str], widths: Sequence[int]
    ) -> None:
        """See that a layer takes what its sources give; the first to read the channels says how many there are."""
        self.widths.setdefault(sources[0], layer.inputs)
        given = self.widths[sources[0]]
        if layer.inputs != given:
            raise ConversionError(
                f'layer "{sources[0]}" gives {given} values but "{arrays.entry.name}" after it takes {layer.inputs}'
                if sources[0] != INPUT
                else f'there are {given} channels but layer "{arrays.entry.name}" takes {layer.inputs}'
            )


def _embedding(arrays: NamedArrays, entry: of.EmbeddingEntry, widths: Widths) -> Sequence[FloatLayer]:
    return (FloatEmbedding(entry.name, arrays.matrix("weights")),)


def _dense(arrays: NamedArrays, entry: of.DenseEntry, widths: Widths) -> Sequence[FloatLayer]:
    weights = arrays.matrix("weights", transposed=entry.transposed)
    arrays.known(entry.activation, ACTIVATIONS)
    bias = arrays.vector("bias", len(weights))
    if entry.grid is not None:
        weights = dense_of_grid(arrays, weights, entry.grid)
    return (FloatDense(entry.name, weights, bias, entry.activation),)


def _matrices(arrays: NamedArrays, entry: of.Recurrent, gates: int) -> list[NDArray[np.float32]]:
    """Return the matrices, and the biases of both, of the input and of the past."""
    w, r = (arrays.matrix(key, transposed=entry.transposed) for key in ("input_weights", "hidden_weights"))
    units = r.shape[1]
    if len(w) != len(r) or len(r) != gates * units:
        raise arrays.wrong(
            f"its matrices have {len(w)} and {len(r)} rows, expected {gates} x {units} of each"
        )
    return [w, r, *(arrays.vector(key, len(w)) for key in ("bias", "input_bias", "hidden_bias"))]


def _lstm(arrays: NamedArrays, entry: of.LstmEntry, widths: Widths) -> Sequence[FloatLayer]:
    arrays.order(entry.gates, LSTM)
    w, r, both, bx, bh = (reorder(part, entry.gates, LSTM) for part in _matrices(arrays, entry, 4))
    factor, shift = (
        reorder(arrays.vector(key, len(r)), entry.gates, LSTM) if arrays.has(key) else None
        for key in ("norm_weights", "norm_bias")
    )
    if shift is not None and factor is None:
        raise arrays.wrong("has a norm_bias, but no norm_weights")
    lstm = FloatLstm(entry.name, w, r, both + bx + bh, norm_epsilon=entry.epsilon)
    return (replace(lstm, norm_factor=factor, norm_shift=shift),)


def _gru(arrays: NamedArrays, entry: of.GruEntry, widths: Widths) -> Sequence[FloatLayer]:
    arrays.order(entry.gates, GRU)
    w, r, both, bx, bh = (reorder(part, entry.gates, GRU) for part in _matrices(arrays, entry, 3))
    return (FloatGru(entry.name, w, r, both + bx, bh, entry.reset_after),)


def _rnn(arrays: NamedArrays, entry: of.RnnEntry, widths: Widths) -> Sequence[FloatLayer]:
    w, r, both, bx, bh = _matrices(arrays, entry, 1)
    arrays.known(entry.activation, ("tanh", "relu"))
    return (FloatRnn(entry.name, w, r, both + bx + bh, entry.activation),)


def _clockwork(arrays: NamedArrays, entry: of.ClockworkEntry, widths: Widths) -> Sequence[FloatLayer]:
    w, r, both, bx, bh = _matrices(arrays, entry, 1)
    arrays.known(entry.activation, CELL_ACTIVATIONS)
    if not entry.sizes or sum(entry.sizes) != len(r):
        raise arrays.wrong(f"sizes are {list(entry.sizes)}, {sum(entry.sizes)} units, expected {len(r)}")
    if len(entry.periods) != len(entry.sizes) or list(entry.periods) != sorted(entry.periods):
        raise arrays.wrong(
            f"periods are {list(entry.periods)}, expected one for each of {len(entry.sizes)} groups, the fastest first"
        )
    return (FloatClockwork(entry.name, w, r, both + bx + bh, entry.sizes, entry.periods, entry.activation),)


def _normalization(arrays: NamedArrays, entry: of.NormalizationEntry, widths: Widths) -> Sequence[FloatLayer]:
    width = arrays.width(widths[0])
    factor = np.ones(width, np.float32) if entry.weights is None else arrays.vector("weights", width)
    bias = arrays.vector("bias", width)
    return (FloatNormalization(entry.name, entry.mode, factor, bias, entry.epsilon),)


def _conv1d(arrays: NamedArrays, entry: of.Conv1dEntry, widths: Widths) -> Sequence[FloatLayer]:
    weights = arrays.array("weights", 3, "(outputs, inputs, taps)")
    if entry.transposed:
        weights = np.ascontiguousarray(weights.transpose(2, 1, 0))
    arrays.known(entry.activation, ACTIVATIONS)
    bias = arrays.vector("bias", len(weights))
    return (FloatConv1d(entry.name, weights, bias, entry.dilation, entry.activation),)


def _pool(arrays: NamedArrays, entry: of.PoolEntry, widths: Widths) -> Sequence[FloatLayer]:
    return (FloatPool(entry.name, entry.mode, arrays.width(widths[0]), entry.window),)


def _add(arrays: NamedArrays, entry: of.AddEntry, widths: Widths) -> Sequence[FloatLayer]:
    width = arrays.width(widths[0])
    for source, other in zip(entry.sources, widths, strict=True):
        if arrays.width(other) != width:
            raise arrays.wrong(f'"{entry.sources[0]}" gives {width} values but "{source}" {other}')
    arrays.known(entry.activation, ACTIVATIONS)
    return (FloatAdd(entry.name, width, (1.0,) * len(widths), entry.activation),)


def _concat(arrays: NamedArrays, entry: of.ConcatEntry, widths: Widths) -> Sequence[FloatLayer]:
    return (FloatConcat(entry.name, tuple(arrays.width(width) for width in widths)),)


MAKERS: Mapping[type, Maker] = {
    of.EmbeddingEntry: _embedding,
    of.DenseEntry: _dense,
    of.LstmEntry: _lstm,
    of.GruEntry: _gru,
    of.RnnEntry: _rnn,
    of.ClockworkEntry: _clockwork,
    of.ConvLstmEntry: conv_lstm,
    of.AttentionEntry: attention,
    of.NormalizationEntry: _normalization,
    of.Conv1dEntry: _conv1d,
    of.PoolEntry: _pool,
    of.AddEntry: _add,
    of.ConcatEntry: _concat,
}
