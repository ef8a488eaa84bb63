"""A model lowered for C: the operations of the kernels, on arrays that have names and no padding."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgelstm.layers import Layer, RowProduct
from edgelstm.layers.products import COLUMN_BLOCK
from edgelstm.lowering import Builder, Vector, limits_of, lower_into
from edgelstm.model import Model
from edgelstm.reference import operations as op
from edgelstm.reference.lstm import GATES
from edgelstm.state_field import StateField

ROWS, COLUMNS, LAST_COLUMNS = 4, 8, 4
"""Rows and columns of a block of packed weights, and what columns are padded to."""


@dataclass(frozen=True, slots=True)
class Array:
    """A vector of the state or of the scratch, in C: its name, its type, and where it begins in words."""

    name: str
    type: str
    count: int
    word: int

    @property
    def size(self) -> int:
        """How many values it is declared with: a product may read up to the next multiple of four."""
        return -(-self.count // LAST_COLUMNS) * LAST_COLUMNS if self.type == "int16_t" else self.count

    @property
    def bytes(self) -> int:
        return self.size * (2 if self.type == "int16_t" else 4)


@dataclass(frozen=True, slots=True)
class Constant:
    """Numbers that stand in flash; those that are equal stand there once."""

    name: str
    type: str
    values: NDArray[Any]

    @property
    def bytes(self) -> int:
        return self.values.size * {"int8_t": 1, "uint8_t": 1, "int16_t": 2}.get(self.type, 4)


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of `edgelstm.reference.operations`, its words, and the layer it belongs to."""

    kind: int
    words: tuple[Any, ...]
    layer: str


@dataclass(frozen=True, slots=True)
class Product:
    """The words of a ROW_PRODUCT in C. `bias` is None where rows are added to what `z` holds."""

    weights: Constant
    multipliers: Constant
    shifts: Constant | None
    bias: Constant | None
    rows: int
    columns: int
    source: Vector
    z: int


class CBuilder(Builder):
    """Collects operations with packed weights and named arrays instead of words of one array."""

    def __init__(self) -> None:
        super().__init__()
        self._layer_of: dict[int, str] = {}  # by the identity of an operation: some are taken out again
        self.flash: list[Constant] = []
        self.limits: NDArray[np.float32] | None = None  # as in `Program`
        self.at_start: dict[
            str, Constant
        ] = {}  # what arrays of the state hold in a new stream, where not zeros
        self.scratch_arrays: list[Array] = []
        self._state_arrays: list[Array] = []
        self._layer, self._hint = "input", ""

    @property
    def state_arrays(self) -> list[tuple[Array, StateField]]:
        return list(zip(self._state_arrays, self.state_fields, strict=True))

    @staticmethod
    def padded(units: int) -> int:
        return units

    def layer(
        self, layer: Layer, sources: Sequence[Vector], *, read: bool, when: Vector | None = None
    ) -> Vector:
        outer, self._layer = self._layer, identifier(layer.name)
        vector = super().layer(layer, sources, read=read, when=when)
        self._layer = outer
        return vector

    def operation(self, *words: Any) -> None:
        super().operation(*words)
        self._layer_of[id(self.operations[-1])] = self._layer

    def cell_state(self, units: int, **options: Any) -> int:
        word: int = self._hinted("cell", super().cell_state, units, **options)
        return word

    def blended_state(self, units: int, **options: Any) -> int:
        word: int = self._hinted("state", super().blended_state, units, **options)
        return word

    def state_vector(self, units: int, **options: Any) -> Vector:
        vector: Vector = self._hinted("hidden", super().state_vector, units, **options)
        return vector

    def scratch_vector(self, units: int) -> Vector:
        array = self._new_array(self.scratch_arrays, "vector", "int16_t", units, self.scratch_words)
        self.scratch_words += -(-array.bytes // 4)
        return Vector(False, 2 * array.word, units)

    def state(self, count: int, dtype: type[np.int16] | type[np.int32], **options: Any) -> int:
        kind = "int16_t" if dtype is np.int16 else "int32_t"
        hint = self._hint or ("counter" if count == 1 else "held")
        array = self._new_array(self._state_arrays, hint, kind, count, self.state_words)
        field = StateField(array.word, count, dtype, **options)
        self.state_fields.append(field)
        self.state_words += -(-array.bytes // 4)
        if field.initial is not None and np.any(field.initial):
            padded = np.zeros(array.size, dtype)
            padded[:count] = field.initial
            self.at_start[array.name] = self._constant("at_start", kind, padded)
        return array.word

    def scratch(self, words: int) -> int:
        array = self._new_array(self.scratch_arrays, "z", "int32_t", words, self.scratch_words)
        self.scratch_words += words
        return array.word

    def constant(self, values: NDArray[Any]) -> Any:
        kind = "float" if values.dtype == np.float32 else f"{values.dtype}_t"
        return self._constant("constants", kind, values)

    def beginning(self, word: int, fields: int) -> list[Any]:
        del fields
        return [word, self.state_words - word]

    def product(
        self, product: RowProduct, gates: int, source: Vector, z: int, *, accumulate: bool = False
    ) -> None:
        del gates  # rows are not padded gate by gate
        blocks = product.multipliers.shape[0]
        for block in range(blocks):
            first = block * COLUMN_BLOCK
            end = product.columns if block == blocks - 1 else first + COLUMN_BLOCK
            shifts = product.shifts[block]
            adds = accumulate or block > 0
            if accumulate and block == 0 and product.bias.any():
                self.operation(ADD, self._constant("bias", "int32_t", product.bias), product.rows, z)
            weights = pack(product.weights[:, first:end])
            words = Product(
                weights=self._constant("weights", "int8_t", weights),
                multipliers=self._constant("multipliers", "int32_t", 2 * product.multipliers[block]),
                shifts=self._constant("shifts", "uint8_t", shifts) if shifts.any() else None,
                bias=None if adds else self._constant("bias", "int32_t", product.bias),
                rows=product.rows,
                columns=-(-(end - first) // LAST_COLUMNS) * LAST_COLUMNS,
                source=Vector(source.in_state, source.half + first, end - first),
                z=z,
            )
            self.operation(op.ROW_PRODUCT, words)

    def lstm_layer(
        self, inputs: RowProduct, hidden: RowProduct, source: Vector, cell: int, state: Vector, z: int
    ) -> None:
        units = hidden.columns
        if units < FEWEST_SPLIT:
            self.product(inputs, GATES, source, z)
            self.product(hidden, GATES, state, z, accumulate=True)
            self.operation(op.LSTM_CELL, units, z, cell, state.half)
            return
        self._shorten(z, 3 * units)  # the output gate comes when the others are done with their place
        for kind, rows, words in (
            (LSTM_STATE, slice(0, 3 * units), (cell,)),
            (LSTM_OUTPUT, slice(3 * units, None), (cell, state.half)),
        ):
            self.product(_rows(inputs, rows), 1, source, z)
            self.product(_rows(hidden, rows), 1, state, z, accumulate=True)
            self.operation(kind, units, z, *words)

    @property
    def listed(self) -> list[Operation]:
        """Return the operations in order, each with its layer."""
        rows: list[Any] = self.operations
        return [Operation(words[0], tuple(words[1:]), self._layer_of[id(words)]) for words in rows]

    def array_at(self, in_state: bool, half: int) -> tuple[Array, str]:
        """Return the array that holds the int16 (or half of an int32) `half`, and the C expression of its address."""
        arrays = self._state_arrays if in_state else self.scratch_arrays
        array = max((a for a in arrays if 2 * a.word <= half), key=lambda a: a.word)
        step = 1 if array.type == "int16_t" else 2
        offset = (half - 2 * array.word) // step
        name = f"state->{array.name}" if in_state else array.name
        return array, f"{name} + {offset}" if offset else name

    def _shorten(self, word: int, count: int) -> None:
        """Let the scratch array that begins at `word` hold less."""
        at = next(n for n, array in enumerate(self.scratch_arrays) if array.word == word)
        self.scratch_arrays[at] = replace(self.scratch_arrays[at], count=count)

    def _hinted(self, hint: str, make: Any, *arguments: Any, **options: Any) -> Any:
        self._hint = hint
        made = make(*arguments, **options)
        self._hint = ""
        return made

    def _new_array(self, arrays: list[Array], what: str, kind: str, count: int, word: int) -> Array:
        arrays.append(Array(_free(f"{self._layer}_{what}", [a.name for a in arrays]), kind, count, word))
        return arrays[-1]

    def _constant(self, what: str, kind: str, values: NDArray[Any]) -> Constant:
        for known in self.flash:
            if known.type == kind and np.array_equal(known.values, values):
                return known
        name = _free(f"{self._layer}_{what}", [constant.name for constant in self.flash])
        self.flash.append(Constant(name, kind, values))
        return self.flash[-1]


ADD, LSTM_STATE, LSTM_OUTPUT = -1, -2, -3
"""Operations of C only: a bias is added to a result that others have begun; a plain LSTM in two halves, its output gate last."""

FEWEST_SPLIT = 32
"""Units from which on a plain LSTM is computed in two halves: a quarter less scratch, some 80 instructions more."""


def lower(model: Model) -> CBuilder:
    """Lower a checked model to named arrays and operations."""
    build = CBuilder()
    build.limits = limits_of(model)
    lower_into(build, model)
    return build


def _rows(product: RowProduct, rows: slice) -> RowProduct:
    return RowProduct(
        product.weights[rows], product.multipliers[:, rows], product.shifts[:, rows], product.bias[rows]
    )


def pack(weights: NDArray[np.int8]) -> NDArray[np.int8]:
    """Pack (rows, columns): by four rows, in them by eight columns (the last block may have four), row after row.

    In every four columns the inner two are exchanged.
    """
    rows, columns = -(-weights.shape[0] // ROWS) * ROWS, -(-weights.shape[1] // LAST_COLUMNS) * LAST_COLUMNS
    padded = np.pad(weights, ((0, rows - weights.shape[0]), (0, columns - weights.shape[1])))
    padded = padded.reshape(rows, -1, LAST_COLUMNS)[:, :, [0, 2, 1, 3]].reshape(rows, columns)
    blocks = []
    for group in np.split(padded, rows // ROWS):
        for first in range(0, columns, COLUMNS):
            blocks.append(group[:, first : first + COLUMNS].reshape(-1))
    return np.concatenate(blocks)


def identifier(name: str) -> str:
    """Return `name` as a C identifier."""
    text = re.sub(r"\W", "_", name, flags=re.ASCII).strip("_") or "layer"
    return f"l{text}" if text[0].isdigit() else text.lower()


def _free(name: str, taken: Sequence[str]) -> str:
    return (
        name
        if name not in taken
        else next(f"{name}_{n}" for n in range(2, 10_000) if f"{name}_{n}" not in taken)
    )
