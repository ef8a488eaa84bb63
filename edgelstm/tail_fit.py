"""Tails fitted to a history at once: generalised Pareto by moments, and the level that is rarely exceeded."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgelstm.detector_settings import Evidence
from edgelstm.kernels.detection.tail import LARGEST_SHAPE, LONGEST_RUN

Floats = NDArray[np.float64]

FEWEST_EXCESSES = 20
LARGEST_FIT_FRACTION = 0.1
PEAK_FRACTION = 0.2
SETTLING = 100
PRIOR_EXCESS, PRIOR_COUNT = 0.5, 20
"""What is believed of a score before a history is seen: -log10 p falls off tenfold by 1, a mean excess of 0.43 and
a little more for what follows closely on itself; it weighs as much as this many excesses."""


def fit(
    signal: Floats, fraction: float, least_threshold: float, least_mean: float, weight: float = 1.0
) -> Evidence:
    """Return the tail that holds `fraction` of a signal; NaN is left out.

    Where the history is too short to have FEWEST_EXCESSES in that tail, a wider one is fitted and extrapolated.
    """
    seen = signal[np.isfinite(signal)]
    if seen.size == 0:
        return Evidence(
            weight=weight,
            threshold=least_threshold,
            mean_excess=least_mean,
            mean_square=2.0 * least_mean**2,
        )
    wide = min(max(fraction, FEWEST_EXCESSES / seen.size), max(LARGEST_FIT_FRACTION, fraction))
    start = float(np.quantile(seen, 1.0 - wide))
    mean, shape = _moments(_peaks(seen, start))
    scale = mean * (1.0 - shape)
    ratio = wide / fraction
    further = scale * np.log(ratio) if shape < 1e-6 else scale * (ratio**shape - 1.0) / shape
    mean = max(mean + shape * further / (1.0 - shape), least_mean)
    return Evidence(
        weight=weight,
        threshold=max(start + float(further), least_threshold),
        mean_excess=float(mean),
        mean_square=float(mean**2 * 2.0 * (1.0 - shape) / (1.0 - 2.0 * shape)),
    )


def beyond(
    signal: Floats, reach: float, least_threshold: float, least_mean: float, weight: float = 1.0
) -> Evidence:
    """Return a tail that begins at the largest of a signal, with `reach` of it as mean excess; NaN is left out.

    What a history has shown once is then nothing to speak of, and what is beyond it counts by how many times: a measure
    that holds for signals too bursty, and histories too short, to tell rare values by their frequency. The first
    SETTLING samples are left out, in which network and means find their places.
    """
    seen = signal[np.isfinite(signal)]
    seen = seen[min(SETTLING, seen.size // 4) :]
    largest = max(float(seen.max()) if seen.size else 0.0, least_threshold)
    mean = max(reach * largest, least_mean)
    return Evidence(weight=weight, threshold=largest, mean_excess=mean, mean_square=2.0 * mean * mean)


def _peaks(signal: Floats, start: float) -> Floats:
    """Return by how much each run above `start` exceeds it at its peak, as `learn_tail` counts them."""
    above = np.flatnonzero(signal > start)
    if above.size == 0:
        return np.zeros(0)
    first = np.flatnonzero(np.diff(above, prepend=-2) > 1)
    runs = np.split(above, first[1:])
    cuts = [run[n : n + int(LONGEST_RUN)] for run in runs for n in range(0, run.size, int(LONGEST_RUN))]
    return np.array([signal[cut].max() for cut in cuts]) - start


def _moments(excesses: Floats) -> tuple[float, float]:
    """Return mean and shape of a tail, by moments, the shape between exponential and LARGEST_SHAPE."""
    if excesses.size == 0:
        return 0.0, 0.0
    mean, variance = float(excesses.mean()), float(excesses.var())
    if variance <= 0.0:
        return mean, 0.0
    return mean, min(max(0.5 * (1.0 - mean * mean / variance), 0.0), LARGEST_SHAPE)


def kth_largest(scores: Floats, k: int, window: int) -> Floats:
    """Return, for each score, the k-th largest of the last `window`: what a threshold has to be below to raise."""
    if scores.size < window:
        return np.zeros(0)
    windows = np.lib.stride_tricks.sliding_window_view(scores, window)
    blocks = [
        np.partition(windows[first : first + 65_536], window - k, axis=1)[:, window - k]
        for first in range(0, len(windows), 65_536)
    ]
    return np.concatenate(blocks)


def return_level(raising: Floats, block: int, samples: float) -> tuple[float, bool]:
    """Return the level exceeded once in `samples` samples, in runs that count as one, and whether it is extrapolated.

    Maxima of blocks of `block` samples stand for the runs. A level that the history has exceeded often enough
    is read from it; beyond, it is that of an exponential or heavier tail over the upper fifth of the maxima.
    """
    count = raising.size // block
    if count < 5:
        return (float(raising.max()) if raising.size else 0.0), True
    maxima = raising[: count * block].reshape(count, block).max(axis=1)
    wanted = block / samples  # per block
    if wanted * count >= 10.0:
        return float(np.quantile(maxima, 1.0 - min(wanted, 1.0))), False
    start = float(np.quantile(maxima, 1.0 - PEAK_FRACTION))
    excesses = maxima[maxima > start] - start
    _, shape = _moments(excesses) if excesses.size >= PRIOR_COUNT else (0.0, 0.0)
    mean = (float(excesses.sum()) + PRIOR_COUNT * PRIOR_EXCESS) / (excesses.size + PRIOR_COUNT)
    ratio = max(PEAK_FRACTION / wanted, 1.0)
    scale = mean * (1.0 - shape)
    level = start + (scale * np.log(ratio) if shape < 1e-6 else scale * (ratio**shape - 1.0) / shape)
    return float(level), wanted * count < 1.0
