"""The short mean of a channel against its long mean, scaled by the running deviation."""

from edgelstm.kernels.compiled import njit
from edgelstm.kernels.detection.layout import (
    FIRST_SIGNAL,
    LEVEL,
    LONG_COUNT,
    LONG_GAIN,
    LONG_MEAN,
    SHORT_COUNT,
    SHORT_GAIN,
    SHORT_MEAN,
    VARIANCE,
)
from edgelstm.kernels.detection.spread import LARGEST_ERROR, clip, level_scale

LARGEST_STEP = 20.0
CLEARLY_WITHIN = LARGEST_ERROR * LARGEST_ERROR - 1.0
"""A square below so many variances is that of a difference within LARGEST_ERROR scales, however it is rounded."""


@njit(inlined=True)
def gain_of(gain, count):
    """Return the weight of the newest of `count` values: a plain mean until the memory of `gain` is full."""
    return gain if gain * count >= 1.0 else 1.0 / count


@njit(inlined=True)
def observe(constants, channel, state, own, x, frozen):
    """Bring the short mean and the level difference up to a value.

    The first value is where the long mean begins; `frozen`, it begins at the calibrated mean: a detector that
    takes over an open alert without a state of its own must not take the fault for normal.
    """
    scale = level_scale(channel, state)
    if own[LONG_COUNT] == 0 and not frozen:
        state[LONG_MEAN] = x
    if own[SHORT_COUNT] == 0:
        state[SHORT_MEAN] = state[LONG_MEAN]
    own[SHORT_COUNT] += 1
    within = state[LONG_MEAN] + clip(x - state[LONG_MEAN], LARGEST_STEP * scale)
    gain = gain_of(constants[SHORT_GAIN], own[SHORT_COUNT])
    state[SHORT_MEAN] = state[SHORT_MEAN] + gain * (within - state[SHORT_MEAN])
    state[FIRST_SIGNAL + LEVEL] = abs(state[SHORT_MEAN] - state[LONG_MEAN]) / scale


@njit(inlined=True)
def _within(away, channel, state):
    """Return a difference brought to LARGEST_ERROR scales; where it clearly is less, without the square root."""
    if away * away <= CLEARLY_WITHIN * state[VARIANCE]:
        return away
    return clip(away, LARGEST_ERROR * level_scale(channel, state))


@njit(inlined=True)
def learn_mean(constants, channel, state, own, x):
    """Move the long mean by one value: all that is learned while the network warms up."""
    own[LONG_COUNT] += 1
    step = _within(x - state[LONG_MEAN], channel, state)
    state[LONG_MEAN] = state[LONG_MEAN] + gain_of(constants[LONG_GAIN], own[LONG_COUNT]) * step


@njit(inlined=True)
def learn(constants, channel, state, own, x):
    """Move the long mean and the variance about it by one value that is taken for normal."""
    own[LONG_COUNT] += 1
    away = _within(x - state[LONG_MEAN], channel, state)
    state[LONG_MEAN] = state[LONG_MEAN] + gain_of(constants[LONG_GAIN], own[LONG_COUNT]) * away
    state[VARIANCE] = state[VARIANCE] + constants[LONG_GAIN] * (away * away - state[VARIANCE])
