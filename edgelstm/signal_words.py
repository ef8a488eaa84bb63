"""What one signal of a channel judges, what of it is usual, and a sentence that says both."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgelstm.detector_settings import DetectorSettings
from edgelstm.kernels.detection import layout as at
from edgelstm.words import number, span

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

AS_USUAL = "is as usual"
MISSING = "is missing"
NOT_JUDGED = "is not judged"
_DAY_NS, _WEEK_NS = 86_400 * 10**9, 7 * 86_400 * 10**9


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a signal judged of a channel, and the band that some 99 of 100 normal samples are in.

    judged     the value, or the mean of the last ones; None where the signal judges neither
    expected   of it; low, high: the band
    says       what follows the channel's name in a sentence
    """

    judged: float | None
    expected: float | None
    low: float | None
    high: float | None
    says: str


@dataclass(frozen=True, slots=True, eq=False)
class Shown:
    """One signal of one channel at one sample.

    value            of the channel
    expected, scale  what the signal holds it against, and what it divides by
    words, own       float64 and int64 (words,)  of the channel's state after the sample: `kernels/detection/layout.py`
    tail             where the tail of the signal began
    longest          time in the history that the value stayed the same, in samples
    """

    value: float
    expected: float
    scale: float
    words: Floats
    own: Ints
    tail: float
    longest: int
    settings: DetectorSettings
    rebuilds: bool

    @property
    def half(self) -> float:
        """Half the band."""
        return self.tail * self.scale

    @property
    def from_last(self) -> bool:
        """Whether the last value stands for a forecast: nothing forecasts."""
        return self.settings.network == "apart" and not self.settings.forgetting

    def text(self, value: float) -> str:
        return number(value, self.half)


def judge(signal: str, shown: Shown) -> Judgement:
    """Return what a signal that was shown judged, and how a person says it."""
    found = _JUDGED[signal](shown)
    if shown.words[at.FIRST_SIGNAL + at.SIGNALS.index(signal)] > shown.tail:
        return found
    return Judgement(found.judged, found.expected, found.low, found.high, AS_USUAL)


def _error(shown: Shown) -> Judgement:
    low, high = shown.expected - shown.half, shown.expected + shown.half
    x, band = shown.text(shown.value), f"{shown.text(low)} to {shown.text(high)}"
    if shown.from_last:
        says = f"jumped from {shown.text(shown.expected)} to {x}, a step of at most {number(shown.half, shown.half)} is usual"
    else:
        says = f"is {x}, {'as the network rebuilds it' if shown.rebuilds else 'forecast was'} {band}"
    return Judgement(shown.value, shown.expected, low, high, says)


def _error_mean(shown: Shown) -> Judgement:
    mean = float(shown.words[at.FIRST_SIGNAL + at.MEAN_ERROR]) * shown.scale
    moved = "has moved by" if shown.from_last else "has been off what the network rebuilds by"
    if not shown.from_last and not shown.rebuilds:
        moved = "has been off its forecasts by"
    says = (
        f"{moved} {number(mean, shown.half)}{' a sample' if shown.from_last else ''} on average over the last "
        f"{shown.settings.error_mean_memory} samples, at most {number(shown.half, shown.half)} is usual"
    )
    return Judgement(None, shown.expected, shown.expected - shown.half, shown.expected + shown.half, says)


def _level(shown: Shown) -> Judgement:
    judged = float(shown.words[at.SHORT_MEAN])
    usual = f"its usual {shown.text(shown.expected)}"
    return _of_mean(shown, judged, shown.settings.level_short, usual)


def _season(shown: Shown) -> Judgement:
    judged = shown.expected + float(shown.words[at.SEASON_MEAN]) * shown.scale
    length_ns = shown.settings.season_ns
    when = {_DAY_NS: "this time of day", _WEEK_NS: "this time of the week"}.get(
        length_ns, f"this point of its cycle of {span(length_ns / 1e9)}"
    )
    return _of_mean(shown, judged, shown.settings.season_mean_memory, f"what is usual at {when}")


def _of_mean(shown: Shown, judged: float, samples: int, usual: str) -> Judgement:
    """Return the judgement of a mean over some samples; `usual` is what it is held against, in words."""
    away = judged - shown.expected
    says = (
        f"has been {number(abs(away), shown.half)} {'above' if away > 0.0 else 'below'} {usual} over the last {samples} samples, "
        f"at most {number(shown.half, shown.half)} is usual"
    )
    return Judgement(judged, shown.expected, shown.expected - shown.half, shown.expected + shown.half, says)


def _novelty(shown: Shown) -> Judgement:
    low, high = float(shown.words[at.LOWEST_SEEN]), float(shown.words[at.HIGHEST_SEEN])
    outside = max(shown.value - high, low - shown.value, 0.0)
    step = min([one for one in (outside, high - low) if one > 0.0], default=0.0)
    says = f"is {number(shown.value, step)}, outside all that was seen before ({number(low, step)} to {number(high, step)})"
    return Judgement(shown.value, shown.expected, low, high, says)


def _repeat(shown: Shown) -> Judgement:
    says = (
        f"has been exactly {shown.value:.6g} for {int(shown.own[at.REPEATS]) + 1} samples in a row, at most "
        f"{shown.longest} is usual"
    )
    return Judgement(None, None, None, None, says)


def _logit(shown: Shown) -> Judgement:
    return Judgement(None, None, None, None, "looks to the network itself like a fault")


def _spread(shown: Shown) -> Judgement:
    spread, ratio = float(shown.words[at.NETWORK_SPREAD]), float(shown.words[at.FIRST_SIGNAL + at.SPREAD])
    says = (
        f"is something the network is unsure of: a spread of {number(spread, spread)}, {ratio:.1f} times what it mostly is, "
        f"at most {shown.tail:.1f} times is usual"
    )
    return Judgement(None, None, None, None, says)


_JUDGED: dict[str, Callable[[Shown], Judgement]] = {
    "error": _error,
    "error_mean": _error_mean,
    "level": _level,
    "season": _season,
    "novelty": _novelty,
    "repeat": _repeat,
    "logit": _logit,
    "spread": _spread,
}
