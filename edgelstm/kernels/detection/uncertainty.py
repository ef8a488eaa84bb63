"""How unsure the network is of its forecast: the spread that it gives of it, in multiples of the usual one."""

from edgelstm.kernels.compiled import njit
from edgelstm.kernels.detection.layout import (
    ERROR_GAIN,
    FIRST_SIGNAL,
    NETWORK_SPREAD,
    SPREAD,
    SPREAD_FLOOR,
    USUAL_SPREAD,
)
from edgelstm.kernels.detection.spread import LARGEST_ERROR


@njit(inlined=True)
def usual(channel, state):
    """Return what a spread is held against."""
    return max(state[USUAL_SPREAD], channel[SPREAD_FLOOR])


@njit(inlined=True)
def observe(channel, state, unsure):
    """Take in the spread that the network gives at this sample."""
    state[NETWORK_SPREAD] = max(unsure, 0.0)
    state[FIRST_SIGNAL + SPREAD] = state[NETWORK_SPREAD] / usual(channel, state)


@njit(inlined=True)
def learn(constants, channel, state):
    """Move the usual spread by one that is taken for normal."""
    step = min(state[NETWORK_SPREAD], LARGEST_ERROR * usual(channel, state)) - state[USUAL_SPREAD]
    state[USUAL_SPREAD] = state[USUAL_SPREAD] + constants[ERROR_GAIN] * step


@njit(inlined=True)
def widen(state):
    """Make the spread of this sample the usual one, unless that is larger: a new normal is adopted."""
    state[USUAL_SPREAD] = max(state[USUAL_SPREAD], state[NETWORK_SPREAD])
