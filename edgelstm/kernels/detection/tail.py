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

FLOORS = (
    (1.5, 0.15),  # error
    (1.0, 0.04),  # error_mean
    (0.5, 0.05),  # level
    (0.5, 0.05),  # season
    (0.02, 0.03),  # novelty
    (1.0, 0.25),  # repeat
    (4.0, 0.6),  # logit
    (1.5, 0.15),  # spread
)
"""Least threshold and mean excess of every signal: for a channel so quiet, or a history so short, that its tail would
otherwise be a point."""


@njit(inlined=True)
def surprise(signal, constants, state, at):
    """Return -log10 of the probability of a signal >= 0 this large, at most CAP, by the tail at state[at].

    Below the tail it is only interpolated, 0 at 0 and rising as a square to the surprise where the tail begins.
    """
    if signal == 0.0:  # most of the time a value is no novelty and no repetition: the division is saved
        return 0.0
    if signal <= state[at + TAIL_THRESHOLD]:
        ratio = signal / state[at + TAIL_THRESHOLD]
        return constants[TAIL_SURPRISE] * (ratio * ratio)
    excess, mean = signal - state[at + TAIL_THRESHOLD], state[at + TAIL_MEAN]
    return _beyond(excess, mean, state[at + TAIL_SQUARE], constants[TAIL_SURPRISE])


@njit
def _beyond(excess, mean, mean_square, surprise_there):
    """Return the surprise of what exceeds a threshold, where it is `surprise_there`: rare, and so not put into its callers."""
    square = mean * mean
    variance = mean_square - square
    shape = LARGEST_SHAPE
    if variance > 0.0:
        shape = 0.5 * (1.0 - square / variance)
    shape = min(max(shape, 0.0), LARGEST_SHAPE)
    scaled = excess / (mean * (1.0 - shape))
    if shape < SMALLEST_SHAPE:
        result = surprise_there + scaled / _LN_10
    else:
        result = surprise_there + log10(1.0 + shape * scaled) / shape
    return min(result, CAP)


@njit(inlined=True)
def learn_tail(signal, constants, state, at, least_threshold, least_mean):
    """Move the tail at state[at] by one sample, in place.

    What exceeds the threshold in a row is one run and is learned once, by its peak, when it ends: signals follow
    closely on themselves, and a fault must not be in the tail before it has raised an alert.
    """
    mean = state[at + TAIL_MEAN]
    if signal > state[at + TAIL_THRESHOLD]:
        state[at + TAIL_PEAK] = max(state[at + TAIL_PEAK], signal - state[at + TAIL_THRESHOLD])
        state[at + TAIL_RUN] = state[at + TAIL_RUN] + 1.0
        state[at + TAIL_THRESHOLD] = state[at + TAIL_THRESHOLD] + constants[TAIL_RISE] * mean
        if state[at + TAIL_RUN] < LONGEST_RUN:
            return
    else:
        state[at + TAIL_THRESHOLD] = max(
            state[at + TAIL_THRESHOLD] - constants[TAIL_DRIFT] * mean, least_threshold
        )
        if state[at + TAIL_RUN] == 0.0:
            return
    excess = min(state[at + TAIL_PEAK], LARGEST_EXCESS * mean)
    state[at + TAIL_MEAN] = max(mean + (excess - mean) * constants[TAIL_GAIN], least_mean)
    state[at + TAIL_SQUARE] = (
        state[at + TAIL_SQUARE] + (excess * excess - state[at + TAIL_SQUARE]) * constants[TAIL_GAIN]
    )
    forget_run(state, at)


@njit(inlined=True)
def forget_run(state, at):
    """Leave the run that is going on out of the tail."""
    state[at + TAIL_PEAK], state[at + TAIL_RUN] = 0.0, 0.0
