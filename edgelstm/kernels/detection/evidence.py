"""All that a channel shows: every signal brought up to a value, and learned from one that is taken for normal.

A forecast error alone is blind to a level fault, which a forecaster has learned two samples later; the level alone
is blind to a wrong shape; neither knows the season, a new extreme, a sensor that is stuck or what a network has never seen.
"""

from edgelstm.kernels.compiled import njit
from edgelstm.kernels.detection import error, level, logit, novelty, repeat, season, uncertainty
from edgelstm.kernels.detection.layout import (
    ERROR,
    FIRST_SIGNAL,
    FIRST_TAIL,
    FIRST_WEIGHT,
    LEVEL,
    LOGIT,
    MEAN_ERROR,
    NOVELTY,
    REPEAT,
    SEASON,
    SHOWN,
    SIGNAL_COUNT,
    SPREAD,
    TAIL_WORDS,
)
from edgelstm.kernels.detection.tail import FLOORS, forget_run, learn_tail

_WITH_ERROR = (1 << ERROR) | (1 << MEAN_ERROR)


@njit(inlined=True)
def observe(
    constants,
    channel,
    state,
    own,
    floats,
    bin_at,
    x,
    frozen,
    has_error,
    has_logit,
    said,
    has_spread,
    unsure,
    same,
):
    """Bring every signal up to a value; return 1 where the sensor stuck with it, else 0.

    bin_at    where in `floats` the mean of the season's bin is, -1 where there is no season
    said      the network's logit, where has_logit
    unsure    the spread that it gives of its forecast, where has_spread
    same      whether the value repeats the last one
    """
    stuck = 0
    level.observe(constants, channel, state, own, x, frozen)
    shown = 1 << LEVEL
    if has_error:
        error.observe(constants, channel, state, x)
        shown |= _WITH_ERROR
    if channel[FIRST_WEIGHT + SEASON] > 0.0 and bin_at >= 0:
        season.observe(constants, channel, state, floats[bin_at], x)
        shown |= 1 << SEASON
    if channel[FIRST_WEIGHT + NOVELTY] > 0.0:
        novelty.observe(channel, state, x)
        shown |= 1 << NOVELTY
    if channel[FIRST_WEIGHT + REPEAT] > 0.0:
        stuck = int(repeat.observe(channel, state, own, same))
        shown |= 1 << REPEAT
    if has_logit and channel[FIRST_WEIGHT + LOGIT] > 0.0:
        logit.observe(state, said)
        shown |= 1 << LOGIT
    if has_spread and channel[FIRST_WEIGHT + SPREAD] > 0.0:
        uncertainty.observe(channel, state, unsure)
        shown |= 1 << SPREAD
    own[SHOWN] = shown
    return stuck


@njit(inlined=True)
def learn(constants, channel, state, own, floats, bin_at, x):
    """Move baselines and tails by one value that is taken for normal; arguments as of `observe`."""
    shown = own[SHOWN]
    level.learn(constants, channel, state, own, x)
    if shown >> ERROR & 1:
        error.learn(constants, channel, state)
    if shown >> SEASON & 1:
        season.learn(constants, channel, state, floats, bin_at, x)
    if channel[FIRST_WEIGHT + NOVELTY] > 0.0:
        novelty.learn(state, x)
    if shown >> SPREAD & 1:
        uncertainty.learn(constants, channel, state)
    _learn_tail(ERROR, constants, channel, state, shown)
    _learn_tail(MEAN_ERROR, constants, channel, state, shown)
    _learn_tail(LEVEL, constants, channel, state, shown)
    _learn_tail(SEASON, constants, channel, state, shown)
    _learn_tail(NOVELTY, constants, channel, state, shown)
    _learn_tail(REPEAT, constants, channel, state, shown)
    _learn_tail(LOGIT, constants, channel, state, shown)
    _learn_tail(SPREAD, constants, channel, state, shown)


@njit(inlined=True)
def _learn_tail(signal, constants, channel, state, shown):
    """Move the tail of a signal, where it is shown; a line for each, as in `score.py`."""
    if shown >> signal & 1 and channel[FIRST_WEIGHT + signal] > 0.0:
        least_threshold, least_mean = FLOORS[signal]
        tail = FIRST_TAIL + signal * TAIL_WORDS
        learn_tail(state[FIRST_SIGNAL + signal], constants, state, tail, least_threshold, least_mean)


@njit(inlined=True)
def forget_runs(state):
    """Leave what went on when an alert was raised out of the tails."""
    for signal in range(SIGNAL_COUNT):
        forget_run(state, FIRST_TAIL + signal * TAIL_WORDS)
