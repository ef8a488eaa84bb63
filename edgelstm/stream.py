"""A loaded model and its streams: weights shared and frozen, state owned by each stream."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edgelstm import model_file
from edgelstm.backend import engine
from edgelstm.errors import ModelFileError, SampleError, UsageError
from edgelstm.library import Library
from edgelstm.lowering import lower
from edgelstm.model import Model
from edgelstm.model_check import check
from edgelstm.program import Program
from edgelstm.reference.operations import DONE, WRONG_SHAPE
from edgelstm.snapshot import STREAM_MAGIC, seal, unseal

if TYPE_CHECKING:
    from edgelstm.detector import Detector
    from edgelstm.detector_settings import DetectorSettings

Floats = NDArray[np.float32]
_FLOAT32 = np.dtype(np.float32)


class LoadedModel:
    """A checked model and its program; immutable, shared by any number of streams and threads."""

    def __init__(self, model: Model, library: str | os.PathLike[str] | None = None) -> None:
        """Check and lower `model`; raises ModelFileError naming the layer and value that is out of bounds.

        library  path of a shared object of this model, whose streams it then steps; see `edgelstm export-c --shared`
        """
        check(model)
        self.model = model
        self.digest = model_file.digest(model)
        self.program: Program = lower(model)
        self.inputs, self.outputs = self.program.inputs, self.program.outputs
        self.library = None if library is None else Library(library, self.digest, self.program)
        settings = model.detector_settings
        watched = settings.channels if settings and settings.network == "apart" else model.channels
        self.channel_names = tuple(channel.name for channel in watched)
        self.output_names = tuple(output.name for output in model.outputs)

    def __repr__(self) -> str:
        return f'<LoadedModel "{self.model.name}": {self.inputs} inputs, {self.outputs} outputs, digest {self.digest[:12]}>'

    def stream(self) -> Stream:
        """Return a new stream in the initial state."""
        return Stream(self)

    def streams(self, count: int) -> Streams:
        """Return `count` independent streams that are stepped together."""
        return Streams(self, count)

    def detector(self, settings: DetectorSettings | None = None) -> Detector:
        """Return a new anomaly detector with the model's own settings, or with those given.

        Raises ModelFileError where the model file carries no detector and none is given.
        """
        from edgelstm.detector import Detector

        chosen = settings or self.model.detector_settings
        if chosen is None:
            raise ModelFileError(
                f'model "{self.model.name}" carries no detector; make one from normal history with: '
                "edgelstm calibrate MODEL HISTORY.csv -o DETECTOR.elstm"
            )
        return Detector(self, chosen)


def load(path: str | os.PathLike[str], library: str | os.PathLike[str] | None = None) -> LoadedModel:
    """Load a model file, and the shared object that steps its streams, if one is given.

    Raises ModelFileError with one line that names the file and what is wrong.
    """
    return LoadedModel(model_file.load(path), library)


class _Call:
    """Gives samples to the engine: makes the result, copies what is only laid out otherwise, says what is wrong."""

    def __init__(self, model: LoadedModel, engine: Any, context: Any, shape: tuple[int | None, ...]) -> None:
        """Of samples of `shape`, which begins with None for any number of them."""
        self._model, self._context, self._shape = model, context, shape
        self._execute = engine.execute_sample if len(shape) == 1 else engine.execute_block

    def __call__(self, x: Floats, out: Floats | None = None) -> Floats:
        shape = self._expected(x)
        out_shape = (*shape[:-1], self._model.outputs)
        if out is None:
            out = np.empty(out_shape, np.float32)
        code = WRONG_SHAPE
        if isinstance(x, np.ndarray) and x.shape == shape and isinstance(out, np.ndarray):
            try:
                code = self._execute(self._context, x, out)
            except TypeError:  # no machine code for arrays like these
                pass
        return out if code == DONE else self._look_closer(code, x, shape, out, out_shape)

    def _expected(self, x: Floats) -> tuple[int, ...]:
        samples = x.shape[0] if isinstance(x, np.ndarray) and x.ndim == 2 else 1
        return tuple(samples if size is None else size for size in self._shape)

    def _look_closer(
        self, code: int, x: Floats, shape: tuple[int, ...], out: Floats, out_shape: tuple[int, ...]
    ) -> Floats:
        """Say what is wrong with a sample that was refused, or run a copy of one that is only laid out otherwise."""
        if not isinstance(x, np.ndarray) or x.dtype != np.float32 or x.shape != shape:
            raise SampleError(_mismatch("the sample", x, f"a float32 array of shape {shape}"))
        if type(out) is not np.ndarray or out.dtype != np.float32 or out.shape != out_shape:
            raise SampleError(_mismatch("out", out, f"a float32 array of shape {out_shape}"))
        if not (out.flags.c_contiguous and out.flags.writeable):
            raise SampleError("out is not a writable, C-contiguous array")
        if code < 0:
            code = self._execute(self._context, np.array(x, order="C", subok=False), out)
        if code >= 0:
            at = tuple(int(axis) for axis in np.unravel_index(code, shape))
            raise SampleError(f"the sample at {list(at)} is {x[at]}: {self._refusal(at[-1], float(x[at]))}")
        return out

    def _refusal(self, channel: int, value: float) -> str:
        if not math.isfinite(value):
            return "values have to be finite"
        model = self._model.model
        name, rows = model.channels[channel].name, model.rows_by_channel[channel]
        return f'channel "{name}" is the number of a row of a table, expected 0 to {rows - 1}'


class _States:
    """The states of one or more streams of a model, and the scratch they are stepped in."""

    def __init__(self, model: LoadedModel, count: int) -> None:
        self.model = model
        self._engine = model.library or engine()
        self._layout = model.library or model.program
        self._state = self._layout.initial_state(count)
        self._saturated = np.zeros(count, np.int64)
        self._context, self._owner = self._engine.bind(
            model.program.words, self._state, self._layout.new_scratch(count), self._saturated
        )

    def _method(self, *shape: int | None) -> Callable[..., Floats]:
        """Return what is called with samples of `shape`, and the array for the results; None is any number of samples.

        Machine code where the engine has it, which calls Python only for what it does not take.
        """
        call = _Call(self.model, self._engine, self._context, (*shape, self.model.inputs))
        if not hasattr(self._engine, "method"):
            return call
        any_samples = None in shape
        results = (*shape, self.model.outputs)
        maker = None if any_samples else partial(np.empty, results, _FLOAT32)
        method: Callable[..., Floats] = self._engine.method(
            self._owner, len(results), any_samples, maker, call
        )
        return method

    def _pack(self, index: int) -> bytes:
        return seal(STREAM_MAGIC, self.model.digest, self._layout.pack_state(self._state[index]))

    def _unpack(self, index: int, snapshot: bytes) -> None:
        body = unseal(STREAM_MAGIC, self.model.digest, snapshot, self._layout.snapshot_bytes)
        self._state[index] = self._layout.unpack_state(body)


class Stream(_States):
    """One stream of a model; owns its state, not to be shared between threads."""

    def __init__(self, model: LoadedModel) -> None:
        super().__init__(model, 1)
        self._step, self._run = self._method(), self._method(None)
        # called in place of the methods below, without a call between
        vars(self).update(step=self._step, run=self._run)

    def step(self, x: Floats, out: Floats | None = None) -> Floats:
        """Advance by one sample.

        x    float32 (inputs,), finite
        out  float32 (outputs,), written and returned; a new array if not given

        Raises SampleError, with the state untouched, for a wrong shape or type, or a value that is not finite or no row of its table.
        """
        return self._step(x, out)

    def run(self, x: Floats, out: Floats | None = None) -> Floats:
        """Advance by a block of samples: the same bits as one by one.

        x    float32 (samples, inputs), finite
        out  float32 (samples, outputs), written and returned; a new array if not given

        Raises SampleError, with the state untouched, for a wrong shape or type, or a value that is not finite or no row of its table.
        """
        return self._run(x, out)

    @property
    def saturated(self) -> int:
        """How many samples since the last reset had a value beyond what int16 hold of its channel, which then was limited to that.

        Counted by this object: no snapshot holds it.
        """
        return int(self._saturated[0])

    def reset(self) -> None:
        """Return to the initial state."""
        self._state[:], self._saturated[:] = self._layout.initial_state(), 0

    def snapshot(self) -> bytes:
        """Return the state: the same bytes on every machine, for this model only."""
        return self._pack(0)

    def restore(self, snapshot: bytes) -> None:
        """Go to the state that `snapshot` holds; raises SnapshotError with the state untouched."""
        self._unpack(0, snapshot)


class Streams(_States):
    """A batch of independent streams of one model, stepped together; not to be shared between threads."""

    def __init__(self, model: LoadedModel, count: int) -> None:
        if count < 1:
            raise UsageError(f"a batch of {count} streams; expected at least 1")
        super().__init__(model, count)
        self.count = count
        self._step = self._method(count)
        vars(self).update(step=self._step)  # as of a Stream

    def step(self, x: Floats, out: Floats | None = None) -> Floats:
        """Advance every stream by one sample.

        x    float32 (streams, inputs), finite
        out  float32 (streams, outputs), written and returned; a new array if not given

        Raises SampleError, with every state untouched, for a wrong shape or type, or a value that is not finite or no row of its table.
        """
        return self._step(x, out)

    def saturated(self, index: int) -> int:
        """Return of one stream what `Stream.saturated` is."""
        return int(self._saturated[index])

    def reset(self, index: int | None = None) -> None:
        """Return one stream, or all of them, to the initial state."""
        which = slice(None) if index is None else index
        self._state[which], self._saturated[which] = self._layout.initial_state()[0], 0

    def snapshot(self, index: int) -> bytes:
        """Return the state of one stream, as `Stream.snapshot` does: one can be restored into the other."""
        return self._pack(index)

    def restore(self, index: int, snapshot: bytes) -> None:
        """Put one stream into the state that `snapshot` holds; raises SnapshotError with the state untouched."""
        self._unpack(index, snapshot)


def _mismatch(what: str, found: object, expected: str) -> str:
    described = f"a {type(found).__name__}"
    if isinstance(found, np.ndarray):
        described = f"{found.dtype} of shape {found.shape}"
    return f"{what} is {described}, expected {expected}"
