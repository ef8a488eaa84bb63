"""How unlikely a signal is: peaks over a threshold, a generalised Pareto tail by moments, exponential memory.

A tail is its threshold, mean and mean square of the peaks that exceed it, and the run that is going on.
"""

from edgelstm.kernels.compiled import njit
from edgelstm.kernels.detection.layout import (
    TAIL_DRIFT,
    TAIL_GAIN,
    TAIL_MEAN,
    TAIL_PEAK,
    TAIL_RISE,
    TAIL_RUN,
    TAIL_SQUARE,
    TAIL_SURPRISE,
    TAIL_THRESHOLD,
)
from edgelstm.kernels.detection.logarithm import log10

LARGEST_SHAPE = 0.45
SMALLEST_SHAPE = 1e-4
"""Below it the tail is exponential: the difference is in the fifth digit, and the quotient would lose more."""

CAP = 8.0
LARGEST_EXCESS = 10.0
LONGEST_RUN = 64.0
_LN_10 = 2.302585092994046

FLOORS = ((1.5, 0.15), (1.0, 0.04), (0.5, 0.05))
"""Least threshold and mean excess of the scaled error, of its mean and of the level: for a channel so quiet, or
a history so short, that its tail would otherwise be a point."""


@njit
def surprise(signal, constants, tail):
    """Return -log10 of the probability of a signal >= 0 this large, at most CAP.

    Below the tail it is only interpolated, 0 at 0 and rising as a square to the surprise where the tail begins.
    """
    if signal <= tail[TAIL_THRESHOLD]:
        ratio = signal / tail[TAIL_THRESHOLD]
        return constants[TAIL_SURPRISE] * (ratio * ratio)
    excess, mean = signal - tail[TAIL_THRESHOLD], tail[TAIL_MEAN]
    square = mean * mean
    variance = tail[TAIL_SQUARE] - square
    shape = LARGEST_SHAPE
    if variance > 0.0:
        shape = 0.5 * (1.0 - square / variance)
    shape = min(max(shape, 0.0), LARGEST_SHAPE)
    scaled = excess / (mean * (1.0 - shape))
    if shape < SMALLEST_SHAPE:
        result = constants[TAIL_SURPRISE] + scaled / _LN_10
    else:
        result = constants[TAIL_SURPRISE] + log10(1.0 + shape * scaled) / shape
    return min(result, CAP)


@njit
def learn_tail(signal, constants, tail, least_threshold, least_mean):
    """Move the tail by one sample, in place.

    What exceeds the threshold in a row is one run and is learned once, by its peak, when it ends: signals follow
    closely on themselves, and a fault must not be in the tail before it has raised an alert.
    """
    mean = tail[TAIL_MEAN]
    if signal > tail[TAIL_THRESHOLD]:
        tail[TAIL_PEAK] = max(tail[TAIL_PEAK], signal - tail[TAIL_THRESHOLD])
        tail[TAIL_RUN] = tail[TAIL_RUN] + 1.0
        tail[TAIL_THRESHOLD] = tail[TAIL_THRESHOLD] + constants[TAIL_RISE] * mean
        if tail[TAIL_RUN] < LONGEST_RUN:
            return
    else:
        tail[TAIL_THRESHOLD] = max(tail[TAIL_THRESHOLD] - constants[TAIL_DRIFT] * mean, least_threshold)
        if tail[TAIL_RUN] == 0.0:
            return
    excess = min(tail[TAIL_PEAK], LARGEST_EXCESS * mean)
    tail[TAIL_MEAN] = max(mean + (excess - mean) * constants[TAIL_GAIN], least_mean)
    tail[TAIL_SQUARE] = tail[TAIL_SQUARE] + (excess * excess - tail[TAIL_SQUARE]) * constants[TAIL_GAIN]
    forget_run(tail)


@njit
def forget_run(tail):
    """Leave the run that is going on out of the tail."""
    tail[TAIL_PEAK], tail[TAIL_RUN] = 0.0, 0.0
