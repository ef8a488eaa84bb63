"""A model lowered to the operations of the kernels: state and scratch laid out, weights packed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgelstm.layers import INPUT, ElementProduct, Layer, RowProduct
from edgelstm.layers.activation import ACTIVATIONS
from edgelstm.layers.products import COLUMN_BLOCK
from edgelstm.model import Channel, Model
from edgelstm.packing import PackedLstm, PackedProduct, pack_lstm, pack_product, padded
from edgelstm.program import Program, aligned_zeros
from edgelstm.reference import operations as op
from edgelstm.reference.activations import HARD_SIGMOID
from edgelstm.reference.lstm import GATES
from edgelstm.state_field import StateField, field_of

__all__ = ["Builder", "Vector", "limits_of", "lower", "lower_into"]

_CELL_END, _ONE = 1 << 30, 1 << 23  # 128 in Q7.23, where a cell saturates; 1 in Q8.23


def lower(model: Model) -> Program:
    """Lower a checked model: pack and pad its weights, lay out its state, list its operations."""
    build, limits = Builder(), limits_of(model)
    lower_into(build, model)
    return Program(
        words=build.assemble(len(model.channels), len(model.outputs), limits),
        state_words=max(build.state_words, 1),
        scratch_words=max(build.scratch_words, 1),
        inputs=len(model.channels),
        outputs=len(model.outputs),
        state_fields=tuple(build.state_fields),
        limits=limits,
        hidden=None if build.hidden is None else (build.hidden.half, build.hidden.count),
    )


def limits_of(model: Model) -> NDArray[np.float32] | None:
    """Return the least and the largest value of every channel, (2, channels): numbers of rows, to the nearest.

    None where no channel chooses a row of a table.
    """
    found = model.rows_by_channel
    if not found:
        return None
    limits = np.tile(np.array([[-np.inf], [np.inf]], np.float32), len(model.channels))
    for channel, rows in found.items():
        limits[:, channel] = -0.5, np.nextafter(np.float32(rows - 0.5), np.float32(0.0))
    return limits


def lower_into(build: Builder, model: Model) -> None:
    """Let `build` collect the operations of a step, from the input to the outputs."""
    names = [model.sources_of(number) for number in range(len(model.layers))]
    read = {source for sources in names for source in sources}
    vectors = {INPUT: build.quantize_input(model.channels)}
    for layer, sources in zip(model.layers, names, strict=True):
        inputs = [vectors[source] for source in sources]
        when = vectors[layer.when] if layer.when else None
        vector = build.layer(layer, inputs, read=layer.name in read, when=when)
        vectors[layer.name] = vector
        if layer.memory is None and build.lasts(vector):
            build.hidden = vector
    first = 0
    for head in model.head_names:
        units = vectors[head].count
        scales = np.array([output.scale for output in model.outputs[first : first + units]], np.float32)
        build.emit(vectors[head], scales, first)
        first += units


@dataclass(frozen=True, slots=True)
class Vector:
    """Where a layer's output stands: int16 in state or in scratch, from `half` on.

    exact  word of the 32-bit values in scratch that it was narrowed from, which leave the model without that loss
    """

    in_state: bool
    half: int
    count: int
    exact: int | None = None

    @property
    def place(self) -> int:
        """The address in one word: twice the half, plus one in state."""
        return 2 * self.half + int(self.in_state)

    def part(self, first: int, count: int) -> Vector:
        return Vector(self.in_state, self.half + first, count)


class Builder:
    """Collects operations and the constants they point to; constants get their word once all are known."""

    def __init__(self) -> None:
        self.operations: list[list[int | _Constant]] = []
        self.constants: list[_Constant] = []
        self.state_fields: list[StateField] = []
        self.state_words = 0
        self.scratch_words = 0
        self.hidden: Vector | None = None  # what the last layer gives whose state remembers without an end
        self._read = True
        # what is packed once, by id, with the products that are thereby kept alive
        self._products: dict[
            int, tuple[RowProduct, list[tuple[PackedProduct, tuple[_Constant, _Constant]]]]
        ] = {}
        self._lstms: dict[tuple[int, int], tuple[RowProduct, RowProduct, PackedLstm, list[_Constant]]] = {}

    def quantize_input(self, channels: tuple[Channel, ...]) -> Vector:
        offsets = self.constant(np.array([c.offset for c in channels], np.float32))
        gains = self.constant(np.array([c.gain for c in channels], np.float32))
        vector = self.scratch_vector(len(channels))
        self.operation(op.QUANTIZE_INPUT, len(channels), offsets, gains, vector.half)
        return vector

    def layer(
        self, layer: Layer, sources: Sequence[Vector], *, read: bool, when: Vector | None = None
    ) -> Vector:
        """Add one layer; `read` says whether another one reads its int16 output, `when` is what its `when` names."""
        self._read = read
        return self.now_and_then(layer.period, layer.phase, lambda: layer.lower(self, sources), when)

    def now_and_then(
        self, period: int, phase: int, lower: Callable[[], Vector], when: Vector | None = None
    ) -> Vector:
        """Let what `lower` adds run at every `period`-th sample, first at sample `phase`, and hold what it gives.

        when  of those only where this value is not 0
        """
        if period == 1 and when is None:
            return lower()
        timed = nullcontext() if period == 1 else self.every(period, phase)
        with timed, nullcontext() if when is None else self.where(when):
            vector = lower()
            held = vector if self._holds(vector) or vector.half < 0 else self.state_vector(vector.count)
            if held is not vector:
                self.copy(vector, held)
            if vector.exact is not None:
                wide = Vector(False, 2 * vector.exact, 2 * vector.count)
                held_wide = Vector(True, 2 * self.state(vector.count, np.int32), 2 * vector.count)
                self.copy(wide, held_wide)
        if vector.exact is not None:
            self.copy(held_wide, wide)
        return replace(held, exact=vector.exact)

    def _holds(self, vector: Vector) -> bool:
        """Return whether a vector stands in state, and is 0 before it is first written."""
        initial = {2 * field.word for field in self.state_fields if field.initial is not None}
        return vector.in_state and vector.half not in initial

    def lasts(self, vector: Vector) -> bool:
        """Return whether a vector stands in state that is kept from one sample to the next."""
        places = (
            (2 * field.word, field.count)
            for field in self.state_fields
            if field.lasting and field.dtype is np.int16
        )
        end = vector.half + vector.count
        return vector.in_state and any(at <= vector.half and end <= at + count for at, count in places)

    @contextmanager
    def loop(self, times: int, begin: Callable[[], None] | None = None) -> Iterator[int]:
        """Repeat what is added inside, with a counter in scratch; state that it makes begins anew with every loop.

        begin  adds what is done once, between that and the first turn; it is called when all inside is known
        """
        fields, word, at = len(self.state_fields), self.state_words, len(self.operations)
        self.operation(op.RESET)
        counter = self.scratch(1)
        self.operation(op.LOOP, counter)
        body = len(self.operations)
        yield counter
        self.operation(op.END_LOOP, counter, times, len(self.operations) - body + 1)
        turns = self.operations[body - 1 :]
        del self.operations[body - 1 :]
        if begin is not None:
            begin()
        self.operations += turns
        self.state_fields[fields:] = [replace(made, lasting=False) for made in self.state_fields[fields:]]
        if self.state_words > word:
            self.operations[at] += self.beginning(word, fields)
        else:  # nothing to begin anew
            del self.operations[at]

    @contextmanager
    def beginning_after(self, ended: Vector) -> Iterator[None]:
        """Let the state that is made inside begin anew at the sample after one at which the first of a vector is not 0."""
        before = self.state_vector(1)
        fields, word = len(self.state_fields), self.state_words
        with self.where(before):
            at = len(self.operations)
            self.operation(op.RESET)
        yield
        self.operations[at] += self.beginning(word, fields)
        self.copy(ended.part(0, 1), before)

    def beginning(self, word: int, fields: int) -> list[Any]:
        """Return the words of a RESET of the state from `word`, and field number `fields`, on."""
        initial = np.zeros(self.state_words, np.int32)
        for state_field in self.state_fields[fields:]:
            if state_field.initial is not None:
                field_of(initial, state_field)[:] = state_field.initial
        return [word, self.state_words - word, self.constant(initial[word:])]

    def ring(
        self, source: Vector, rows: int, initial: NDArray[np.int16] | None = None
    ) -> tuple[int, int, int, int]:
        """Keep the last `rows` values of a vector in state.

        initial  int16 (source.count,), what every row holds in a new stream
        Returns the half of the ring, its width, its rows, and the word of its position.
        """
        tiled = None if initial is None else np.tile(initial, rows)
        half = 2 * self.state(rows * source.count, np.int16, initial=tiled)
        position = self.state(1, np.int32, low=0, high=rows - 1)
        self.operation(op.PUSH, source.place, source.count, half, rows, position)
        return half, source.count, rows, position

    @contextmanager
    def every(self, period: int, phase: int) -> Iterator[None]:
        """Let the operations that are added inside run at every `period`-th sample, first at sample `phase`."""
        counter = self.state(1, np.int32, low=0, high=period - 1)
        self.operation(op.EVERY, counter, period, phase)
        at = len(self.operations)
        yield
        self.operations[at - 1].append(len(self.operations) - at)

    @contextmanager
    def where(self, value: Vector) -> Iterator[None]:
        """Let the operations that are added inside run only where the first of a vector is not 0."""
        self.operation(op.WHEN, int(value.in_state), value.half)
        at = len(self.operations)
        yield
        self.operations[at - 1].append(len(self.operations) - at)

    def copy(self, source: Vector, to: Vector) -> None:
        self.operation(op.COPY, source.place, source.count, to.place)

    def masked(self, source: Vector, mask: NDArray[np.int8] | None) -> Vector:
        """Return a vector with 0 where the mask is 0; the source itself where there is no mask."""
        if mask is None:
            return source
        to = self.scratch_vector(source.count)
        self.operation(op.MASK, source.place, source.count, self.constant(mask), to.place)
        return to

    def emit(self, vector: Vector, scales: NDArray[np.float32], first: int) -> None:
        """Let a layer's values leave as float32, as the outputs from `first` on."""
        if vector.exact is not None:
            self.operation(op.EMIT, vector.count, vector.exact, self.constant(scales), first)
        else:
            place = int(vector.in_state), vector.half
            self.operation(op.EMIT_HALF, vector.count, *place, self.constant(scales), first)

    def activate(self, activation: str, units: int, z: int) -> None:
        """Apply an activation to `units` values from word `z` of scratch on, in place."""
        code = ACTIVATIONS.index(activation)
        if code >= HARD_SIGMOID:
            self.operation(op.ACTIVATE_SELDOM, units, z, code)
        elif activation != "linear":
            self.operation(op.ACTIVATE, self.padded(units), z, code)

    def leave(self, z: int, units: int, bits: int) -> Vector:
        """Make the 32-bit values at word `z` of scratch the output of a layer, narrowed by `bits` if it is read."""
        if not self._read:
            return Vector(False, -1, units, exact=z)
        vector = self.scratch_vector(units)
        self.narrow(z, bits, vector)
        return replace(vector, exact=z)

    def narrow(self, z: int, bits: int, to: Vector) -> None:
        self.operation(op.NARROW, self.padded(to.count), z, bits, int(to.in_state), to.half)

    def operation(self, *words: int | _Constant) -> None:
        self.operations.append(list(words))

    @staticmethod
    def padded(units: int) -> int:
        """Return `units` rounded up to whole vectors: what every array of a kernel is padded to."""
        return padded(units)

    def cell_state(self, units: int, **options: Any) -> int:
        """Return the word of a new Q7.23 cell, which saturates at 128."""
        return self.state(units, np.int32, low=-_CELL_END, high=_CELL_END - 1, **options)

    def blended_state(self, units: int, **options: Any) -> int:
        """Return the word of a new Q8.23 state that is blended with its own past and stays within 1."""
        return self.state(units, np.int32, low=-_ONE, high=_ONE, **options)

    def state_vector(self, units: int, **options: Any) -> Vector:
        return Vector(True, 2 * self.state(units, np.int16, **options), units)

    def scratch_vector(self, units: int) -> Vector:
        return Vector(False, 2 * self.scratch(padded(units) // 2), units)

    def product(
        self, product: RowProduct, gates: int, source: Vector, z: int, *, accumulate: bool = False
    ) -> None:
        """Add one row product for each column block; its parts are summed in `z`, the bias with the first."""
        if id(product) not in self._products:  # layers that are run several times share their weights
            blocks = [pack_product(product, gates, block) for block in range(len(product.multipliers))]
            pairs = [(self.constant(packed.weights), self.constant(packed.parameters)) for packed in blocks]
            self._products[id(product)] = product, list(zip(blocks, pairs, strict=True))
        for block, (packed, constants) in enumerate(self._products[id(product)][1]):
            first, place = block * COLUMN_BLOCK, int(source.in_state)
            self.operation(
                op.ROW_PRODUCT, *constants, packed.groups, packed.quads, place, source.half + first, z,
                int(accumulate or block > 0), int(packed.shifted),
            )  # fmt: skip

    def lstm_layer(
        self, inputs: RowProduct, hidden: RowProduct, source: Vector, cell: int, state: Vector, z: int
    ) -> None:
        """Add a layer of plain long short-term memory: both products, gates and cells of LANES units together."""
        stride = padded(hidden.columns)
        if len(inputs.multipliers) > 1 or len(hidden.multipliers) > 1:
            self.product(inputs, GATES, source, z)
            self.product(hidden, GATES, state, z, accumulate=True)
            self.operation(op.LSTM_CELL, stride, z, cell, state.half)
            return
        known = id(inputs), id(hidden)
        if known not in self._lstms:
            layer = pack_lstm(inputs, hidden)
            constants = [self.constant(values) for values in (*layer.weights, layer.parameters)]
            self._lstms[known] = inputs, hidden, layer, constants
        *_, packed, (input_weights, hidden_weights, parameters) = self._lstms[known]
        self.operation(
            op.LSTM_LAYER, stride, input_weights, packed.quads[0], int(source.in_state), source.half,
            hidden_weights, packed.quads[1], state.half, parameters, int(packed.shifted), cell, z,
        )  # fmt: skip

    def element_product(
        self, product: ElementProduct, source: Vector, z: int, *, accumulate: bool = False
    ) -> None:
        """Write the product of `source` to word `z` of scratch on, or add it."""
        where = self.elements(product)
        self.operation(op.ELEMENT_PRODUCT, source.place, product.count, where, z, int(accumulate))

    def elements(self, product: ElementProduct) -> _Constant:
        return self.constant(np.concatenate([product.multipliers, product.shifts, product.bias]))

    def constant(self, values: NDArray[Any]) -> _Constant:
        """Return a reference to an array, padded with zeros to 32-bit words, to be used as a word of an operation."""
        missing = -values.nbytes % 4 // values.itemsize
        self.constants.append(_Constant(np.pad(values, (0, missing)).view(np.int32)))
        return self.constants[-1]

    def state(self, count: int, dtype: type[np.int16] | type[np.int32], **options: Any) -> int:
        """Return the word of a new field of the state; the options are those of `StateField`."""
        word = self.state_words
        self.state_fields.append(StateField(word, count, dtype, **options))
        words = padded(count) * np.dtype(dtype).itemsize // 4
        self.state_words += padded(words)
        return word

    def scratch(self, words: int) -> int:
        word = self.scratch_words
        self.scratch_words += padded(words)
        return word

    def assemble(
        self, inputs: int, outputs: int, limits: NDArray[np.float32] | None = None
    ) -> NDArray[np.int32]:
        """Return the program; `limits` as in `Program`."""
        limited = None if limits is None else self.constant(limits.ravel())
        word = op.FIRST_OPERATION + len(self.operations) * op.OPERATION_WORDS
        for constant in self.constants:
            word = padded(word)  # weights begin at a cache line
            constant.word = word
            word += constant.values.size
        words = aligned_zeros(word)
        words[: op.FIRST_OPERATION] = len(self.operations), inputs, outputs, limited.word if limited else 0
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
