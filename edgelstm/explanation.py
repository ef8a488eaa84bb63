"""Why a detector said what it said of one sample: its signals, what past samples added, and what went on inside."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgelstm import explanation_bands
from edgelstm.detector import Detector
from edgelstm.detector_settings import SIGNALS
from edgelstm.errors import UsageError
from edgelstm.kernels.detection import layout as at
from edgelstm.kernels.detection.tail import surprise
from edgelstm.reference import operations as op
from edgelstm.reference import step
from edgelstm.reference.activations import sigmoid, tanh
from edgelstm.signal_words import Judgement
from edgelstm.stream import LoadedModel
from edgelstm.verdict import Verdict

Floats = NDArray[np.float64]
twin: Any = step

_LSTM_WORDS = {op.LSTM_CELL: (0, 1, 2), op.LSTM_LAYER: (0, 11, 10)}
"""Which words of an operation are stride, pre-activations and cell."""

PARTS = 12
"""Stretches of the window that are occluded one after another."""


@dataclass(frozen=True, slots=True, eq=False)
class Explanation:
    """What is known of one sample, and of the window that ends with it.

    times_ns   int64   (samples,)            of the window
    values     float32 (samples, channels)   of the window; not finite where missing
    spoke      (channels,)                   the signal that says most of the channel at the end
    judged     (samples, channels)           what that signal judges: the value, or a mean of the last values
    bands      (2, samples, channels)        where that is no surprise; NaN before there are verdicts, or where the signal has no band
    judgements (channels,)                   how each signal that the channel has judged it at the end, by name; none of what is missing
    surprises  (channels, signals)           -log10 p of each at the end; NaN where a channel does not have it
    weights    (channels, signals)           of each surprise in the score
    occluded   (channels, parts)             by how much the score falls where that part of the window is what was expected
    gates      {layer: (4, samples, units)}  i, f, g, o of every LSTM layer over the window, for the network's first stream
    cells      {layer: (samples, units)}     its cell
    """

    verdict: Verdict
    times_ns: NDArray[np.int64]
    values: NDArray[np.float32]
    spoke: list[str]
    judged: Floats
    bands: Floats
    judgements: list[dict[str, Judgement]]
    surprises: Floats
    weights: Floats
    occluded: Floats
    gates: dict[str, Floats]
    cells: dict[str, Floats]


def explain(
    loaded: LoadedModel,
    detector: Detector,
    times_ns: NDArray[np.int64],
    values: NDArray[np.float32],
) -> Explanation:
    """Explain the verdict on the last sample of a window.

    detector  has taken in all that was before the window, and is left as it is after it
    times_ns  int64   (samples,)
    values    float32 (samples, channels)

    Raises UsageError where there is no verdict on that sample.
    """
    before = detector.snapshot()
    gates, cells = _look_inside(loaded, detector, times_ns, values)
    detector.restore(before)
    score, verdict = _last(detector, times_ns, values)
    if verdict is None:
        raise UsageError(
            f"there is no verdict on that sample: it was in the warm-up of {detector.settings.warm_up} samples, "
            "late, or left out by policy"
        )
    surprises, weights = _surprises(detector)
    spoke = [SIGNALS[n] for n in np.nan_to_num(weights * surprises, nan=-1.0).argmax(axis=1)]
    occluded = _occlude(detector, before, times_ns, values, score)
    detector.restore(before)
    judged, bands, judgements = explanation_bands.over(detector, times_ns, values, spoke)
    return Explanation(
        verdict,
        times_ns,
        values,
        spoke,
        judged,
        bands,
        judgements,
        surprises,
        weights,
        occluded,
        gates,
        cells,
    )


def _last(
    detector: Detector, times_ns: NDArray[np.int64], values: NDArray[np.float32]
) -> tuple[float, Verdict | None]:
    from edgelstm.sample import Sample

    detector.push_block(times_ns[:-1], values[:-1])
    verdict = detector.push(Sample(values[-1], int(times_ns[-1])))
    return (0.0 if verdict is None else verdict.score), verdict


def _surprises(detector: Detector) -> tuple[Floats, Floats]:
    """Return what every signal of every channel said of the last sample, by the tails as they are after it, and its weight."""
    found = np.full((len(detector.channel_names), len(SIGNALS)), np.nan)
    weights = np.zeros(found.shape)
    for c in range(len(found)):
        constants = detector._constants[at.FIRST_CHANNEL_CONSTANT + c * at.CHANNEL_CONSTANTS :]
        state = detector._floats[at.FIRST_CHANNEL_WORD + c * at.CHANNEL_WORDS :]
        shown = int(detector._ints[at.FIRST_CHANNEL_INT + c * at.CHANNEL_INTS + at.SHOWN])
        for n in range(len(SIGNALS)):
            weights[c, n] = constants[at.FIRST_WEIGHT + n]
            if weights[c, n] > 0.0 and shown >> n & 1:
                tail = at.FIRST_TAIL + n * at.TAIL_WORDS
                found[c, n] = surprise(state[at.FIRST_SIGNAL + n], detector._constants, state, tail)
    return found, weights


def _occlude(
    detector: Detector,
    before: bytes,
    times_ns: NDArray[np.int64],
    values: NDArray[np.float32],
    score: float,
) -> Floats:
    """Return by how much the score at the end falls where one channel, for one part of the window, is its long mean.

    (Occlusion: Zeiler and Fergus 2014, arXiv 1311.2901, over time.) It is the detector itself that is asked again.
    """
    parts = np.array_split(np.arange(len(values)), min(PARTS, len(values)))
    detector.restore(before)
    own = detector._floats[at.FIRST_CHANNEL_WORD : at.FIRST_CHANNEL_WORD + values.shape[1] * at.CHANNEL_WORDS]
    expected = own.reshape(-1, at.CHANNEL_WORDS)[:, at.LONG_MEAN].copy()
    found = np.zeros((values.shape[1], len(parts)))
    for c in range(values.shape[1]):
        for p, part in enumerate(parts):
            changed = values.copy()
            changed[part, c] = expected[c]
            detector.restore(before)
            found[c, p] = score - _last(detector, times_ns, changed)[0]
    return found


def _look_inside(
    loaded: LoadedModel, detector: Detector, times_ns: NDArray[np.int64], values: NDArray[np.float32]
) -> tuple[dict[str, Floats], dict[str, Floats]]:
    """Step the network's twin, which keeps its gates, beside the detector; read them and the cells after every sample."""
    program = loaded.program
    state = detector._network[:1].copy()
    scratch = program.new_scratch()
    context, _owner = twin.bind(program.words, state, scratch)
    said = np.zeros((1, loaded.outputs), np.float32)
    layers = _lstm_operations(loaded)
    gates: dict[str, list[Floats]] = {name: [] for name in layers}
    cells: dict[str, list[Floats]] = {name: [] for name in layers}
    for t in range(len(values)):
        detector.push_block(times_ns[t : t + 1], values[t : t + 1])
        feed = np.ascontiguousarray(detector._feed[:1])
        twin.execute_block(context, feed, said)
        for name, (stride, z_at, cell_at, units) in layers.items():
            z = scratch[0, z_at : z_at + 4 * stride].astype(np.int64).reshape(4, stride)[:, :units]
            i, f, o = (sigmoid(z[n]) / 2.0**31 for n in (0, 1, 3))
            gates[name].append(np.stack([i, f, tanh(z[2]) / 2.0**30, o]))
            cells[name].append(state[0, cell_at : cell_at + units] / 2.0**23)
    return (
        {name: np.stack(steps, axis=1) for name, steps in gates.items()},
        {name: np.stack(steps) for name, steps in cells.items()},
    )


def _lstm_operations(loaded: LoadedModel) -> dict[str, tuple[int, int, int, int]]:
    """Return, for every plain LSTM layer, stride, pre-activations and cell in the program, and its units."""
    words = loaded.program.words
    table = words[op.FIRST_OPERATION :][: int(words[op.OPERATION_COUNT]) * op.OPERATION_WORDS]
    found = [
        [int(of[word]) for word in _LSTM_WORDS[kind]]
        for kind, *of in table.reshape(-1, op.OPERATION_WORDS)
        if kind in _LSTM_WORDS
    ]
    layers = [layer for layer in loaded.model.layers if layer.kind == "lstm"]
    if len(layers) != len(found):
        return {}
    return {
        layer.name: (stride, z, cell, layer.units)
        for layer, (stride, z, cell) in zip(layers, found, strict=True)
    }
