"""The season of a history: the period whose bins foretell the second half of it from the first."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

DAY_NS, WEEK_NS = 86_400 * 10**9, 604_800 * 10**9
FEWEST_DAYS, FEWEST_CYCLES = 2.0, 6.0
"""How often a season has to be seen to be believed: a day or a week is expected, any other length may be chance."""

FEWEST_SAMPLES_OF_A_BIN = 1.0
LEAST_FORETOLD = 0.25
"""Share of the variance of the second half that a season has to explain to be believed."""

MOST_LAGS = 4096


def find(times_ns: Ints, values: NDArray[np.float32], bins: int) -> int:
    """Return the length in ns of the season that most channels share, 0 where there is none to be seen.

    times_ns  int64   (samples,)
    values    float32 (samples, channels), NaN where missing
    """
    span = int(times_ns[-1] - times_ns[0])
    steps = np.diff(times_ns)
    period = int(np.median(steps[steps > 0]))
    best, most = 0, 0.0
    for season in sorted({DAY_NS, WEEK_NS, *_by_correlation(values, period)}):
        cycles = FEWEST_DAYS if season in (DAY_NS, WEEK_NS) else FEWEST_CYCLES
        if span < cycles * season or season < bins * period * FEWEST_SAMPLES_OF_A_BIN:
            continue
        foretold = [explained(times_ns, column, season, bins) for column in values.T]
        total = sum(part for part in foretold if part > LEAST_FORETOLD)
        if total > 1.05 * most:  # a shorter one that explains as much is the season itself
            best, most = season, total
    return best


def explained(times_ns: Ints, column: NDArray[np.float32], season_ns: int, bins: int) -> float:
    """Return which share of the variance of the second half the first half's bin means explain; 0 at least."""
    seen = np.isfinite(column)
    values, places = column[seen].astype(np.float64), (times_ns[seen] % season_ns) * bins // season_ns
    half = values.size // 2
    if half < 2 * bins or values[half:].var() <= 0.0:
        return 0.0
    means = bin_means(values[:half], places[:half], bins)
    left = values[half:] - means[places[half:]]
    return max(0.0, 1.0 - float(left.var() / values[half:].var()))


def bin_means(values: Floats, places: Ints, bins: int) -> Floats:
    """Return the mean of the values in each bin; of all values where a bin has none."""
    counts = np.bincount(places, minlength=bins)
    sums = np.bincount(places, weights=values, minlength=bins)
    return np.where(counts > 0, sums / np.maximum(counts, 1), values.mean() if values.size else 0.0)


def _by_correlation(values: NDArray[np.float32], period_ns: int) -> list[int]:
    """Return, for each channel, the lag of the highest peak of its autocorrelation, as a length of time."""
    found = []
    for column in values.T:
        x = (
            np.nan_to_num(column.astype(np.float64) - np.nanmean(column))
            if np.isfinite(column).any()
            else None
        )
        if x is None or not x.any():
            continue
        spectrum = np.fft.rfft(x, 2 * x.size)
        lags = np.fft.irfft(spectrum * spectrum.conj())[: min(x.size // 2, MOST_LAGS)]
        below = np.flatnonzero(lags < 0.0)
        if below.size and below[0] + 2 < lags.size:
            peak = int(below[0] + np.argmax(lags[below[0] :]))
            if lags[peak] > 0.2 * lags[0]:
                found.append(peak * period_ns)
    return found
