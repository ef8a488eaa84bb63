"""A model lowered to what the kernels run: one flat array of words, and the sizes of state and scratch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgelstm.errors import SnapshotError
from edgelstm.model import ACTIVATIONS, COLUMN_BLOCK, Dense, Gru, Layer, Lstm, Model, RowProduct
from edgelstm.reference import operations as op
from edgelstm.reference.fixed_point import rshift, saturate16
from edgelstm.reference.row_product import LANES, QUAD, pack_rows

ALIGNED_WORDS = 16
"""What weights and states are aligned to: a cache line of 64 bytes."""

_ONE = 1 << 23  # in Q8.23


@dataclass(frozen=True, slots=True)
class StateField:
    """A vector of one layer's state, from `word` on.

    `derived_from` is the word of the Q8.23 state that a gated unit's hidden vector is rounded from: such a
    field is not in a snapshot, it is computed when one is restored.
    """

    word: int
    count: int
    dtype: type[np.int16] | type[np.int32]
    derived_from: int | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Program:
    """What `execute` takes, made once per model and shared by all its streams."""

    words: NDArray[np.int32]
    state_words: int
    scratch_words: int
    inputs: int
    outputs: int
    state_fields: tuple[StateField, ...]

    @property
    def snapshot_bytes(self) -> int:
        return sum(field.count * np.dtype(field.dtype).itemsize for field in self._saved_fields)

    @property
    def _saved_fields(self) -> list[StateField]:
        return [field for field in self.state_fields if field.derived_from is None]

    def initial_state(self, streams: int = 1) -> NDArray[np.int32]:
        """Return zeroed states, int32 (streams, state_words)."""
        return aligned_zeros(streams * self.state_words).reshape(streams, self.state_words)

    def new_scratch(self) -> NDArray[np.int32]:
        return aligned_zeros(self.scratch_words)

    def pack_state(self, state: NDArray[np.int32]) -> bytes:
        """Return one stream's state unpadded, little-endian, in layer order: the same bytes on every machine."""
        return b"".join(
            _field_of(state, field).astype(np.dtype(field.dtype).newbyteorder("<")).tobytes()
            for field in self._saved_fields
        )

    def unpack_state(self, packed: bytes) -> NDArray[np.int32]:
        """Return the state, int32 (state_words,), that `pack_state` packed; `packed` has `snapshot_bytes` bytes.

        Raises SnapshotError where a gated unit's state is beyond 1.
        """
        state: NDArray[np.int32] = self.initial_state()[0]
        position = 0
        for field in self._saved_fields:
            kind = np.dtype(field.dtype).newbyteorder("<")
            _field_of(state, field)[:] = np.frombuffer(packed, kind, field.count, position)
            position += field.count * kind.itemsize
        for field in self.state_fields:
            if field.derived_from is not None:
                blended = state[field.derived_from : field.derived_from + field.count].astype(np.int64)
                if np.abs(blended).max(initial=0) > _ONE:  # the kernels count on it
                    raise SnapshotError("the snapshot holds a state that no gated unit can reach")
                _field_of(state, field)[:] = saturate16(rshift(blended, 8))
        return state


def aligned_zeros(words: int) -> NDArray[np.int32]:
    """Return int32 zeros that begin at a cache line, where the widest load costs least."""
    memory = np.zeros(words + ALIGNED_WORDS, np.int32)
    first = -(memory.ctypes.data // 4) % ALIGNED_WORDS
    return memory[first : first + words]


def _field_of(state: NDArray[np.int32], field: StateField) -> NDArray[Any]:
    per_word = 4 // np.dtype(field.dtype).itemsize
    return state.view(field.dtype)[field.word * per_word : field.word * per_word + field.count]


@dataclass(frozen=True, slots=True)
class _Vector:
    """Where a layer's int16 input stands: in state or in scratch, from which int16 on."""

    in_state: bool
    half: int
    count: int


def lower(model: Model) -> Program:
    """Lower a checked model: pack and pad its weights, lay out its state, list its operations."""
    build = _Builder()
    vector = build.quantize_input(model)
    for number, layer in enumerate(model.layers):
        last = number == len(model.layers) - 1
        vector = build.layer(layer, vector, model if last else None)
    return Program(
        words=build.assemble(len(model.channels), len(model.outputs)),
        state_words=max(build.state_words, 1),
        scratch_words=max(build.scratch_words, 1),
        inputs=len(model.channels),
        outputs=len(model.outputs),
        state_fields=tuple(build.state_fields),
    )


class _Builder:
    """Collects operations and the constants they point to; constants get their word once all are known."""

    def __init__(self) -> None:
        self.operations: list[list[int | _Constant]] = []
        self.constants: list[_Constant] = []
        self.state_fields: list[StateField] = []
        self.state_words = 0
        self.scratch_words = 0

    def quantize_input(self, model: Model) -> _Vector:
        channels = len(model.channels)
        offsets = self._constant(np.array([c.offset for c in model.channels], np.float32))
        gains = self._constant(np.array([c.gain for c in model.channels], np.float32))
        half = 2 * self._scratch(_padded(channels) // 2)
        self.operations.append([op.QUANTIZE_INPUT, channels, offsets, gains, half])
        return _Vector(False, half, channels)

    def layer(self, layer: Layer, source: _Vector, model: Model | None) -> _Vector:
        """Add one layer; `model` is given for the last one, whose values leave as float32."""
        if isinstance(layer, Dense):
            return self._dense(layer, source, model)
        vector = self._lstm(layer, source) if isinstance(layer, Lstm) else self._gru(layer, source)
        if model is not None:
            self.operations.append([op.EMIT_HIDDEN, layer.units, vector.half, self._output_scales(model)])
        return vector

    def _lstm(self, layer: Lstm, source: _Vector) -> _Vector:
        stride = _padded(layer.units)
        z = self._scratch(4 * stride)
        cell = self._state(layer.units, np.int32)
        hidden = _Vector(True, 2 * self._state(layer.units, np.int16), layer.units)
        self._product(layer.inputs, 4, source, z, accumulate=False)
        self._product(layer.hidden, 4, hidden, z, accumulate=True)
        self.operations.append([op.LSTM_CELL, stride, z, cell, hidden.half])
        return hidden

    def _gru(self, layer: Gru, source: _Vector) -> _Vector:
        units, stride = layer.units, _padded(layer.units)
        z_inputs, z_hidden = self._scratch(3 * stride), self._scratch(3 * stride)
        state = self._state(units, np.int32)
        hidden = _Vector(True, 2 * self._state(units, np.int16, derived_from=state), units)
        self._product(layer.inputs, 3, source, z_inputs, accumulate=False)
        if layer.reset_after:
            self._product(layer.hidden, 3, hidden, z_hidden, accumulate=False)
        else:  # the new gate multiplies r * h, so its rows come after the reset gate is known
            reset = _Vector(False, 2 * self._scratch(stride // 2), units)
            self._product(_rows(layer.hidden, 0, 2 * units), 2, hidden, z_hidden, accumulate=False)
            self.operations.append([op.GRU_RESET, stride, z_inputs, z_hidden, hidden.half, reset.half])
            new_rows = _rows(layer.hidden, 2 * units, 3 * units)
            self._product(new_rows, 1, reset, z_hidden + 2 * stride, accumulate=False)
        self.operations.append(
            [op.GRU_CELL, stride, z_inputs, z_hidden, state, hidden.half, int(layer.reset_after)]
        )
        return hidden

    def _dense(self, layer: Dense, source: _Vector, model: Model | None) -> _Vector:
        units, stride = layer.units, _padded(layer.units)
        z = self._scratch(stride)
        self._product(layer.product, 1, source, z, accumulate=False)
        if layer.activation != "linear":
            self.operations.append([op.ACTIVATE, stride, z, ACTIVATIONS.index(layer.activation)])
        if model is not None:
            self.operations.append([op.EMIT, units, z, self._output_scales(model)])
            return source
        bits = 16 if layer.activation in ("sigmoid", "tanh") else 8
        half = 2 * self._scratch(stride // 2)
        self.operations.append([op.NARROW, stride, z, bits, half])
        return _Vector(False, half, units)

    def _product(self, product: RowProduct, gates: int, source: _Vector, z: int, *, accumulate: bool) -> None:
        """Add one row product for each column block; its parts are summed in `z`, the bias with the first."""
        for block in range(product.multipliers.shape[0]):
            first = block * COLUMN_BLOCK
            end = product.columns if block == product.multipliers.shape[0] - 1 else first + COLUMN_BLOCK
            weights = _pad_rows(product.weights[:, first:end], gates)
            bias = product.bias if block == 0 else np.zeros_like(product.bias)
            weight_sums = product.weights[:, first:end].sum(axis=1, dtype=np.int32)
            vectors = (product.multipliers[block], product.shifts[block], bias, weight_sums)
            parameters = np.concatenate([_pad_rows(vector, gates) for vector in vectors])
            groups, quads = weights.shape[0] // LANES, -(-(end - first) // QUAD)
            self.operations.append(
                [
                    op.ROW_PRODUCT,
                    self._constant(pack_rows(weights).view(np.int32)),
                    self._constant(parameters.astype(np.int32)),
                    groups,
                    quads,
                    int(source.in_state),
                    source.half + first,
                    z,
                    int(accumulate or block > 0),
                    int(product.shifts[block].any()),
                ]
            )

    def _output_scales(self, model: Model) -> _Constant:
        return self._constant(np.array([output.scale for output in model.outputs], np.float32))

    def _constant(self, values: NDArray[np.int32] | NDArray[np.float32]) -> _Constant:
        self.constants.append(_Constant(values.view(np.int32)))
        return self.constants[-1]

    def _state(
        self, count: int, dtype: type[np.int16] | type[np.int32], derived_from: int | None = None
    ) -> int:
        word = self.state_words
        self.state_fields.append(StateField(word, count, dtype, derived_from))
        words = _padded(count) * np.dtype(dtype).itemsize // 4
        self.state_words += _padded(words)
        return word

    def _scratch(self, words: int) -> int:
        word = self.scratch_words
        self.scratch_words += _padded(words)
        return word

    def assemble(self, inputs: int, outputs: int) -> NDArray[np.int32]:
        word = op.FIRST_OPERATION + len(self.operations) * op.OPERATION_WORDS
        for constant in self.constants:
            word = _padded(word)  # weights begin at a cache line
            constant.word = word
            word += constant.values.size
        words = aligned_zeros(word)
        words[[op.OPERATION_COUNT, op.INPUTS, op.OUTPUTS]] = len(self.operations), inputs, outputs
        table = words[op.FIRST_OPERATION :][: len(self.operations) * op.OPERATION_WORDS]
        for row, operation in zip(table.reshape(-1, op.OPERATION_WORDS), self.operations, strict=True):
            row[: len(operation)] = [item.word if isinstance(item, _Constant) else item for item in operation]
        for constant in self.constants:
            words[constant.word : constant.word + constant.values.size] = constant.values
        words.flags.writeable = False
        return words


class _Constant:
    """An array that operations refer to, and, after assembly, the word it begins at."""

    def __init__(self, values: NDArray[np.int32]) -> None:
        self.values = values
        self.word = -1


def _padded(units: int) -> int:
    return -(-units // LANES) * LANES


def _rows(product: RowProduct, first: int, end: int) -> RowProduct:
    return RowProduct(
        product.weights[first:end],
        product.multipliers[:, first:end],
        product.shifts[:, first:end],
        product.bias[first:end],
    )


def _pad_rows(rows: NDArray[Any], gates: int) -> NDArray[Any]:
    """Pad every gate's rows with zeros to a multiple of LANES."""
    units = rows.shape[0] // gates
    by_gate = rows.reshape(gates, units, *rows.shape[1:])
    widths = [(0, 0), (0, _padded(units) - units)] + [(0, 0)] * (rows.ndim - 1)
    padded = np.pad(by_gate, widths)
    return padded.reshape(-1, *rows.shape[1:])
