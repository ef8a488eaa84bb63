"""What values would have been no surprise, sample by sample: the band that a signal holds against a channel."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edgelstm.detector import Detector
from edgelstm.kernels.detection import layout as at
from edgelstm.kernels.detection import season
from edgelstm.kernels.detection.spread import error_scale, level_scale
from edgelstm.reasons import channels_of
from edgelstm.signal_words import Judgement, Shown, judge


def over(
    detector: Detector, times_ns: NDArray[np.int64], values: NDArray[np.float32], spoke: Sequence[str]
) -> tuple[NDArray[np.float64], NDArray[np.float64], list[dict[str, Judgement]]]:
    """Push a window; return what was judged, (samples, channels), and its band, (2, samples, channels), NaN where nothing was,
    and how each signal that a channel showed at the end judged it.

    spoke  for each channel the signal whose band it is

    A value is judged by the forecast's band or by all that was seen, a mean of the last values by the level's or the season's. The
    band is where the signal is below its tail, as some 99 of 100 normal samples are.
    """
    judged = np.full(values.shape, np.nan)
    bands = np.full((2, *values.shape), np.nan)
    last: list[dict[str, Judgement]] = [{} for _ in spoke]
    for t in range(len(values)):
        before = detector._floats.copy()
        verdicts = detector.push_block(times_ns[t : t + 1], values[t : t + 1])
        if not np.isfinite(verdicts.scores[0]):
            continue
        for c, signal in enumerate(spoke):
            if not np.isfinite(values[t, c]):
                continue
            found = judge(
                signal, shown_of(detector, c, signal, before, int(times_ns[t]), float(values[t, c]))
            )
            judged[t, c] = values[t, c] if found.judged is None else found.judged
            if found.low is not None and found.high is not None:
                bands[:, t, c] = found.low, found.high
            if t == len(values) - 1:
                last[c] = {
                    name: judge(
                        name, shown_of(detector, c, name, before, int(times_ns[t]), float(values[t, c]))
                    )
                    for name in detector.settings.channels[c].evidence
                }
    return judged, bands, last


def shown_of(
    detector: Detector, c: int, signal: str, before: NDArray[np.float64], time_ns: int, x: float
) -> Shown:
    """Return what a signal of channel `c` showed at the newest sample; `before` is the state's float64 half before it."""
    settings, policies = detector.settings, detector._policies
    channel = detector._constants[at.FIRST_CHANNEL_CONSTANT + c * at.CHANNEL_CONSTANTS :]
    words, own = (one[c].copy() for one in channels_of(settings, detector._floats, detector._ints))
    was = channels_of(settings, before, detector._ints)[0][c]
    words[at.LOWEST_SEEN], words[at.HIGHEST_SEEN] = was[at.LOWEST_SEEN], was[at.HIGHEST_SEEN]
    rebuilds = bool(policies[at.REBUILDS])
    if signal in ("error", "error_mean"):
        expected, scale = (words if rebuilds else was)[at.FORECAST], error_scale(channel, was)
    elif signal == "season" and policies[at.SEASON_BINS]:
        bins = int(policies[at.SEASON_BINS])
        first = len(before) - (len(settings.channels) - c) * bins
        expected = before[first + season.bin_of(time_ns, int(policies[at.SEASON_NS]), bins)]
        scale = season.scale(channel, was)
    else:
        expected, scale = was[at.LONG_MEAN], level_scale(channel, was)
    tail = was[at.FIRST_TAIL + at.SIGNALS.index(signal) * at.TAIL_WORDS + at.TAIL_THRESHOLD]
    return Shown(
        x,
        float(expected),
        float(scale),
        words,
        own,
        float(tail),
        settings.channels[c].longest_repeat,
        settings,
        rebuilds,
    )
