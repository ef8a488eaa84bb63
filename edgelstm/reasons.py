"""The reasons of a verdict: for every channel what was judged, what is usual, its share, and a sentence that says so."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from edgelstm.alert import ChannelReason
from edgelstm.detector_settings import SIGNALS, DetectorSettings
from edgelstm.kernels.detection import layout as at
from edgelstm.signal_words import MISSING, NOT_JUDGED, Shown, judge
from edgelstm.words import number

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def of_detector(
    settings: DetectorSettings, floats: Floats, ints: Ints, rebuilds: bool, found: Floats
) -> tuple[ChannelReason, ...]:
    """Return the reasons of all channels, the largest share first, after a sample that was explained.

    floats, ints  the state: `kernels/detection/layout.py`
    rebuilds      whether the network rebuilds the sample that it is given
    found         float64 (channels, at.REASON_WORDS)
    """
    words, own = channels_of(settings, floats, ints)
    reasons = []
    for c, (channel, said) in enumerate(zip(settings.channels, found.tolist(), strict=True)):
        value, expected, band, share = (said[place] for place in (at.VALUE, at.EXPECTED, at.BAND, at.SHARE))
        known = value if math.isfinite(value) else None
        if said[at.STRONGEST_SHARE] <= 0.0:
            reasons.append(
                ChannelReason(
                    name=channel.name, value=known, expected=expected, low=expected - band, high=expected + band,
                    share=share, says=MISSING if known is None else NOT_JUDGED,
                )
            )  # fmt: skip
            continue
        signal = SIGNALS[int(said[at.STRONGEST])]
        tail = float(words[c, at.FIRST_TAIL + at.SIGNALS.index(signal) * at.TAIL_WORDS + at.TAIL_THRESHOLD])
        judged = judge(
            signal,
            Shown(
                value, expected, band / at.SIGMAS_OF_BAND, words[c], own[c], tail, channel.longest_repeat,
                settings, rebuilds,
            ),
        )  # fmt: skip
        reasons.append(
            ChannelReason(
                name=channel.name, value=known, judged=judged.judged, expected=judged.expected, low=judged.low,
                high=judged.high, share=share, signal=signal, signal_share=said[at.STRONGEST_SHARE], says=judged.says,
            )
        )  # fmt: skip
    return _largest_first(reasons)


def of_device(
    names: Sequence[str], values: Sequence[float], found: Sequence[Sequence[float]]
) -> tuple[ChannelReason, ...]:
    """Return the reasons that a device gave, whose frames say neither the signal nor what it judged.

    found  expected, half the band, share of each
    """
    reasons = []
    for name, value, (expected, band, share) in zip(names, values, found, strict=True):
        low, high = expected - band, expected + band
        known = value if math.isfinite(value) else None
        reasons.append(
            ChannelReason(
                name=name, value=known, expected=expected, low=low, high=high, share=share,
                says=_of_device(known, low, high),
            )
        )  # fmt: skip
    return _largest_first(reasons)


def _of_device(value: float | None, low: float, high: float) -> str:
    if value is None:
        return MISSING
    said, least, largest = (number(one, high - low) for one in (value, low, high))
    if low <= value <= high:
        return f"is {said}, by itself within {least} to {largest}: its last values together are not as usual"
    return f"is {said}, expected {least} to {largest}"


def channels_of(settings: DetectorSettings, floats: Floats, ints: Ints) -> tuple[Floats, Ints]:
    """Return the words of every channel, float64 (channels, words) and int64 (channels, words), of a detector's state."""
    count = len(settings.channels)
    words = floats[at.FIRST_CHANNEL_WORD : at.FIRST_CHANNEL_WORD + count * at.CHANNEL_WORDS]
    own = ints[at.FIRST_CHANNEL_INT : at.FIRST_CHANNEL_INT + count * at.CHANNEL_INTS]
    return words.reshape(count, at.CHANNEL_WORDS), own.reshape(count, at.CHANNEL_INTS)


def _largest_first(reasons: Iterable[ChannelReason]) -> tuple[ChannelReason, ...]:
    return tuple(sorted(reasons, key=lambda reason: -reason.share))
