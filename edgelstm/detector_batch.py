"""Many detectors of one model and settings that take in samples together: one call of the compiled stages for all."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edgelstm.detector import Detector
from edgelstm.kernels.compiled import COMPILES
from edgelstm.kernels.detection import many
from edgelstm.verdict import Verdicts

Times = NDArray[np.int64]
Values = NDArray[np.float32]


def push_together(blocks: Sequence[tuple[Detector, Times, Values]]) -> list[Verdicts]:
    """Take in a block of samples for each detector; the same bits as `push_block` of each by itself.

    blocks  different detectors of the same model and settings, each with int64 (samples,) and float32 (samples, channels)

    Raises SampleError for a wrong shape or type, and then some of the detectors may have taken theirs.
    """
    if len(blocks) == 1 or not COMPILES:
        return [detector.push_block(times_ns, values) for detector, times_ns, values in blocks]
    detectors = [detector for detector, _, _ in blocks]
    first = np.zeros(len(blocks) + 1, np.int64)
    np.cumsum([len(times_ns) for _, times_ns, _ in blocks], out=first[1:])
    times_ns = np.concatenate([times for _, times, _ in blocks])
    values = np.concatenate([rows for _, _, rows in blocks])
    detectors[0].check(times_ns, values)
    places = np.concatenate([_place(detector) for detector in detectors]).reshape(len(blocks), -1)
    scores, thresholds = np.empty(len(times_ns)), np.empty(len(times_ns))
    states, reached = np.empty(len(times_ns), np.int8), np.empty(len(blocks), np.int64)
    addresses, sizes = np.ascontiguousarray(places[:, : many.ADDRESSES]), places[0, many.ADDRESSES :]
    many.run_many(addresses, sizes, first, reached, times_ns, values, scores, thresholds, states)
    found, ends, rows = [], first.tolist(), reached.tolist()
    for n, detector in enumerate(detectors):
        begin, end = ends[n], ends[n + 1]
        verdicts = Verdicts(scores[begin:end], thresholds[begin:end], states[begin:end], [])
        detector.go_on(times_ns[begin:end], values[begin:end], verdicts, rows[n] - begin)
        found.append(verdicts)
    return found


def _place(detector: Detector) -> NDArray[np.int64]:
    """Return the addresses of the arrays that the stages work on, then their sizes, as `run_many` reads them."""
    if detector.place is None:
        network, _, constants, policies, floats, ints, _, values, _, feed, said = detector.arrays
        sizes = (
            *network.shape, constants.size, policies.size, floats.size, ints.size, values.size, feed.shape[1], said.shape[1],
        )  # fmt: skip
        addresses = [detector.context, *(array.ctypes.data for array in detector.arrays)]
        detector.place = np.array([*addresses, *sizes], np.int64)
    return detector.place
