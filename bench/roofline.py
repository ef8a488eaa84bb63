"""What a step cannot be faster than: its weights, read from the cache level they fit in, and the call.

Bandwidth is measured on the core itself by a compiled loop of the widest loads; the call is a step of a
program that does nothing, which is everything around the kernels.
"""

import os
import time

import numba
import numpy as np

from edgelstm.backend import engine
from edgelstm.kernels.lanes import LANES, over_lanes
from edgelstm.program import aligned_zeros
from edgelstm.reference import operations as op

_AT_ONCE, _SUMS = 16, 8

_LEVELS = {"L1": 16, "L2": 384, "L3": 4096}
"""KiB that are read to measure a level: well inside it on the machines that people have."""

_FITS_KIB = {"L1": 28, "L2": 900}


@over_lanes
def _add_up(values, at, result):
    """Add _AT_ONCE vectors from `at` on to the _SUMS vectors of `result` in turn, so that no load waits for a sum."""
    sums = [result[LANES * n] for n in range(_SUMS)]
    for n in range(_AT_ONCE):
        sums[n % _SUMS] = sums[n % _SUMS] + values[at + LANES * n]
    for n, total in enumerate(sums):
        result[LANES * n] = total


@numba.njit(nogil=True)
def _read(values, repeats, result):
    for _ in range(repeats):
        for at in range(0, values.shape[0], LANES * _AT_ONCE):
            _add_up(values, at, result)


def measure(core: int) -> dict[str, float]:
    """Return GB/s of each level and nanoseconds of a call, in the order of measuring."""
    before = os.sched_getaffinity(0)
    if core >= 0:
        os.sched_setaffinity(0, {core})
    try:
        return {**{level: _bandwidth(kib) for level, kib in _LEVELS.items()}, "call_ns": _call_ns()}
    finally:
        os.sched_setaffinity(0, before)


def _bandwidth(kib: int) -> float:
    values, result = aligned_zeros(kib * 256), aligned_zeros(_SUMS * LANES)
    values[:] = 1  # or every page is the same one
    repeats = max(1, 16384 // kib)
    _read(values, 1, result)
    best = min(_elapsed(lambda: _read(values, repeats, result)) for _ in range(20))
    return repeats * values.nbytes / best


def _call_ns() -> float:
    """Return the nanoseconds of a step of a program without operations, from one input to one output."""
    words = np.zeros(op.FIRST_OPERATION + op.OPERATION_WORDS, np.int32)
    words[[op.INPUTS, op.OUTPUTS]] = 1
    _, owner = engine().bind(words, np.zeros((1, 1), np.int32), np.zeros((1, 1), np.int32))
    step = engine().method(owner, 1, False, None, None)
    x, y = np.zeros(1, np.float32), np.zeros(1, np.float32)
    return min(_elapsed(lambda: [step(x, y) for _ in range(1000)]) for _ in range(20)) / 1000


def _elapsed(function) -> float:
    start = time.perf_counter_ns()
    function()
    return time.perf_counter_ns() - start


def limit(network, speeds: dict[str, float]) -> dict[str, float]:
    """Return the bytes of weights of a step, the level they fit in, and the nanoseconds that reading and calling take."""
    arrays = (network.input_weights, network.hidden_weights, network.dense_weights)
    size = sum(array.size for array in arrays)
    level = next((name for name, kib in _FITS_KIB.items() if size <= kib * 1024), "L3")
    reading = size / speeds[level]
    return {
        "weight_bytes": size,
        "level": level,
        "bandwidth_gb_s": speeds[level],
        "call_ns": speeds["call_ns"],
        "stream_ns": reading,
        "limit_ns": reading + speeds["call_ns"],
    }
