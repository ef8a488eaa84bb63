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
    LEVEL,
    LOGIT,
    LONG_MEAN,
    MEAN_ERROR,
    NOVELTY,
    REPEAT,
    SEASON,
    SHARE,
    SHOWN,
    SIGMAS_OF_BAND,
    SIGNAL_COUNT,
    SPREAD,
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
    """Return the channel's part of the fourth power of the score, and write it to `reason`."""
    shown, total = own[SHOWN], 0.0
    total = _add(ERROR, constants, channel, state, shown, total)
    total = _add(MEAN_ERROR, constants, channel, state, shown, total)
    total = _add(LEVEL, constants, channel, state, shown, total)
    total = _add(SEASON, constants, channel, state, shown, total)
    total = _add(NOVELTY, constants, channel, state, shown, total)
    total = _add(REPEAT, constants, channel, state, shown, total)
    total = _add(LOGIT, constants, channel, state, shown, total)
    total = _add(SPREAD, constants, channel, state, shown, total)
    reason[SHARE] = total
    return total


@njit(inlined=True)
def _add(signal, constants, channel, state, shown, total):
    """Add the part of a signal, where it is shown. A line for each instead of a loop: every place is then known when compiled."""
    if channel[FIRST_WEIGHT + signal] > 0.0 and shown >> signal & 1:
        total = total + _part(signal, constants, channel, state)
    return total


@njit(inlined=True)
def _part(signal, constants, channel, state):
    """Return what a signal adds to the fourth power of the score."""
    said = surprise(state[FIRST_SIGNAL + signal], constants, state, FIRST_TAIL + signal * TAIL_WORDS)
    return fourth_power(channel[FIRST_WEIGHT + signal] * said)


@njit
def name_strongest(constants, channel, state, own, reason):
    """Write the signal of a channel that says most, and its part, to `reason`: only where somebody asks why."""
    most, strongest = -1.0, 0
    for signal in range(SIGNAL_COUNT):
        if channel[FIRST_WEIGHT + signal] > 0.0 and own[SHOWN] >> signal & 1:
            part = _part(signal, constants, channel, state)
            if part > most:
                most, strongest = part, signal
    reason[STRONGEST], reason[STRONGEST_SHARE] = strongest, max(most, 0.0)


@njit(inlined=True)
def explain(channel, state, own, floats, bin_at, total, x, reason):
    """Write a channel's value, its share of `total`, and what its strongest signal expected, and how widely."""
    strongest = reason[STRONGEST]
    reason[VALUE], reason[SHARE] = x, reason[SHARE] / total
    reason[STRONGEST_SHARE] = reason[STRONGEST_SHARE] / total
    if strongest in (ERROR, MEAN_ERROR) and own[SHOWN] >> ERROR & 1:
        reason[EXPECTED] = state[FORECAST]
        reason[BAND] = SIGMAS_OF_BAND * error_scale(channel, state)
    elif strongest == SEASON and bin_at >= 0:
        reason[EXPECTED] = floats[bin_at]
        reason[BAND] = SIGMAS_OF_BAND * season_scale(channel, state)
    else:
        reason[EXPECTED] = state[LONG_MEAN]
        reason[BAND] = SIGMAS_OF_BAND * level_scale(channel, state)
