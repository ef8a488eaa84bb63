"""An architecture file (TOML or JSON): which of many arrays are the weights of which layer, and in what order its gates are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from edgelstm.errors import ConversionError
from edgelstm.layers.activation import ACTIVATIONS
from edgelstm_converters.float_model import FloatDense, FloatGru, FloatLayer, FloatLstm, FloatModel
from edgelstm_converters.gate_order import GRU, LSTM, reorder
from edgelstm_converters.layers import FloatEmbedding, FloatRnn, encoder_decoder

Floats = NDArray[np.float32]
Arrays = Mapping[str, NDArray[np.generic]]
MAX_BYTES = 1 << 20


class Entry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One layer: names of arrays, and how they are laid out.

    gates        the order of an LSTM's gates, of the letters i f g o (g: the cell's input), or of a GRU's, r u n
                 (r: reset, u: update, n: new)
    transposed   matrices are stored (inputs, outputs)
    reset_after  of a GRU: the reset gate scales what the matrix gives, not what it reads
    """

    kind: Literal["lstm", "gru", "rnn", "dense", "embedding"]
    name: str
    weights: str | None = None
    input_weights: str | None = None
    hidden_weights: str | None = None
    bias: str | None = None
    input_bias: str | None = None
    hidden_bias: str | None = None
    gates: str | None = None
    transposed: bool = False
    activation: str | None = None
    reset_after: bool = True


class DecoderEntry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The decoder of symbols, whose states begin as those of the layers in front of it ended.

    ends_with  the symbol, of the only channel, that ends what is encoded
    start, end the symbols that it is first given, and that ends what it gives
    steps      the most symbols that it gives
    layers     a chain, the last of which has a value for every symbol
    """

    ends_with: int
    start: int
    end: int
    steps: int
    layers: tuple[Entry, ...]


class Architecture(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A chain of layers, the first to see a sample in front, and the decoder behind it where there is one."""

    layers: tuple[Entry, ...]
    decoder: DecoderEntry | None = None


def load(path: Path) -> Architecture:
    """Read an architecture file; raises ConversionError naming it and the key that is wrong."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ConversionError(f"--architecture {path}: is larger than {MAX_BYTES:,} bytes")
        content = path.read_bytes()
        decode = msgspec.json.decode if path.suffix.lower() == ".json" else msgspec.toml.decode
        found = decode(content, type=Architecture)
    except OSError as exc:
        raise ConversionError(f"--architecture {path}: cannot be read: {exc.strerror}") from None
    except (msgspec.DecodeError, RecursionError) as exc:
        raise ConversionError(f"--architecture {path}: {exc}") from None
    if not found.layers or (found.decoder is not None and not found.decoder.layers):
        raise ConversionError(f"--architecture {path}: names no layer")
    return found


def assemble(arrays: Arrays, architecture: Architecture) -> FloatModel:
    """Return the layers that the architecture makes of the arrays; raises ConversionError naming layer and array."""
    layers, decoder = _chain(arrays, architecture.layers), architecture.decoder
    if decoder is not None:
        layers = list(
            encoder_decoder(
                layers,
                _chain(arrays, decoder.layers),
                steps=decoder.steps,
                start=np.array([decoder.start], np.float32),
                end=decoder.end,
                ends_with=decoder.ends_with,
            )
        )
    return FloatModel(layers[0].inputs, tuple(layers))


def _chain(arrays: Arrays, entries: Sequence[Entry]) -> list[FloatLayer]:
    layers: list[FloatLayer] = []
    for entry in entries:
        layer = _Layer(arrays, entry).made()
        if layers and layer.inputs != layers[-1].units:
            raise ConversionError(
                f'layer "{layers[-1].name}" gives {layers[-1].units} values but "{layer.name}" after it takes {layer.inputs}'
            )
        if layer.name in {other.name for other in layers}:
            raise ConversionError(f'two layers are named "{layer.name}"')
        layers.append(layer)
    return layers


class _Layer:
    def __init__(self, arrays: Arrays, entry: Entry) -> None:
        self.arrays, self.entry = arrays, entry

    def made(self) -> FloatLayer:
        entry = self.entry
        if entry.kind == "embedding":
            return FloatEmbedding(entry.name, self._matrix("weights"))
        if entry.kind == "dense":
            weights = self._matrix("weights")
            activation = entry.activation or "linear"
            self._known(activation, ACTIVATIONS)
            return FloatDense(entry.name, weights, self._bias("bias", len(weights)), activation)
        w, r = self._matrix("input_weights"), self._matrix("hidden_weights")
        gates, units = {"lstm": 4, "gru": 3, "rnn": 1}[entry.kind], r.shape[1]
        if len(w) != len(r) or len(r) != gates * units:
            raise self._wrong(
                f"its matrices have {len(w)} and {len(r)} rows, expected {gates} x {units} of each"
            )
        both = self._bias("bias", len(w))
        bx, bh = (self._bias(key, len(w)) for key in ("input_bias", "hidden_bias"))
        if entry.kind == "rnn":
            self._known(entry.activation or "tanh", ("tanh", "relu"))
            return FloatRnn(entry.name, w, r, both + bx + bh, entry.activation or "tanh")
        order = entry.gates or ""
        letters = LSTM if entry.kind == "lstm" else GRU
        if sorted(order) != sorted(letters):
            raise self._wrong(
                f'gates is "{order}", expected the order in which its rows are stacked, of the letters {letters}'
            )
        w, r, both, bx, bh = (reorder(part, order, letters) for part in (w, r, both, bx, bh))
        if entry.kind == "lstm":
            return FloatLstm(entry.name, w, r, both + bx + bh)
        return FloatGru(entry.name, w, r, both + bx, bh, entry.reset_after)

    def _wrong(self, why: str) -> ConversionError:
        return ConversionError(f'layer "{self.entry.name}" ({self.entry.kind}): {why}')

    def _known(self, activation: str, names: tuple[str, ...]) -> None:
        if activation not in names:
            raise self._wrong(f'activation is "{activation}", expected one of {", ".join(names)}')

    def _array(self, key: str, name: str) -> Floats:
        if name not in self.arrays:
            raise self._wrong(f'{key} is "{name}", but the arrays are {", ".join(self.arrays) or "none"}')
        values = self.arrays[name]
        if values.dtype.kind != "f" or values.size == 0:
            raise self._wrong(
                f'{key}: "{name}" is {values.dtype} of shape {values.shape}, expected floating point'
            )
        if not np.isfinite(values).all():
            raise self._wrong(f'{key}: "{name}" holds numbers that are not finite')
        return values.astype(np.float32)

    def _matrix(self, key: str) -> Floats:
        name = getattr(self.entry, key)
        if name is None:
            raise self._wrong(f"{key} is missing")
        values = self._array(key, name)
        if values.ndim != 2:
            raise self._wrong(f'{key}: "{name}" has shape {values.shape}, expected a matrix')
        return np.ascontiguousarray(values.T if self.entry.transposed else values)

    def _bias(self, key: str, rows: int) -> Floats:
        name = getattr(self.entry, key)
        if name is None:
            return np.zeros(rows, np.float32)
        values = self._array(key, name).reshape(-1)
        if values.size != rows:
            raise self._wrong(f'{key}: "{name}" has {values.size} numbers, expected {rows}')
        return values
