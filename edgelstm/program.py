"""What the kernels run: one flat array of words, and the sizes of state and scratch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgelstm.errors import SnapshotError
from edgelstm.reference.fixed_point import rshift, saturate16
from edgelstm.state_field import StateField, field_of

__all__ = ["ROWS_AT_ONCE", "Program", "aligned_zeros"]

ALIGNED_WORDS = 16
"""What weights and states are aligned to: a cache line of 64 bytes."""

ROWS_AT_ONCE = 8
"""How many streams an operation is run for, one after another, before the next one is."""


@dataclass(frozen=True, slots=True, eq=False)
class Program:
    """What `execute` takes, made once per model and shared by all its streams.

    limits  (2, inputs), the least and the largest value that each channel may have; None where any will do
    hidden  where in the state, counted in int16, and how many hidden values the last recurrent layer gives; None where none does
    """

    words: NDArray[np.int32]
    state_words: int
    scratch_words: int
    inputs: int
    outputs: int
    state_fields: tuple[StateField, ...]
    limits: NDArray[np.float32] | None = None
    hidden: tuple[int, int] | None = None

    @property
    def snapshot_bytes(self) -> int:
        return sum(field.count * np.dtype(field.dtype).itemsize for field in self._saved_fields)

    @property
    def _saved_fields(self) -> list[StateField]:
        return [field for field in self.state_fields if field.derived_from is None and field.lasting]

    def initial_state(self, streams: int = 1) -> NDArray[np.int32]:
        """Return the states of new streams, int32 (streams, state_words)."""
        state = np.zeros(self.state_words, np.int32)
        for field in self.state_fields:
            if field.initial is not None:
                field_of(state, field)[:] = field.initial
        states = aligned_zeros(streams * self.state_words).reshape(streams, self.state_words)
        states[:] = state
        return states

    def new_scratch(self, streams: int = 1) -> NDArray[np.int32]:
        """Return int32 (rows, scratch_words): what streams that are stepped together need, at most ROWS_AT_ONCE rows."""
        rows = min(streams, ROWS_AT_ONCE)
        return aligned_zeros(rows * self.scratch_words).reshape(rows, self.scratch_words)

    def pack_state(self, state: NDArray[np.int32]) -> bytes:
        """Return one stream's state unpadded, little-endian, in layer order: the same bytes on every machine."""
        return b"".join(
            field_of(state, field).astype(np.dtype(field.dtype).newbyteorder("<")).tobytes()
            for field in self._saved_fields
        )

    def unpack_state(self, packed: bytes) -> NDArray[np.int32]:
        """Return the state, int32 (state_words,), that `pack_state` packed; `packed` has `snapshot_bytes` bytes.

        Raises SnapshotError where a value is one that no stream can reach.
        """
        state: NDArray[np.int32] = self.initial_state()[0]
        position = 0
        for field in self._saved_fields:
            kind = np.dtype(field.dtype).newbyteorder("<")
            values = np.frombuffer(packed, kind, field.count, position)
            field_of(state, field)[:] = values
            position += field.count * kind.itemsize
            low, high = field.low, field.high
            if (low is not None and values.min() < low) or (high is not None and values.max() > high):
                raise SnapshotError("the snapshot holds a state that no stream can reach")
        for field in self.state_fields:
            if field.derived_from is not None:
                blended = state[field.derived_from : field.derived_from + field.count].astype(np.int64)
                field_of(state, field)[:] = saturate16(rshift(blended, 8))
        return state


def aligned_zeros(words: int) -> NDArray[np.int32]:
    """Return int32 zeros that begin at a cache line, where the widest load costs least."""
    memory = np.zeros(words + ALIGNED_WORDS, np.int32)
    first = -(memory.ctypes.data // 4) % ALIGNED_WORDS
    return memory[first : first + words]
