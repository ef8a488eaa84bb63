"""The surprises of all channels joined to one score, and each channel's share of it."""

from math import sqrt

from edgelstm.kernels.compiled import njit
from edgelstm.kernels.detection.evidence import error_scale, level_scale
from edgelstm.kernels.detection.layout import (
    BAND,
    ERROR_MEAN,
    ERROR_MEAN_TAIL,
    ERROR_MEAN_WEIGHT,
    ERROR_TAIL,
    ERROR_WEIGHT,
    EXPECTED,
    FORECAST,
    LEVEL,
    LEVEL_TAIL,
    LEVEL_WEIGHT,
    LONG_MEAN,
    SCALED_ERROR,
    SHARE,
    SIGMAS_OF_BAND,
)
from edgelstm.kernels.detection.tail import surprise


@njit
def fourth_power(x):
    """Return x to the fourth, by two squares."""
    square = x * x
    return square * square


@njit
def fourth_root(x):
    """Return the fourth root, by two square roots, each exactly rounded."""
    return sqrt(sqrt(x))


@njit
def judge(constants, channel, state, has_error, reason):
    """Return the channel's part of the fourth power of the score; write its expectation and that part to `reason`."""
    level = fourth_power(channel[LEVEL_WEIGHT] * surprise(state[LEVEL], constants, state[LEVEL_TAIL:]))
    error = 0.0
    if has_error:
        now = surprise(state[SCALED_ERROR], constants, state[ERROR_TAIL:])
        lately = surprise(state[ERROR_MEAN], constants, state[ERROR_MEAN_TAIL:])
        error = fourth_power(channel[ERROR_WEIGHT] * now) + fourth_power(channel[ERROR_MEAN_WEIGHT] * lately)
    if has_error and error >= level:
        reason[EXPECTED] = state[FORECAST]
        reason[BAND] = SIGMAS_OF_BAND * error_scale(channel, state)
    else:
        reason[EXPECTED] = state[LONG_MEAN]
        reason[BAND] = SIGMAS_OF_BAND * level_scale(channel, state)
    reason[SHARE] = error + level
    return reason[SHARE]
