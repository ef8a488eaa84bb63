"""The surprises of all channels joined to one score, and each channel's share of it."""

from math import sqrt

from edgelstm.kernels.compiled import njit
from edgelstm.kernels.detection.layout import (
    BAND,
    ERROR,
    EXPECTED,
    FIRST_SIGNAL,
    FIRST_TAIL,
    FIRST_WEIGHT,
    FORECAST,
    LONG_MEAN,
    MEAN_ERROR,
    SEASON,
    SHARE,
    SHOWN,
    SIGMAS_OF_BAND,
    SIGNAL_COUNT,
    STRONGEST,
    STRONGEST_SHARE,
    TAIL_WORDS,
    VALUE,
)
from edgelstm.kernels.detection.season import scale as season_scale
from edgelstm.kernels.detection.spread import error_scale, level_scale
from edgelstm.kernels.detection.tail import surprise


@njit(inlined=True)
def fourth_power(x):
    """Return x to the fourth, by two squares."""
    square = x * x
    return square * square


@njit(inlined=True)
def fourth_root(x):
    """Return the fourth root, by two square roots, each exactly rounded."""
    return sqrt(sqrt(x))


@njit(inlined=True)
def judge(constants, channel, state, own, reason):
    """Return the channel's part of the fourth power of the score; write it, and the signal that says most, to `reason`."""
    total, most, strongest = 0.0, -1.0, 0
    for signal in range(SIGNAL_COUNT):
        weight = channel[FIRST_WEIGHT + signal]
        if weight > 0.0 and own[SHOWN] >> signal & 1:
            tail = FIRST_TAIL + signal * TAIL_WORDS
            part = fourth_power(weight * surprise(state[FIRST_SIGNAL + signal], constants, state, tail))
            total = total + part
            if part > most:
                most, strongest = part, signal
    reason[SHARE], reason[STRONGEST], reason[STRONGEST_SHARE] = total, strongest, max(most, 0.0)
    return total


@njit(inlined=True)
def explain(channel, state, own, seasonal, total, x, reason):
    """Write a channel's value, its share of `total`, and what its strongest signal expected, and how widely."""
    strongest = reason[STRONGEST]
    reason[VALUE], reason[SHARE] = x, reason[SHARE] / total
    reason[STRONGEST_SHARE] = reason[STRONGEST_SHARE] / total
    if strongest in (ERROR, MEAN_ERROR) and own[SHOWN] >> ERROR & 1:
        reason[EXPECTED] = state[FORECAST]
        reason[BAND] = SIGMAS_OF_BAND * error_scale(channel, state)
    elif strongest == SEASON and seasonal.shape[0] > 0:
        reason[EXPECTED] = seasonal[0]
        reason[BAND] = SIGMAS_OF_BAND * season_scale(channel, state)
    else:
        reason[EXPECTED] = state[LONG_MEAN]
        reason[BAND] = SIGMAS_OF_BAND * level_scale(channel, state)
