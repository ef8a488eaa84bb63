"""A new normal: learned aside while an alert is open, adopted when that has been so for too long."""

from edgelstm.kernels.compiled import njit
from edgelstm.kernels.detection.layout import (
    ABSOLUTE_ERROR,
    ADOPTED_COUNT_OF_CHANNEL,
    ADOPTED_MEAN,
    ADOPTED_SPREAD,
    ADOPTED_VARIANCE,
    ERROR,
    ERROR_SPREAD,
    FIRST_SIGNAL,
    LAST_VALUE,
    LONG_GAIN,
    LONG_MEAN,
    MEAN_ERROR,
    REPEATS,
    SHORT_MEAN,
    SHOWN,
    VARIANCE,
)
from edgelstm.kernels.detection.novelty import learn as widen
from edgelstm.kernels.detection.uncertainty import widen as widen_spread


@njit(inlined=True)
def learn_aside(constants, state, own, x):
    """Follow the new level while an alert is open, apart from the baselines, in case it has to be adopted."""
    if own[ADOPTED_COUNT_OF_CHANNEL] == 0:
        state[ADOPTED_MEAN] = x
        state[ADOPTED_VARIANCE] = 0.0
        state[ADOPTED_SPREAD] = state[ERROR_SPREAD]
    own[ADOPTED_COUNT_OF_CHANNEL] += 1
    gain = max(constants[LONG_GAIN], 1.0 / own[ADOPTED_COUNT_OF_CHANNEL])
    away = x - state[ADOPTED_MEAN]
    state[ADOPTED_MEAN] = state[ADOPTED_MEAN] + gain * away
    state[ADOPTED_VARIANCE] = (1.0 - gain) * (state[ADOPTED_VARIANCE] + gain * away * away)
    if own[SHOWN] >> ERROR & 1:
        step = state[ABSOLUTE_ERROR] - state[ADOPTED_SPREAD]
        state[ADOPTED_SPREAD] = state[ADOPTED_SPREAD] + gain * step


@njit(inlined=True)
def adopt(state, own, floats, first_bin, bins):
    """Make what was learned aside the channel's baselines; spreads only grow; the season moves as a whole.

    first_bin, bins  where in `floats` the means of the season's bins are, and how many
    """
    if own[ADOPTED_COUNT_OF_CHANNEL] > 0:
        moved = state[SHORT_MEAN] - state[LONG_MEAN]
        for at in range(first_bin, first_bin + bins):
            floats[at] = floats[at] + moved
        state[LONG_MEAN] = state[SHORT_MEAN]
        state[VARIANCE] = max(state[VARIANCE], state[ADOPTED_VARIANCE])
        state[ERROR_SPREAD] = max(state[ERROR_SPREAD], state[ADOPTED_SPREAD])
        state[FIRST_SIGNAL + MEAN_ERROR] = min(state[FIRST_SIGNAL + MEAN_ERROR], 1.0)
        own[REPEATS] = 0
        widen(state, state[LAST_VALUE])
        widen_spread(state)
