"""Exported C as the engine of a stream: a shared object made by `edgelstm export-c --shared`, for boards without Numba.

Its path is always given: nothing is ever loaded because it lies beside a model file. It has the entries of the other engines
(`bind`, `execute_sample`, `execute_block`) and the layout of its own state.
"""

from __future__ import annotations

import ctypes
import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgelstm.errors import ModelFileError, SnapshotError
from edgelstm.program import Program
from edgelstm.reference.operations import DONE, FIRST_OPERATION, WRONG_SHAPE
from edgelstm.snapshot import STREAM_MAGIC, seal

_HEADER_BYTES, _CRC_BYTES, _DIGEST = 48, 4, slice(12, 44)
_FUNCTIONS = ("state_bytes", "snapshot_bytes", "reset", "run", "save", "load")


class Library:
    """A loaded shared object; its functions run without holding the interpreter lock."""

    def __init__(self, path: str | os.PathLike[str], digest: str, program: Program) -> None:
        """Load the library of the model with this digest; raises ModelFileError where it is none, or another model's."""
        try:
            library = ctypes.CDLL(os.path.abspath(path))
            found = [getattr(library, f"edgelstm_{name}") for name in _FUNCTIONS]
        except (OSError, AttributeError) as exc:
            raise ModelFileError(
                f"{path}: is no library of a model for this machine ({exc}); make one with: edgelstm export-c --shared"
            ) from None
        state_bytes, snapshot_bytes, self._reset, self._run, self._save, self._load = found
        self._digest, self._limits = digest, program.limits
        _, channels, *places = program.words[FIRST_OPERATION:][:4].tolist()  # the input stage
        floats = program.words.view(np.float32)
        self._offsets, self._gains = (floats[place:][:channels] for place in places)
        self._inputs, self._outputs = program.inputs, program.outputs
        self._state_words = -(-state_bytes() // 4)
        self._sealed_bytes = snapshot_bytes()
        self.snapshot_bytes = self._sealed_bytes - _HEADER_BYTES - _CRC_BYTES
        of_library = self._sealed(self.initial_state()[0])[_DIGEST].hex()
        if of_library != digest:
            raise ModelFileError(
                f"{path}: was exported from model {of_library[:12]}, this model is {digest[:12]}: export it again"
            )

    def initial_state(self, streams: int = 1) -> NDArray[np.int32]:
        """Return the states of new streams, int32 (streams, words of the C structure)."""
        states = np.zeros((streams, self._state_words), np.int32)
        for state in states:
            self._reset(_pointer(state))
        return states

    def new_scratch(self, streams: int = 1) -> NDArray[np.int32]:
        del streams
        return np.zeros(1, np.int32)  # the C keeps its scratch on the stack

    def pack_state(self, state: NDArray[np.int32]) -> bytes:
        """Return one stream's state as the other engines pack it."""
        return self._sealed(state)[_HEADER_BYTES:-_CRC_BYTES]

    def unpack_state(self, packed: bytes) -> NDArray[np.int32]:
        """Return the state that `pack_state` packed; raises SnapshotError where a value is one that no stream can reach."""
        state: NDArray[np.int32] = self.initial_state()[0]
        sealed = np.frombuffer(seal(STREAM_MAGIC, self._digest, packed), np.uint8).copy()
        if self._load(_pointer(state), _pointer(sealed)) != 0:
            raise SnapshotError("the snapshot holds a state that no stream can reach")
        return state

    def bind(
        self, program: Any, state: NDArray[np.int32], scratch: NDArray[np.int32], saturated: NDArray[np.int64]
    ) -> tuple[Any, Any]:
        """Return a context, and the object that has to live as long as it is used."""
        del program, scratch
        return (state, saturated), (state, saturated)

    def execute_sample(self, context: Any, x: Any, y: Any) -> int:
        """Step the only stream over one sample; DONE, WRONG_SHAPE, or where `x` holds the first value that is refused."""
        if not (_float32(x, (self._inputs,)) and _float32(y, (self._outputs,)) and len(context[0]) == 1):
            return WRONG_SHAPE
        return self._execute(context, 1, x, y)

    def execute_block(self, context: Any, x: Any, y: Any) -> int:
        """Step every stream over its samples, sample by sample, within it stream by stream; codes as `execute_sample`."""
        rows = x.shape[0] if isinstance(x, np.ndarray) and x.ndim == 2 else -1
        if not (_float32(x, (rows, self._inputs)) and _float32(y, (rows, self._outputs))):
            return WRONG_SHAPE
        if rows % len(context[0]):
            return WRONG_SHAPE
        return self._execute(context, rows // len(context[0]), x, y)

    def _execute(
        self, context: tuple[NDArray[np.int32], NDArray[np.int64]], samples: int, x: Any, y: Any
    ) -> int:
        finite = np.isfinite(x)
        if not finite.all():
            return int(np.argmin(finite))
        if self._limits is not None:
            inside = (x >= self._limits[0]) & (x <= self._limits[1])
            if not inside.all():
                return int(np.argmin(inside))
        states, saturated = context
        with np.errstate(over="ignore"):  # an infinite product saturates like any other
            scaled = np.rint((x.reshape(samples, len(states), -1) - self._offsets) * self._gains)
        saturated += ((scaled < -32768.0) | (scaled > 32767.0)).any(axis=2).sum(axis=0)
        self._run(_pointer(states), len(states), samples, _pointer(x), _pointer(y))
        return DONE

    def _sealed(self, state: NDArray[np.int32]) -> bytes:
        snapshot = np.zeros(self._sealed_bytes, np.uint8)
        self._save(_pointer(state), _pointer(snapshot))
        return snapshot.tobytes()


def _pointer(array: NDArray[Any]) -> ctypes.c_void_p:
    return ctypes.c_void_p(array.ctypes.data)


def _float32(array: Any, shape: tuple[int, ...]) -> bool:
    """Return whether an array is what C can read and write as it lies."""
    if type(array) is not np.ndarray or array.dtype != np.float32 or array.shape != shape:
        return False
    return bool(array.flags.c_contiguous and array.flags.writeable)
