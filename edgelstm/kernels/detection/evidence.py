"""What a channel shows: its forecast error, the mean of that error, and its short mean against its long mean.

An error alone is blind to a level fault, which a forecaster has learned two samples later; the level alone is
blind to a wrong shape. Each is scaled by its own running spread.
"""

from math import sqrt

from edgelstm.kernels.compiled import njit
from edgelstm.kernels.detection.layout import (
    ABSOLUTE_ERROR,
    ADOPTED_COUNT_OF_CHANNEL,
    ADOPTED_MEAN,
    ADOPTED_SPREAD,
    ADOPTED_VARIANCE,
    ERROR_FLOOR,
    ERROR_GAIN,
    ERROR_MEAN,
    ERROR_MEAN_GAIN,
    ERROR_MEAN_TAIL,
    ERROR_SPREAD,
    ERROR_TAIL,
    FORECAST,
    LEVEL,
    LEVEL_FLOOR,
    LEVEL_TAIL,
    LONG_COUNT,
    LONG_GAIN,
    LONG_MEAN,
    SCALED_ERROR,
    SHORT_COUNT,
    SHORT_GAIN,
    SHORT_MEAN,
    VARIANCE,
)
from edgelstm.kernels.detection.tail import FLOORS, forget_run, learn_tail

DEVIATION_OF_SPREAD = 1.2533
"""Standard deviation over mean absolute deviation, for normal errors."""

LARGEST_ERROR = 8.0
LARGEST_SCALED_ERROR = 10.0
LARGEST_STEP = 20.0

(_ERROR_LEAST, _ERROR_LEAST_MEAN), (_MEAN_LEAST, _MEAN_LEAST_MEAN), (_LEVEL_LEAST, _LEVEL_LEAST_MEAN) = FLOORS


@njit
def clip(x, largest):
    """Return x brought to between -largest and largest."""
    return min(max(x, -largest), largest)


@njit
def error_scale(channel, state):
    """Return the spread that the channel's errors are divided by."""
    return max(DEVIATION_OF_SPREAD * state[ERROR_SPREAD], channel[ERROR_FLOOR])


@njit
def level_scale(channel, state):
    """Return the spread that the channel's level differences are divided by."""
    return max(sqrt(state[VARIANCE]), channel[LEVEL_FLOOR])


@njit
def observe_error(constants, channel, state, x):
    """Bring the error and its mean up to a value for which a forecast stands in `state`."""
    error = abs(x - state[FORECAST])
    scaled = error / error_scale(channel, state)
    state[ABSOLUTE_ERROR] = error
    state[SCALED_ERROR] = scaled
    step = min(scaled, LARGEST_SCALED_ERROR) - state[ERROR_MEAN]
    state[ERROR_MEAN] = state[ERROR_MEAN] + constants[ERROR_MEAN_GAIN] * step


@njit
def observe_level(constants, channel, state, ints, x, frozen):
    """Bring the short mean and the level difference up to a value.

    The first value is where the long mean begins; `frozen`, it begins at the calibrated mean: a detector that
    takes over an open alert without a state of its own must not take the fault for normal.
    """
    scale = level_scale(channel, state)
    if ints[LONG_COUNT] == 0 and not frozen:
        state[LONG_MEAN] = x
    if ints[SHORT_COUNT] == 0:
        state[SHORT_MEAN] = state[LONG_MEAN]
    ints[SHORT_COUNT] += 1
    within = state[LONG_MEAN] + clip(x - state[LONG_MEAN], LARGEST_STEP * scale)
    gain = max(constants[SHORT_GAIN], 1.0 / ints[SHORT_COUNT])
    state[SHORT_MEAN] = state[SHORT_MEAN] + gain * (within - state[SHORT_MEAN])
    state[LEVEL] = abs(state[SHORT_MEAN] - state[LONG_MEAN]) / scale


@njit
def learn_mean(constants, channel, state, ints, x):
    """Move the long mean by one value: all that is learned while the network warms up."""
    ints[LONG_COUNT] += 1
    gain = max(constants[LONG_GAIN], 1.0 / ints[LONG_COUNT])
    step = clip(x - state[LONG_MEAN], LARGEST_ERROR * level_scale(channel, state))
    state[LONG_MEAN] = state[LONG_MEAN] + gain * step


@njit
def learn(constants, channel, state, ints, x, has_error):
    """Move the baselines and tails of a channel by one value that is taken for normal."""
    scale = level_scale(channel, state)
    away = clip(x - state[LONG_MEAN], LARGEST_ERROR * scale)
    learn_mean(constants, channel, state, ints, x)
    state[VARIANCE] = state[VARIANCE] + constants[LONG_GAIN] * (away * away - state[VARIANCE])
    learn_tail(state[LEVEL], constants, state[LEVEL_TAIL:], _LEVEL_LEAST, _LEVEL_LEAST_MEAN)
    if has_error:
        largest = LARGEST_ERROR * error_scale(channel, state)
        step = min(state[ABSOLUTE_ERROR], largest) - state[ERROR_SPREAD]
        state[ERROR_SPREAD] = state[ERROR_SPREAD] + constants[ERROR_GAIN] * step
        learn_tail(state[SCALED_ERROR], constants, state[ERROR_TAIL:], _ERROR_LEAST, _ERROR_LEAST_MEAN)
        learn_tail(state[ERROR_MEAN], constants, state[ERROR_MEAN_TAIL:], _MEAN_LEAST, _MEAN_LEAST_MEAN)


@njit
def learn_aside(constants, state, ints, x, has_error):
    """Follow the new level while an alert is open, apart from the baselines, in case it has to be adopted."""
    if ints[ADOPTED_COUNT_OF_CHANNEL] == 0:
        state[ADOPTED_MEAN] = x
        state[ADOPTED_VARIANCE] = 0.0
        state[ADOPTED_SPREAD] = state[ERROR_SPREAD]
    ints[ADOPTED_COUNT_OF_CHANNEL] += 1
    gain = max(constants[LONG_GAIN], 1.0 / ints[ADOPTED_COUNT_OF_CHANNEL])
    away = x - state[ADOPTED_MEAN]
    state[ADOPTED_MEAN] = state[ADOPTED_MEAN] + gain * away
    state[ADOPTED_VARIANCE] = (1.0 - gain) * (state[ADOPTED_VARIANCE] + gain * away * away)
    if has_error:
        step = state[ABSOLUTE_ERROR] - state[ADOPTED_SPREAD]
        state[ADOPTED_SPREAD] = state[ADOPTED_SPREAD] + gain * step


@njit
def forget_runs(state):
    """Leave what went on when an alert was raised out of the tails."""
    forget_run(state[ERROR_TAIL:])
    forget_run(state[ERROR_MEAN_TAIL:])
    forget_run(state[LEVEL_TAIL:])


@njit
def adopt(state, ints):
    """Make what was learned aside the channel's baselines; spreads only grow."""
    if ints[ADOPTED_COUNT_OF_CHANNEL] > 0:
        state[LONG_MEAN] = state[SHORT_MEAN]
        state[VARIANCE] = max(state[VARIANCE], state[ADOPTED_VARIANCE])
        state[ERROR_SPREAD] = max(state[ERROR_SPREAD], state[ADOPTED_SPREAD])
        state[ERROR_MEAN] = min(state[ERROR_MEAN], 1.0)
