"""What values would have been no surprise, sample by sample: the band that a signal holds against a channel."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edgelstm.detector import Detector
from edgelstm.kernels.detection import layout as at
from edgelstm.kernels.detection import season
from edgelstm.kernels.detection.spread import error_scale, level_scale

SIGMAS_OF_FORECAST = at.SIGMAS_OF_BAND


def over(
    detector: Detector, times_ns: NDArray[np.int64], values: NDArray[np.float32], spoke: Sequence[str]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Push a window; return what was judged, (samples, channels), and its band, (2, samples, channels); NaN where nothing was.

    spoke  for each channel the signal whose band it is

    A value is judged by the forecast's band or by all that was seen, a mean of the last values by the level's or the season's. The
    band is where the signal is below its tail, as some 99 of 100 normal samples are.
    """
    judged = np.full(values.shape, np.nan)
    bands = np.full((2, *values.shape), np.nan)
    rebuilds = bool(detector._policies[at.REBUILDS])
    for t in range(len(values)):
        before = _words(detector).copy()
        verdicts = detector.push_block(times_ns[t : t + 1], values[t : t + 1])
        if not np.isfinite(verdicts.scores[0]):
            continue
        if rebuilds:
            before[:, at.FORECAST] = _words(detector)[:, at.FORECAST]
        for c, signal in enumerate(spoke):
            if np.isfinite(values[t, c]):
                found = _band(detector, c, signal, before[c], int(times_ns[t]), float(values[t, c]))
                judged[t, c], bands[0, t, c], bands[1, t, c] = found
    return judged, bands


def _band(
    detector: Detector, c: int, signal: str, before: NDArray[np.float64], time_ns: int, x: float
) -> tuple[float, float, float]:
    """Return what is judged of channel `c` and its band; `before` are its words as they were before the sample."""
    channel = detector._constants[at.FIRST_CHANNEL_CONSTANT + c * at.CHANNEL_CONSTANTS :]
    state = detector._floats[at.FIRST_CHANNEL_WORD + c * at.CHANNEL_WORDS :]
    tail = before[at.FIRST_TAIL + at.SIGNALS.index(signal) * at.TAIL_WORDS + at.TAIL_THRESHOLD]
    policies = detector._policies
    if signal in ("error", "error_mean"):
        scales = tail if signal == "error" else SIGMAS_OF_FORECAST
        return _around(before[at.FORECAST], scales * error_scale(channel, before), x)
    if signal == "level":
        return _around(state[at.LONG_MEAN], tail * level_scale(channel, before), state[at.SHORT_MEAN])
    if signal == "season" and policies[at.SEASON_BINS]:
        bins = int(policies[at.SEASON_BINS])
        first = len(detector._floats) - (len(detector.channel_names) - c) * bins
        middle = detector._floats[first + season.bin_of(time_ns, int(policies[at.SEASON_NS]), bins)]
        scale = season.scale(channel, before)
        return _around(middle, tail * scale, middle + state[at.SEASON_MEAN] * scale)
    if signal == "novelty":
        return x, float(before[at.LOWEST_SEEN]), float(before[at.HIGHEST_SEEN])
    return x, float("nan"), float("nan")


def _around(middle: float, half: float, judged: float) -> tuple[float, float, float]:
    return float(judged), float(middle - half), float(middle + half)


def _words(detector: Detector) -> NDArray[np.float64]:
    count = len(detector.channel_names)
    own = detector._floats[at.FIRST_CHANNEL_WORD : at.FIRST_CHANNEL_WORD + count * at.CHANNEL_WORDS]
    return own.reshape(count, at.CHANNEL_WORDS)
